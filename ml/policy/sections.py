"""The tables of the policy that stand for themselves: roles, artifacts, soak, alerts, checks, ACK, waivers …"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from ml.policy.fields import Count, Positive, Section, Share, Text, Texts

ANYBODY = "*"
NEVER_WAIVABLE = frozenset({"verify", "role", "ack"})

_MATCHER = r'\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=|!=|=~|!~)\s*"(?:[^"\\\n]|\\.)*"\s*'


class Roles(Section):
    """Who may do what, by e-mail address or signing principal, compared letter by letter; ``*`` is anybody."""

    operators: Texts = ()
    developers: Texts = (ANYBODY,)

    @field_validator("operators")
    @classmethod
    def _named(cls, operators: tuple[str, ...]) -> tuple[str, ...]:
        if ANYBODY in operators:
            raise ValueError("operators are named one by one, because a role that everybody has proves nothing")
        return operators


class Artifacts(Section):
    """What every pointer's ``artifact_dir`` is relative to: a folder below the repository root, ``.`` the root itself.

    Said here it binds console, CI and server alike, whatever their own ``registry.artifact_base`` is; that one counts
    only as long as nothing is said here.
    """

    base: str = ""

    @field_validator("base")
    @classmethod
    def _below_the_root(cls, base: str) -> str:
        if base.startswith("/") or ".." in PurePosixPath(base).parts or not base.isprintable():
            raise ValueError("this is no folder below the repository root")
        return base


class Soak(Section):
    """How long and how cleanly an artifact soaks in shadow. ``min_coverage`` is a share, 0 to 1.

    ``max_restarts`` is how often its engines may restart during one soak, all of them together.
    ``stale_seconds`` is the age from which a soak's newest sample is not believed. A console may be stricter by its own
    ``prometheus.stale_seconds``, and never laxer.
    """

    hours: Positive = 24.0
    cell_minutes: Count = 5
    min_coverage: Share = 0.99
    max_breaches: Annotated[int, Field(ge=0)] = 0
    min_samples: Count = 1000
    max_restarts: Annotated[int, Field(ge=0)] = 6
    stale_seconds: Positive = 60.0

    @property
    def required_s(self) -> int:
        """The length of the soak in seconds."""
        return round(self.hours * 3600)

    @property
    def step_s(self) -> int:
        """The length of one cell in seconds."""
        return self.cell_minutes * 60

    @model_validator(mode="after")
    def _whole_cells(self) -> Self:
        if self.required_s % self.step_s:
            raise ValueError(f"{self.hours:g} hours are no whole number of cells of {self.cell_minutes} minutes")
        return self


class Alerts(Section):
    """The alert rules that must exist and be quiet."""

    quiet: Texts = ("MlInferenceLatencyHigh", "MlInferenceLatencyCritical", "MlInferenceErrorRateHigh")


class Checks(Section):
    """What runs on a clean export of the base commit, and how much slower a candidate may be than the active one."""

    unit_tests: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = ("python", "-m", "pytest", "-q")
    deadline_seconds: Positive = 900.0
    max_latency_ratio: Positive = 1.5


class Ack(Section):
    """The typed acknowledgement of a promotion to active, and how many operators must stand behind it.

    ``approvals`` above 1 needs ``signed = true``, because an unsigned author may be anybody. A change lands within
    ``lands_within_hours`` of its date by the clock of the gate, or is planned anew; rollbacks and withdrawals are
    exempt.
    """

    phrase: Annotated[str, StringConstraints(pattern=r"^[!-~](?:[ -~]*[!-~])?$")] = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
    expires_minutes: Positive = 15.0
    signed: bool = False
    approvals: Count = 1
    lands_within_hours: Positive = 24.0


class Evidence(Section):
    """What the gate asks of evidence beyond its own arithmetic.

    ``remeasure`` tells what happens when the gate has asked its own Prometheus (``gate --prometheus``) the recorded
    questions again: ``require`` refuses a promotion to active whose numbers do not agree or cannot be asked again,
    ``report`` adds a line that says so, ``off`` asks nothing. ``oldest_format`` is the oldest format of evidence that
    a new change may bring. A policy without this table takes ``v1`` too, because a console that writes v1 cannot read
    a policy with this table. Committed evidence of every format stays readable.
    """

    remeasure: Literal["require", "report", "off"] = "report"
    oldest_format: Annotated[str, StringConstraints(pattern=r"^v[1-9][0-9]?$")] = "v2"


class Waivers(Section):
    """Which gates an operator may waive with a typed reason; ``*`` are all but verify, role and ack."""

    gates: Texts = (ANYBODY,)

    @field_validator("gates")
    @classmethod
    def _waivable(cls, gates: tuple[str, ...]) -> tuple[str, ...]:
        for gate in gates:
            if gate in NEVER_WAIVABLE:
                raise ValueError(f"the gate {gate} can never be waived")
        return gates


class Watch(Section):
    """How long a new active model is watched."""

    minutes: Positive = 60.0


class ModelPolicy(Section):
    """What is particular to one model: PromQL label matchers merged into every query, such as ``model="regime"``."""

    selector: str = ""

    @field_validator("selector")
    @classmethod
    def _only_matchers(cls, selector: str) -> str:
        if selector and not re.fullmatch(rf"{_MATCHER}(?:,{_MATCHER})*,?\s*", selector):
            raise ValueError('a selector holds only label matchers, like model="regime",env="prod"')
        return selector.strip().rstrip(",")
