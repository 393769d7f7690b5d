"""The separate tables of the policy: roles, artifacts, soak, alerts, checks, ACK, waivers …"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ml.contract import Contract
from ml.contract_reader import parse_contract
from ml.metrics_contract import MetricNames, parse_metrics

# The base class and value types of the policy's tables: strict and frozen.

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
Metric = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of the policy: frozen, strict about types, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


ANYBODY = "*"
NEVER_WAIVABLE = frozenset({"verify", "role", "ack"})

_MATCHER = r'\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=|!=|=~|!~)\s*"(?:[^"\\\n]|\\.)*"\s*'


class Roles(Section):
    """The roles: addresses or signing principals of those who may act, compared letter by letter; ``*`` is anybody."""

    operators: Texts = ()
    developers: Texts = (ANYBODY,)

    @field_validator("operators")
    @classmethod
    def _named(cls, operators: tuple[str, ...]) -> tuple[str, ...]:
        if ANYBODY in operators:
            raise ValueError("operators are named one by one, because a role that everybody has proves nothing")
        return operators


class Artifacts(Section):
    """The base folder of every pointer's ``artifact_dir``: below the repository root, or ``.`` for the root.

    A value here binds console, CI and server alike. Their own ``registry.artifact_base`` counts only while the policy
    has none. ``lfs`` allows files of artifacts to be in the commit as Git LFS pointers.
    """

    base: str = ""
    lfs: bool = False

    @field_validator("base")
    @classmethod
    def _below_the_root(cls, base: str) -> str:
        if base.startswith("/") or ".." in PurePosixPath(base).parts or not base.isprintable():
            raise ValueError("this is no folder below the repository root")
        return base


class Soak(Section):
    """The length and the limits of a soak in shadow. ``min_coverage`` is a share, 0 to 1.

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
    """The checks on a clean export of the base commit, and the allowed slowdown of a candidate."""

    unit_tests: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = ("python", "-m", "pytest", "-q")
    deadline_seconds: Positive = 900.0
    max_latency_ratio: Positive = 1.5


class Ack(Section):
    """The typed acknowledgement of a promotion to active, and the number of operators that it needs.

    ``approvals`` above 1 needs ``signed = true``, because an unsigned author may be anybody. A change lands within
    ``lands_within_hours`` of its date by the clock of the gate, or is planned anew; rollbacks are exempt.
    """

    phrase: Annotated[str, StringConstraints(pattern=r"^[!-~](?:[ -~]*[!-~])?$")] = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
    expires_minutes: Positive = 15.0
    signed: bool = False
    approvals: Count = 1
    lands_within_hours: Positive = 24.0


class Evidence(Section):
    """The gate's demands on evidence beyond its own arithmetic.

    ``remeasure`` decides the effect of asking the gate's own Prometheus (``gate --prometheus``) the recorded questions
    again: ``require`` refuses a promotion to active if the numbers do not agree or cannot be asked again, ``report``
    adds a line with the result, ``off`` asks nothing. ``oldest_format`` is the oldest format of evidence that a new
    change may bring. A policy without this table takes ``v1`` too, because a console that writes v1 cannot read a
    policy with this table. Committed evidence of every format stays readable.
    """

    remeasure: Literal["require", "report", "off"] = "report"
    oldest_format: Annotated[str, StringConstraints(pattern=r"^v[1-9][0-9]?$")] = "v2"


class Waivers(Section):
    """The gates that an operator may waive with a typed reason; ``*`` are all but verify, role and ack."""

    gates: Texts = (ANYBODY,)

    @field_validator("gates")
    @classmethod
    def _waivable(cls, gates: tuple[str, ...]) -> tuple[str, ...]:
        for gate in gates:
            if gate in NEVER_WAIVABLE:
                raise ValueError(f"the gate {gate} can never be waived")
        return gates


class Watch(Section):
    """The length of the watch over a new active model."""

    minutes: Positive = 60.0


