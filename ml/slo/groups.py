"""Groups of models that one label separates, so that one question is about all of them. Pure.

A selector such as ``model="a"`` differs between models in one equality only. Their questions differ in nothing else
while the windows, the labels of the engines and the tie to the artifact are the same: then one question with
``by (model, …)`` stands for all of them, and its answer is sorted by that label. A selector without an equality, or one
that no other model shares the rest of, is asked about alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ml.metrics_contract import INFO, LATENCY, RUNBOOK, MetricNames, quoted
from ml.slo.promql import Scope, joined, split
from ml.slo.source import Metrics, Series
from ml.stage import Stage

MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
"""One matcher of a selector: label, comparison, value."""
_MOST_NAMED = 200
"""Letters of models' names in one selector. A longer list is left out: the selector then takes all models."""
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


@dataclass(frozen=True, slots=True)
class Separation:
    """A selector as the equality that separates its model from others, and the matchers that they share."""

    label: str
    value: str
    rest: str = ""


def separation(selector: str) -> Separation | None:
    """Take a selector apart by its label ``model``, or else by its first equality; ``None`` where it has none."""
    matchers = [(found[1], found[2], found[3], found[0].strip(" ,")) for found in MATCHER.finditer(selector)]
    equalities = [each for each in matchers if each[1] == "=" and each[2] and "\\" not in each[2]]
    if not equalities or len({label for label, *_ in matchers}) < len(matchers):
        return None
    chosen = next((each for each in equalities if each[0] == "model"), equalities[0])
    rest = ",".join(sorted(each[3] for each in matchers if each is not chosen))
    return Separation(chosen[0], chosen[2], rest)


@dataclass(frozen=True, slots=True)
class Member:
    """One model in an answer about many: the value of the label that separates it, and its artifact."""

    label: str
    value: str
    artifact_id: str
    keeps_label: bool
    """True if the label also tells engines apart, as a label of the target does."""
    artifact_label: str = RUNBOOK.artifact
    """The label of an answer that names the artifact."""

    def own(self, sorted_by_value: Mapping[str, Sequence[Series]]) -> tuple[Series, ...]:
        """Return this model's series as a question about it alone would have answered them."""
        found = sorted_by_value.get(self.value, ())
        return tuple(
            Series(self._labels(each), each.points)
            for each in found
            if each.label(self.artifact_label) in ("", self.artifact_id)
        )

    def _labels(self, series: Series) -> tuple[tuple[str, str], ...]:
        dropped = {self.artifact_label} if self.keeps_label else {self.artifact_label, self.label}
        return tuple(pair for pair in series.labels if pair[0] not in dropped)


def by_value(series: Iterable[Series], label: str) -> dict[str, list[Series]]:
    """Sort series by the value of a label."""
    found: dict[str, list[Series]] = defaultdict(list)
    for each in series:
        found[each.label(label)].append(each)
    return found


def selector_of(label: str, values: Iterable[str], rest: str) -> str:
    """Select these models, by name where the names are few and short."""
    named = sorted(set(values))
    pattern = "|".join(_SPECIAL.sub(r"\\\1", value) for value in named)
    if len(named) == 1:
        matcher = f"{label}={quoted(named[0])}"
    elif len(pattern) <= _MOST_NAMED:
        matcher = f"{label}=~{quoted(pattern)}"
    else:
        matcher = f'{label}!=""'
    return ",".join(part for part in (matcher, rest) if part)


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything that the questions about several models must have in common."""

    stage: Stage
    label: str
    rest: str
    long_s: int
    scope: Scope
    """The scope of one of them, without what differs: selector and artifact."""

    def asked(self, values: Iterable[str]) -> Scope:
        """The scope of a question about these models."""
        return replace(self.scope, selector=selector_of(self.label, values, self.rest), split=self.label)


def shape_of(separated: Separation, scope: Scope, long_s: int) -> Shape:
    """Return the shape of one model's questions."""
    bare = replace(scope, selector="", artifact_id="")
    return Shape(scope.stage, separated.label, separated.rest, long_s, bare)


_LADDER = (1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96, 144, 216)
"""Windows in cells, such as 5, 10, 15, 20, 30, 45 minutes, 1, 1.5, 2 hours …"""
MOST_WINDOWS = 16


def windows_of(passed: Sequence[int], step_s: int, required_s: int) -> dict[int, int]:
    """Map the window of each artifact to the one that is asked about, all in seconds: at most 16 in all.

    Few windows stay as they are. Many are rounded down, and a window that is not full stays so: it can fail, it cannot
    pass.
    """
    distinct = set(passed)
    if len(distinct) <= MOST_WINDOWS:
        return {each: each for each in distinct}
    steps = [step_s * cells for cells in _LADDER if step_s * cells < required_s]
    return {
        each: each if each >= required_s else max((step for step in steps if step <= each), default=step_s)
        for each in distinct
    }


# The labels that tell several models' metrics apart, for the selectors of a first policy.

_INNER = frozenset({"__name__", "mode", "le", "artifact_id", "registry_commit", "instance"})
_LATELY = "1d"


def proposed_selectors(
    metrics: Metrics, models: Mapping[str, Sequence[str]], names: MetricNames = RUNBOOK
) -> dict[str, str]:
    """Return a selector for each model that the metrics tell apart; none for the others.

    A label ``model`` with the model's name comes first. Otherwise it is a label with one value on all engines that
    serve the model's artifacts, and on no other model's engines. Their latencies have it too: a label of
    ``grinder_ml_model_info`` alone selects nothing else. One request.

    Args:
        models: the artifacts that each model of the registry points to.
        names: the metrics contract.

    Raises:
        MetricsError: the source gave no usable answer.
    """
    asked = {
        "timed": f"last_over_time({names.metric(f'{LATENCY}_count')}[{_LATELY}])",
        "info": f"last_over_time({names.metric(INFO)}[{_LATELY}])",
    }
    parts = split(metrics.query(joined(asked)).series)
    timed = parts.get("timed", ())
    there = (*timed, *parts.get("info", ()))
    named = {each.label("model") for each in timed or there}
    found = {}
    for name, artifacts in models.items():
        if name in named:
            found[name] = f"model={quoted(name)}"
            continue
        ours = [each for each in parts.get("info", ()) if each.label(names.artifact) in artifacts]
        others = [each for each in parts.get("info", ()) if each.label(names.artifact) not in artifacts]
        telling = _telling(ours, others, timed, names)
        if telling:
            found[name] = telling
    return found


def _telling(ours: Sequence[Series], others: Sequence[Series], timed: Sequence[Series], names: MetricNames) -> str:
    """Return the first label (``model``, then by name) with one value that only these series have; else empty."""
    inner = _INNER | names.inner
    labels = sorted(
        {name for each in ours for name, _ in each.labels} - inner, key=lambda name: (name != "model", name)
    )
    for label in labels:
        values = {each.label(label) for each in ours}
        shown = not timed or not values.isdisjoint(each.label(label) for each in timed)
        if shown and len(values) == 1 and values.isdisjoint(each.label(label) for each in others):
            return f"{label}={quoted(values.pop())}"
    return ""
