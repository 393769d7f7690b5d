"""The names, labels and unit of the engines' metrics: the metrics contract of a model. Pure.

The defaults are the runbook's. The policy states others, in ``[metrics]`` for all models and ``[model.NAME.metrics]``
for one (``docs/connect-engine.md``). Inside mlconsole a metric is always called by the runbook's name;
`MetricNames.metric` gives the exporter's. Values come from outside: a name has PromQL's syntax, and the values of
labels are quoted here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from ml.stage import Stage
from ml.text import visible

LATENCY: Final = "grinder_ml_inference_latency_ms"
SUCCESSES: Final = "grinder_ml_inference_total"
ERRORS: Final = "grinder_ml_inference_errors_total"
INFO: Final = "grinder_ml_model_info"
ACTIVE_ON: Final = "grinder_ml_active_on"
BLOCKS: Final = "grinder_ml_block_total"
"""The runbook's names."""

_PARTS = ("_bucket", "_count", "_sum")
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by its name, and matchers on its labels: ``where`` must be equal, ``where_not`` must differ."""

    name: str
    where: tuple[tuple[str, str], ...] = ()
    where_not: tuple[tuple[str, str], ...] = ()

    @property
    def matchers(self) -> str:
        """The matchers as PromQL, without braces; empty where there are none."""
        equal = [f"{label}={quoted(value)}" for label, value in self.where]
        return ",".join([*equal, *(f"{label}!={quoted(value)}" for label, value in self.where_not)])

    def part(self, suffix: str) -> Metric:
        """The same with a suffix, such as ``_count`` of a histogram."""
        return replace(self, name=f"{self.name}{suffix}") if suffix else self

    def __str__(self) -> str:
        """The selector as PromQL."""
        return f"{self.name}{{{self.matchers}}}" if self.matchers else self.name

    def plain(self) -> object:
        """The value as the policy writes it."""
        if not self.matchers:
            return self.name
        tables = {"where": dict(self.where), "where_not": dict(self.where_not)}
        return {"name": self.name} | {key: table for key, table in tables.items() if table}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricNames:
    """The metrics of one model's engines, and their labels.

    ``latency`` is a histogram in ``unit`` (``ms`` or ``seconds``). The label ``mode`` tells shadow from active, by the
    values ``shadow`` and ``active``. ``serving`` says which artifact an engine serves, in its labels ``artifact`` and
    ``commit``. The rest proves kills. ``active_on`` is 1 while a model decides, and ``engaged`` is 1 while the engine
    sees the switch on (``None``: it does not say). ``blocked`` counts what the switch forbade, ``unloaded`` what a
    missing model skipped. ``inferred`` are counters that rise with each inference (empty: successes, errors,
    latencies).
    """

    latency: Metric = Metric(LATENCY)
    unit: str = "ms"
    successes: Metric = Metric(SUCCESSES)
    errors: Metric = Metric(ERRORS)
    mode: str = "mode"
    shadow: str = "shadow"
    active: str = "active"
    serving: Metric = Metric(INFO)
    artifact: str = "artifact_id"
    commit: str = "registry_commit"
    active_on: Metric = Metric(ACTIVE_ON)
    engaged: Metric | None = None
    blocked: Metric = Metric(BLOCKS, (("reason", "KILL_SWITCH_ENV"),))
    unloaded: Metric = Metric(BLOCKS, (("reason", "MODEL_NOT_LOADED"),))
    inferred: tuple[Metric, ...] = ()

    def __hash__(self) -> int:
        """A cheap hash: boards with many models hash contracts often, and few contracts differ."""
        return hash((self.latency.name, self.mode, self.shadow, self.active, self.serving.name))

    def metric(self, name: str) -> Metric:
        """The exporter's metric for a runbook's name, also for a part of the histogram; another name is itself."""
        return _metric_for(self, name)

    def shown(self, name: str | None) -> str:
        """The exporter's name for a runbook's name; empty for none."""
        return self.metric(name).name if name else ""

    def value(self, stage: str) -> str:
        """The value of the mode's label in a stage."""
        return {str(Stage.SHADOW): self.shadow, str(Stage.ACTIVE): self.active}.get(stage, stage)

    def stage_of(self, value: str) -> Stage | None:
        """The stage of a value of the mode's label; ``None`` for another value."""
        return {str(Stage.STAGING): Stage.STAGING, self.shadow: Stage.SHADOW, self.active: Stage.ACTIVE}.get(value)

    def in_stage(self, stage: str, *, or_none: bool = False) -> str:
        """The matcher of a stage; ``or_none`` takes series without the label too."""
        return _stage_matcher(self, str(stage), or_none)

    @property
    def counters(self) -> tuple[Metric, ...]:
        """The counters that rise with each inference."""
        return self.inferred or (self.successes, self.errors, self.latency.part("_count"))

    @property
    def inner(self) -> frozenset[str]:
        """Labels that say something about a measurement, and so identify no engine."""
        return frozenset({self.mode, self.artifact, self.commit})

    def milliseconds(self, metric: str | None, unit: str) -> bool:
        """True if a quantile of this metric is in seconds and an objective wants it in milliseconds."""
        return self.unit == "seconds" and unit == "ms" and self.shown(metric) == self.latency.name

    def document(self) -> dict[str, object]:
        """The contract as plain values, in the policy's own form."""
        receipt: dict[str, object] = {
            "active": self.active_on.plain(),
            "blocked": self.blocked.plain(),
            "unloaded": self.unloaded.plain(),
        }
        if self.engaged is not None:
            receipt["engaged"] = self.engaged.plain()
        if self.inferred:
            receipt["inferred"] = [each.plain() for each in self.inferred]
        return {
            "latency": self.latency.plain(),
            "unit": self.unit,
            "successes": self.successes.plain(),
            "errors": self.errors.plain(),
            "labels": {"mode": self.mode, "shadow": self.shadow, "active": self.active},
            "serving": {"metric": self.serving.plain(), "artifact": self.artifact, "commit": self.commit},
            "receipt": receipt,
        }