def _contract(given: object) -> Contract | None:
    return given if given is None or isinstance(given, Contract) else parse_contract(given)


def _contract_document(contract: Contract | None) -> dict[str, object] | None:
    return contract.document() if contract is not None else None


def _metric_names(given: object) -> MetricNames:
    return given if isinstance(given, MetricNames) else parse_metrics(given)


Metrics = Annotated[
    MetricNames,
    BeforeValidator(_metric_names),
    PlainSerializer(MetricNames.document),
    WithJsonSchema({"type": "object"}),
]
"""The metrics contract of all models, as the table ``[metrics]`` states it."""


def _own_metrics(given: object) -> object:
    """Check each key of a model's own table; the policy lays it over the common one."""
    parse_metrics(given)
    return given


class ModelPolicy(Section):
    """Settings of one model.

    ``selector`` are PromQL label matchers merged into every query, such as ``model="regime"``. ``contract`` states the
    model's inputs and outputs (``docs/contracts.md``); a model without one has the runbook's for its family.
    ``metrics`` lies over the common ``[metrics]`` (``docs/connect-engine.md``).
    """

    selector: str = ""
    contract: Annotated[
        Contract | None,
        BeforeValidator(_contract),
        PlainSerializer(_contract_document),
        WithJsonSchema({"type": "object"}),
    ] = None
    metrics: Annotated[Mapping[str, Any], BeforeValidator(_own_metrics)] = Field(default_factory=dict)

    @field_validator("selector")
    @classmethod
    def _only_matchers(cls, selector: str) -> str:
        if selector and not re.fullmatch(rf"{_MATCHER}(?:,{_MATCHER})*,?\s*", selector):
            raise ValueError('a selector holds only label matchers, like model="regime",env="prod"')
        return selector.strip().rstrip(",")


# Freeze windows: times in which nothing is promoted. Rollback and kill are exempt.


class FreezeWindow(Section):
    """A time in which nothing is promoted, from ``start`` to before ``end``, both in UTC.

    In the file they are ``from`` and ``to``, local in ``timezone`` unless they carry an offset themselves (or a ``Z``).
    Where clocks are changed, a local time may name two moments, or none. The window then takes the wider reading: it
    starts at the earlier one and ends at the later one.
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
        start, end = min(_readings(self.start, zone)), max(_readings(self.end, zone))
        if start >= end:
            raise ValueError("the window ends before it begins")
        # The value is frozen, but still private to its validator.
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)
        return self


def _readings(moment: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Both moments in UTC that a local time may name: before and after a change of the clocks; else twice the same."""
    if moment.tzinfo:
        return (moment.astimezone(UTC),) * 2
    before, after = (moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after


# Service level objectives: a measurement, and the limit that it must stay below.

_FIELDS_OF_KIND: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"quantile": ("metric", "quantile"), "ratio": ("errors", "successes"), "promql": ("query",)}
)


class Objective(Section):
    """One service level: its value must stay below ``limit`` (in ``unit``) for the verdict to be PASS.

    ``quantile`` reads the histogram ``metric`` (named without ``_bucket``); ``ratio`` is errors / (errors +
    successes) of two counters, 0 to 1; ``promql`` is any ``query`` with one number as the answer. ``gate`` is
    true if it can block a promotion, false if it is only shown.
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


_DEFAULTS: tuple[Mapping[str, Any], ...] = (
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

DEFAULT_OBJECTIVES = tuple(Objective(**objective) for objective in _DEFAULTS)
"""The runbook's thresholds."""


def over_the_defaults(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The objectives of a file laid over the default ones of the same name; new ones come after them.

    Raises:
        ValueError: a name is there twice.
    """
    names = [each.get("name") for each in given]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"the objective {repeated} is there twice")
    changed = {each.get("name"): each for each in given}
    defaults = [{**default, **changed.pop(default["name"], {})} for default in _DEFAULTS]
    return [*defaults, *changed.values()]
