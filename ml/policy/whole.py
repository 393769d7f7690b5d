"""The whole policy as one frozen value, and the questions that it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field, field_validator

from ml.policy.fields import ModelName, Section
from ml.policy.freezes import FreezeWindow
from ml.policy.objectives import DEFAULT_OBJECTIVES, Objective, over_the_defaults
from ml.policy.sections import (
    ANYBODY,
    NEVER_WAIVABLE,
    Ack,
    Alerts,
    Artifacts,
    Checks,
    Evidence,
    ModelPolicy,
    Roles,
    Soak,
    Waivers,
    Watch,
)
from ml.verdict import Verdict


class Policy(Section):
    """The whole policy, frozen. ``source`` are the exact bytes it was read from, empty for the defaults.

    A policy that has no table ``evidence`` takes older evidence than one that has it (see `Evidence`).
    """

    roles: Roles = Roles()
    artifacts: Artifacts = Artifacts()
    soak: Soak = Soak()
    objectives: Annotated[tuple[Objective, ...], Field(alias="objective", strict=False)] = DEFAULT_OBJECTIVES
    alerts: Alerts = Alerts()
    checks: Checks = Checks()
    ack: Ack = Ack()
    evidence: Evidence = Evidence(oldest_format="v1")
    waivers: Waivers = Waivers()
    watch: Watch = Watch()
    freezes: Annotated[tuple[FreezeWindow, ...], Field(alias="freeze", strict=False)] = ()
    models: Mapping[ModelName, ModelPolicy] = Field(alias="model", default_factory=dict)
    source: Annotated[bytes, Field(exclude=True, repr=False)] = b""

    @field_validator("objectives", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: object) -> object:
        """Lay the file's objectives over the defaults; what is no list of tables is left to the type check."""
        if isinstance(given, list) and all(isinstance(each, dict) for each in given):
            return over_the_defaults(given)
        return given

    @property
    def approvals(self) -> int:
        """How many operators stand behind a change to active, its author included."""
        return self.ack.approvals

    def artifact_base(self, configured: str) -> str:
        """What pointers are relative to; ``configured`` is this machine's answer where the policy gives none."""
        return self.artifacts.base or configured

    def selector(self, model: str) -> str:
        """The label matchers of a model, without braces; empty where it has none."""
        found = self.models.get(model)
        return found.selector if found else ""

    def is_operator(self, identity: str) -> Verdict:
        """Whether a person may make a model active; VACUOUS as long as nobody is named."""
        if not self.roles.operators:
            return Verdict.VACUOUS
        return Verdict.PASS if identity in self.roles.operators else Verdict.FAIL

    def is_developer(self, identity: str) -> Verdict:
        """Whether a person may stage and promote to shadow; operators may as well."""
        allowed = (*self.roles.developers, *self.roles.operators)
        return Verdict.PASS if identity and (identity in allowed or ANYBODY in allowed) else Verdict.FAIL

    def waivable(self, gate: str) -> bool:
        """Whether an operator may waive this gate."""
        return gate not in NEVER_WAIVABLE and (gate in self.waivers.gates or ANYBODY in self.waivers.gates)

    def frozen_at(self, moment: datetime) -> FreezeWindow | None:
        """The freeze window that holds ``moment`` (aware), the one that ends last where several do."""
        holding = [window for window in self.freezes if window.start <= moment < window.end]
        return max(holding, key=lambda window: window.end, default=None)


def policy_document(policy: Policy) -> str:
    """The policy in force as canonical JSON (sorted keys, no spaces), for evidence."""
    return json.dumps(policy.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))