_ESCAPED = r"\\\1"

# A board asks both for each question about each model, thousands of times in one round.


@lru_cache(1024)
def _metric_for(names: MetricNames, name: str) -> Metric:
    suffix = next((each for each in _PARTS if name.endswith(each)), "")
    if name.removesuffix(suffix) == LATENCY:
        return names.latency.part(suffix)
    known = {SUCCESSES: names.successes, ERRORS: names.errors, INFO: names.serving, ACTIVE_ON: names.active_on}
    return known.get(name) or Metric(name)


@lru_cache(1024)
def _stage_matcher(names: MetricNames, stage: str, or_none: bool) -> str:
    value = names.value(stage)
    if or_none:
        return f"{names.mode}=~{quoted(_SPECIAL.sub(_ESCAPED, value) + '|')}"
    return f"{names.mode}={quoted(value)}"


RUNBOOK: Final = MetricNames()
"""The runbook's metrics."""


def quoted(text: str) -> str:
    """A PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


# The reader of the policy's table.

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = frozenset({"__name__", "le", "quantile", "instance", "mlconsole", "mlconsole_kind"})
"""Labels with a meaning of their own, which no mode and no artifact can have."""
_LONGEST, _MOST = 200, 16
_UNITS: Mapping[str, str] = {"_seconds": "seconds", "_ms": "ms", "_milliseconds": "ms"}
_TABLES: Mapping[str, tuple[str, ...]] = {
    "": ("latency", "unit", "successes", "errors", "labels", "serving", "receipt"),
    "labels": ("mode", "shadow", "active"),
    "serving": ("metric", "artifact", "commit"),
    "receipt": ("active", "engaged", "blocked", "unloaded", "inferred"),
}


class MetricsInvalid(ValueError):
    """A metrics contract with a mistake: the key, and what is wrong with it in one clause."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{visible(key, limit=80)}: {why}" if key else why)


def parse_metrics(given: object, base: MetricNames = RUNBOOK) -> MetricNames:
    """Read a table ``[metrics]``. Keys that it does not give are those of ``base``.

    Raises:
        MetricsInvalid: with the key that is wrong.
    """
    table = _table("", given)
    labels, serving, receipt = (_table(name, table.get(name, {})) for name in ("labels", "serving", "receipt"))
    latency = _metric("latency", table, base.latency)
    found = MetricNames(
        latency=latency,
        unit=_unit(table, latency, base),
        successes=_metric("successes", table, base.successes),
        errors=_metric("errors", table, base.errors),
        mode=_label("labels.mode", labels, base.mode),
        shadow=_value("labels.shadow", labels.get("shadow", base.shadow)),
        active=_value("labels.active", labels.get("active", base.active)),
        serving=_metric("serving.metric", serving, base.serving),
        artifact=_label("serving.artifact", serving, base.artifact),
        commit=_label("serving.commit", serving, base.commit),
        active_on=_metric("receipt.active", receipt, base.active_on),
        engaged=_metric("receipt.engaged", receipt, base.active_on) if "engaged" in receipt else base.engaged,
        blocked=_metric("receipt.blocked", receipt, base.blocked),
        unloaded=_metric("receipt.unloaded", receipt, base.unloaded),
        inferred=_metrics("receipt.inferred", receipt["inferred"]) if "inferred" in receipt else base.inferred,
    )
    _require_distinct(found)
    return found


