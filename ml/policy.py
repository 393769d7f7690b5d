"""The policy `ml/registry/policy.toml`: thresholds, roles, freeze windows (SPEC §5, §12).

It is always read from the base commit, so that a change cannot relax its own rules. Every key is optional, and
the defaults are the runbook's. A ``[[objective]]`` with the name of a default one changes only the keys that it
gives, so that nobody loses a gate by adding another. Unknown keys are refused, naming the nearest known one.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from ml.errors import Usage
from ml.text import visible
from ml.verdict import Verdict

MAX_BYTES = 1 << 20
NEVER_WAIVABLE = frozenset({"verify", "role", "ack"})

_FILE = "ml/registry/policy.toml"
_ANYBODY = "*"
_MATCHER = r'\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=|!=|=~|!~)\s*"(?:[^"\\\n]|\\.)*"\s*'

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
Metric = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Roles(_Section):
    """Who may do what, by e-mail address or signing principal, compared letter by letter; ``*`` is anybody."""

    operators: Texts = ()
    developers: Texts = (_ANYBODY,)

    @field_validator("operators")
    @classmethod
    def _named(cls, operators: tuple[str, ...]) -> tuple[str, ...]:
        if _ANYBODY in operators:
            raise ValueError("operators are named one by one, because a role that everybody has proves nothing")
        return operators


class Soak(_Section):
    """How long and how cleanly an artifact soaks in shadow. ``min_coverage`` is a share, 0 to 1."""

    hours: Positive = 24.0
    cell_minutes: Count = 5
    min_coverage: Share = 0.99
    max_breaches: Annotated[int, Field(ge=0)] = 0
    min_samples: Count = 1000

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


_FIELDS_OF_KIND: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"quantile": ("metric", "quantile"), "ratio": ("errors", "successes"), "promql": ("query",)}
)


class Objective(_Section):
    """One service level: its value must stay below ``limit`` (in ``unit``) for the verdict to be PASS.

    ``quantile`` reads the histogram ``metric`` (named without ``_bucket``); ``ratio`` is errors / (errors +
    successes) of two counters, 0 to 1; ``promql`` is any ``query`` with one number as the answer. ``gate`` tells
    whether it can block a promotion or is only shown.
    """

    name: Name
    kind: Literal["quantile", "ratio", "promql"]
    metric: Metric | None = None
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    errors: Metric | None = None
    successes: Metric | None = None
    query: Text | None = None
    limit: Positive
    unit: str = ""
    gate: bool = True

    @field_validator("metric")
    @classmethod
    def _histogram(cls, metric: str | None) -> str | None:
        if metric and metric.endswith("_bucket"):
            raise ValueError(f"the histogram is named without _bucket: {metric.removesuffix('_bucket')}")
        return metric

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        needed = _FIELDS_OF_KIND[self.kind]
        for field in (name for names in _FIELDS_OF_KIND.values() for name in names):
            if field in needed and getattr(self, field) is None:
                raise ValueError(f"an objective of kind {self.kind} needs {field}")
            if field not in needed and getattr(self, field) is not None:
                raise ValueError(f"an objective of kind {self.kind} has no {field}")
        if self.kind == "ratio" and self.limit > 1:
            raise ValueError(f"the limit {self.limit:g} of a ratio is above 1; 5 % is written 0.05")
        return self


class Alerts(_Section):
    """The alert rules that must exist and be quiet."""

    quiet: Texts = ("MlInferenceLatencyHigh", "MlInferenceLatencyCritical", "MlInferenceErrorRateHigh")


class Checks(_Section):
    """What runs on a clean export of the base commit, and how much slower a candidate may be than the active one."""

    unit_tests: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = ("python", "-m", "pytest", "-q")
    deadline_seconds: Positive = 900.0
    max_latency_ratio: Positive = 1.5


class Ack(_Section):
    """The typed acknowledgement of a promotion to active, and how many operators must stand behind it."""

    phrase: Annotated[str, StringConstraints(pattern=r"^[!-~](?:[ -~]*[!-~])?$")] = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
    expires_minutes: Positive = 15.0
    signed: bool = False
    approvals: Count = 1


class Waivers(_Section):
    """Which gates an operator may waive with a typed reason; ``*`` are all but verify, role and ack."""

    gates: Texts = (_ANYBODY,)

    @field_validator("gates")
    @classmethod
    def _waivable(cls, gates: tuple[str, ...]) -> tuple[str, ...]:
        for gate in gates:
            if gate in NEVER_WAIVABLE:
                raise ValueError(f"the gate {gate} can never be waived")
        return gates


class Watch(_Section):
    """How long a new active model is watched."""

    minutes: Positive = 60.0


class FreezeWindow(_Section):
    """A time in which nothing is promoted, from ``start`` to before ``end``, both in UTC.

    In the file they are ``from`` and ``to``, local in ``timezone`` unless they carry an offset themselves.
    """

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    timezone: str = "UTC"
    reason: Text

    @field_validator("timezone")
    @classmethod
    def _existing(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"there is no time zone {timezone}") from error
        return timezone

    @field_validator("start", "end", mode="before")
    @classmethod
    def _moment(cls, value: object) -> object:
        try:
            return datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError("this is no date and time like 2026-12-24T18:00:00") from error

    @model_validator(mode="after")
    def _in_utc(self) -> Self:
        zone = ZoneInfo(self.timezone)
        start, end = (
            (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
            for moment in (self.start, self.end)
        )
        if start >= end:
            raise ValueError("the window ends before it begins")
        # The only change of a value that nobody has seen yet.
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)
        return self


class ModelPolicy(_Section):
    """What is particular to one model: PromQL label matchers merged into every query, such as ``model="regime"``."""

    selector: str = ""

    @field_validator("selector")
    @classmethod
    def _only_matchers(cls, selector: str) -> str:
        if selector and not re.fullmatch(rf"{_MATCHER}(?:,{_MATCHER})*,?\s*", selector):
            raise ValueError('a selector holds only label matchers, like model="regime",env="prod"')
        return selector.strip().rstrip(",")


def _latency(name: str, quantile: float, limit: float, *, gate: bool) -> dict[str, Any]:
    metric = "grinder_ml_inference_latency_ms"
    return {
        "name": name,
        "kind": "quantile",
        "metric": metric,
        "quantile": quantile,
        "limit": limit,
        "unit": "ms",
        "gate": gate,
    }


_DEFAULT_OBJECTIVES: tuple[Mapping[str, Any], ...] = (
    _latency("p99", 0.99, 100.0, gate=True),
    _latency("p999", 0.999, 250.0, gate=True),
    _latency("p95", 0.95, 50.0, gate=False),
    {
        "name": "error_rate",
        "kind": "ratio",
        "errors": "grinder_ml_inference_errors_total",
        "successes": "grinder_ml_inference_total",
        "limit": 0.05,
        "gate": True,
    },
)


class Policy(_Section):
    """The whole policy, frozen. ``source`` are the exact bytes it was read from, empty for the defaults."""

    roles: Roles = Roles()
    soak: Soak = Soak()
    objectives: Annotated[tuple[Objective, ...], Field(alias="objective", strict=False)] = tuple(
        Objective(**objective) for objective in _DEFAULT_OBJECTIVES
    )
    alerts: Alerts = Alerts()
    checks: Checks = Checks()
    ack: Ack = Ack()
    waivers: Waivers = Waivers()
    watch: Watch = Watch()
    freezes: Annotated[tuple[FreezeWindow, ...], Field(alias="freeze", strict=False)] = ()
    models: Mapping[ModelName, ModelPolicy] = Field(alias="model", default_factory=dict)
    source: Annotated[bytes, Field(exclude=True, repr=False)] = b""

    @field_validator("objectives", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: object) -> object:
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            return given
        names = [each.get("name") for each in given]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"the objective {repeated} is there twice")
        changed = {each.get("name"): each for each in given}
        defaults = [{**default, **changed.pop(default["name"], {})} for default in _DEFAULT_OBJECTIVES]
        return [*defaults, *changed.values()]

    @property
    def approvals(self) -> int:
        """How many operators stand behind a change to active, its author included."""
        return self.ack.approvals

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
        return Verdict.PASS if identity and (identity in allowed or _ANYBODY in allowed) else Verdict.FAIL

    def waivable(self, gate: str) -> bool:
        """Whether an operator may waive this gate."""
        return gate not in NEVER_WAIVABLE and (gate in self.waivers.gates or _ANYBODY in self.waivers.gates)

    def frozen_at(self, moment: datetime) -> FreezeWindow | None:
        """The freeze window that holds ``moment`` (aware), the one that ends last where several do."""
        holding = [window for window in self.freezes if window.start <= moment < window.end]
        return max(holding, key=lambda window: window.end, default=None)


_SECTIONS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "roles": Roles,
        "soak": Soak,
        "objective": Objective,
        "alerts": Alerts,
        "checks": Checks,
        "ack": Ack,
        "waivers": Waivers,
        "watch": Watch,
        "freeze": FreezeWindow,
        "model": ModelPolicy,
    }
)


def parse_policy(raw: bytes | None) -> Policy:
    """Read a policy; ``None`` (there is no file) gives the defaults.

    Raises:
        Usage: with the key that is wrong, and the nearest known name where the key is unknown.
    """
    if raw is None:
        return Policy()
    if len(raw) > MAX_BYTES:
        raise Usage(f"{_FILE} has {len(raw)} bytes.", f"A policy has at most {MAX_BYTES}.")
    try:
        values = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Usage(
            f"{_FILE} is no TOML: {visible(str(error), limit=200)}.", "Correct it in the base commit."
        ) from error
    if "source" in values:
        raise _unknown(("source",))
    try:
        return Policy.model_validate({**values, "source": raw})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "extra_forbidden":
            raise _unknown(first["loc"]) from error
        cause = f"{_FILE}, {_shown(first['loc'])}: {_said(first)}."
        raise Usage(cause, "Correct it in the base commit.") from error


def policy_document(policy: Policy) -> str:
    """The policy in force as canonical JSON (sorted keys, no spaces), for evidence."""
    return json.dumps(policy.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))


def _unknown(loc: tuple[int | str, ...]) -> Usage:
    *parents, key = loc
    section = _SECTIONS.get(str(parents[0])) if parents else Policy
    known = sorted(
        (field.alias or name) for name, field in (section or Policy).model_fields.items() if name != "source"
    )
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    remedy = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
    return Usage(f"{_FILE}: the key {_shown(loc)} is unknown.", remedy)


_COMPLAINTS: Mapping[str, str] = MappingProxyType(
    {
        "tuple_type": "this is no list",
        "too_short": "this list is empty",
        "model_type": "this is no table",
        "datetime_type": "this is no date with a time",
        "string_pattern_mismatch": "this is no name that is allowed here",
    }
)


def _said(error: ErrorDetails) -> str:
    said = visible(error["msg"].removeprefix("Value error, "), limit=200)
    return _COMPLAINTS.get(error["type"]) or said[:1].lower() + said[1:]


def _shown(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return visible(text, limit=200) or "the policy"