def _require_distinct(found: MetricNames) -> None:
    if found.shadow == found.active:
        raise MetricsInvalid("labels", "shadow and active have one value, so their numbers could not be told apart")
    if len({found.mode, found.artifact, found.commit}) < 3:
        raise MetricsInvalid("labels", "mode, artifact and commit are three different labels")
    if found.successes == found.errors:
        raise MetricsInvalid("errors", "successes and errors are one counter, so half of all inferences would fail")
    _require_free_of_mode(found)


def _require_free_of_mode(found: MetricNames) -> None:
    """A matcher on the mode's label would contradict the question's own."""
    named = {"latency": found.latency, "successes": found.successes, "errors": found.errors, "serving": found.serving}
    for key, metric in named.items():
        if found.mode in {label for label, _ in (*metric.where, *metric.where_not)}:
            raise MetricsInvalid(key, f"the label {found.mode} tells shadow from active, so no matcher may fix it")


def _table(key: str, given: object) -> Mapping[str, object]:
    if not isinstance(given, Mapping):
        raise MetricsInvalid(key, "this is no table")
    _require_known(f"{key}." if key else "", given, _TABLES[key])
    return given


def _require_known(prefix: str, given: Mapping[str, object], known: Iterable[str]) -> None:
    allowed = list(known)
    for name in given:
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.5)
            remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(allowed))}"
            raise MetricsInvalid(f"{prefix}{name}", f"this key is unknown ({remedy})")


def _metric(key: str, table: Mapping[str, object], base: Metric) -> Metric:
    name = key.rpartition(".")[2]
    found = _one(key, table[name]) if name in table else base
    if key == "latency" and found.name.endswith(_PARTS):
        raise MetricsInvalid(key, "a histogram is named without _bucket, _count and _sum")
    return found


def _metrics(key: str, given: object) -> tuple[Metric, ...]:
    if not isinstance(given, list | tuple) or not 0 < len(given) <= _MOST:
        raise MetricsInvalid(key, f"this is no list of 1 to {_MOST} metrics")
    return tuple(_one(f"{key}[{number}]", each) for number, each in enumerate(given))


def _one(key: str, given: object) -> Metric:
    if isinstance(given, str):
        return Metric(_name(key, given))
    if not isinstance(given, Mapping):
        raise MetricsInvalid(key, 'this is neither a name nor a table like { name = "x", where = { status = "ok" } }')
    _require_known(f"{key}.", given, ("name", "where", "where_not"))
    where, where_not = (_matchers(f"{key}.{name}", given.get(name, {})) for name in ("where", "where_not"))
    return Metric(_name(f"{key}.name", given.get("name")), where, where_not)


def _name(key: str, given: object) -> str:
    if not isinstance(given, str) or len(given) > _LONGEST or not _METRIC.fullmatch(given):
        raise MetricsInvalid(key, "this is no name of a metric: letters, digits, _ and :, without braces")
    return given


def _matchers(key: str, given: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, Mapping) or len(given) > _MOST:
        raise MetricsInvalid(key, f"this is no table of at most {_MOST} labels")
    found = []
    for name in sorted(map(str, given)):
        if not _LABEL.fullmatch(name) or name in ("__name__", "le"):
            raise MetricsInvalid(f"{key}.{name}", "this is no label that a matcher may name")
        found.append((name, _value(f"{key}.{name}", given[name], empty=True)))
    return tuple(found)


def _label(key: str, table: Mapping[str, object], base: str) -> str:
    given = table.get(key.rpartition(".")[2], base)
    if not isinstance(given, str) or len(given) > _LONGEST or not _LABEL.fullmatch(given):
        raise MetricsInvalid(key, "this is no name of a label: letters, digits and _")
    if given in _RESERVED:
        raise MetricsInvalid(key, f"the label {given} has a meaning of its own")
    return given


def _value(key: str, given: object, *, empty: bool = False) -> str:
    if not isinstance(given, str) or not given.isprintable() or len(given) > _LONGEST or not (given or empty):
        raise MetricsInvalid(key, f"this is no printable text of 1 to {_LONGEST} letters")
    return given


def _unit(table: Mapping[str, object], latency: Metric, base: MetricNames) -> str:
    if "unit" in table:
        if table["unit"] not in ("ms", "seconds"):
            raise MetricsInvalid("unit", "this is neither ms nor seconds")
        return str(table["unit"])
    if "latency" not in table:
        return base.unit
    for ending, unit in _UNITS.items():
        if latency.name.endswith(ending):
            return unit
    raise MetricsInvalid("unit", f'{latency.name} does not end in its unit, so say unit = "seconds" or unit = "ms"')
