"""The engines behind a stage's numbers: identifying labels, served artifacts, and duplicates. Pure.

The same engine may be scraped by two jobs, or be seen through both halves of a pair of Prometheus servers. It then
stands there twice with the same counters, and counts once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from ml.metrics_contract import RUNBOOK, MetricNames
from ml.slo.promql import ENGINE, Attribution, Scope
from ml.slo.source import Series
from ml.text import visible
from ml.verdict import Finding

TIMED, COUNTED, FAILED, ACTIVE, INFO_PART = "timed", "counted", "failed", "active", "info"
"""The parts of the roster query: latencies, successes, errors by mode, the gauge of deciding engines, what is
served."""

Engine = tuple[tuple[str, str], ...]
"""An engine by its identifying labels, sorted by name."""

_INNER = frozenset({"__name__", "mode", "le", "artifact_id", "registry_commit", "reason", "quantile"})
_OBSERVER = re.compile(
    r"(?:.*_)?(?:job|replica|replica_label|prometheus|monitor|scrape|scraper|pod_template_hash|ha)_*"
)
"""Labels of the observer, not of the observed engine."""
_ALIKE = 0.02
_FEWEST_GAPS = 2


@dataclass(frozen=True, slots=True)
class Roster:
    """The engines in one stage of one model.

    ``by``: the labels that tell engines apart. ``totals``: each engine with its count of inferences as it stands.
    ``serving``: the artifacts that each engine reported within the window. ``models``: the values of the label
    ``model`` that were found. ``scrape_s``: the seconds between two scrapes of an engine, ``None`` when unknown.
    ``counting``: the instances with counters of this mode. ``unsaid``: the labels of the latencies of engines that do
    not say what they serve. ``warnings``: the source's, so that engines may be missing.
    ``failure``: the reason why nothing of all this is known. ``born``: some counter may have been born in the window.
    """

    by: tuple[str, ...] = ENGINE
    totals: Mapping[Engine, float] | None = None
    serving: Mapping[Engine, frozenset[str]] | None = None
    models: tuple[str, ...] = ()
    modeless: bool = True
    scrape_s: float | None = None
    failure: Finding | None = None
    born: bool = True
    counting: frozenset[str] = frozenset()
    unsaid: tuple[tuple[tuple[str, str], ...], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The engines by name, each once."""
        totals = self.totals or {}
        return tuple(name_of(engine, totals) for engine in distinct(totals))

    @property
    def instances(self) -> frozenset[str]:
        """The values of the label ``instance`` of engines that infer, serve or count in this stage."""
        engines = (*(self.totals or ()), *(self.serving or ()))
        return (frozenset(dict(engine).get("instance", "") for engine in engines) | self.counting) - {""}

    def narrowed(self, scope: Scope) -> Scope:
        """Return a scope that tells these engines apart and counts only its artifact's numbers."""
        return replace(
            scope,
            by=self.by,
            attribution=self.attribution if scope.artifact_id else Attribution.MODE,
            swapped=self.swapped(scope.artifact_id),
            modeless=self.modeless,
        )

    @property
    def attribution(self) -> Attribution:
        """The tie of the numbers to the artifact: the report of all engines, of some, or of none."""
        known = set(self.serving or ())
        if not known:
            return Attribution.MODE
        return Attribution.MIXED if set(self.totals or ()) - known else Attribution.ARTIFACT

    def swapped(self, artifact_id: str) -> bool:
        """True if some engine served another artifact within the window."""
        return any(artifacts - {artifact_id} for artifacts in (self.serving or {}).values())

    def others(self, artifact_id: str) -> tuple[str, ...]:
        """Return the other artifacts that were served, sorted."""
        return tuple(sorted({each for found in (self.serving or {}).values() for each in found} - {artifact_id}))


NOBODY = Roster()
"""The roster before any answer."""


def roster_of(
    parts: Mapping[str, Sequence[Series]],
    scrape_s: float | None = None,
    *,
    lacking: frozenset[str] = frozenset(),
    modeless: bool | None = None,
    names: MetricNames = RUNBOOK,
) -> Roster:
    """Read the answers to the roster query.

    Args:
        lacking: labels that some counter or gauge without a part here does not have.
        modeless: true if some counter has no label ``mode``, where that was asked for apart.
        names: the metrics contract of the engines.
    """
    timed = parts.get(TIMED, ())
    by = tuple(name for name in telling(parts, names) if name not in lacking)
    serving: dict[Engine, set[str]] = {}
    for each in parts.get(INFO_PART, ()):
        if each.points and each.points[-1][1] > 0:
            serving.setdefault(engine_of(each, by), set()).add(each.label(names.artifact))
    totals: dict[Engine, float] = {}
    for each in timed:
        engine = engine_of(each, by)
        totals[engine] = totals.get(engine, 0.0) + (each.points[-1][1] if each.points else 0.0)
    counted = (*parts.get(COUNTED, ()), *parts.get(FAILED, ()))
    return Roster(
        by=by,
        totals=totals,
        serving={engine: frozenset(artifacts) for engine, artifacts in serving.items()},
        models=tuple(sorted({each.label("model") for each in timed} - {""})),
        modeless=(not counted or any(not each.label(names.mode) for each in counted)) if modeless is None else modeless,
        scrape_s=scrape_s,
        unsaid=tuple(each.labels for each in timed if engine_of(each, by) not in serving),
        counting=frozenset(each.label("instance") for each in counted if each.label(names.mode)),
    )


def telling(parts: Mapping[str, Sequence[Series]], names: MetricNames = RUNBOOK) -> tuple[str, ...]:
    """The labels that every kind of metric has: those of the target, not those inside of one metric."""
    inner = names.inner | {label for label, _ in (*names.successes.where, *names.errors.where, *names.latency.where)}
    found = (_names(parts.get(part, ())) for part in (TIMED, COUNTED, ACTIVE, INFO_PART))
    kinds = [labels - inner for labels in found if labels]
    return tuple(sorted(frozenset.intersection(*kinds))) if kinds else ENGINE


def _names(series: Sequence[Series]) -> frozenset[str]:
    return frozenset(name for each in series for name, _ in each.labels) - _INNER


def engine_of(series: Series, by: Sequence[str] | None = None) -> Engine:
    """Return the engine of a series; without ``by``, all labels identify it."""
    return tuple(pair for pair in series.labels if pair[0] not in _INNER and (by is None or pair[0] in by))


def name_of(engine: Engine, among: Iterable[Engine] = ()) -> str:
    """Return an engine's name for people: its instance, and other identifying labels; safe to print."""
    labels = dict(engine)
    instance = labels.get("instance") or labels.get("pod") or ""
    same = [dict(other) for other in among if other != engine and dict(other).get("instance", "") == instance]
    differing = [name for name in labels if name != "instance" and any(o.get(name) != labels[name] for o in same)]
    if not instance:
        differing = list(labels)
    labels_text = ",".join(f"{name}={labels[name]}" for name in differing)
    return visible(", ".join(part for part in (instance, labels_text) if part), limit=120)


def distinct(counts: Mapping[Engine, float]) -> tuple[Engine, ...]:
    """Return the engines, each once. Of duplicates, the one with the smallest count remains.

    Two are one when they have the same instance, differ only in labels that tell who looked (a job, a replica of
    Prometheus), and counted the same, up to what a scrape more or less makes.
    """
    kept: list[Engine] = []
    for engine in sorted(counts, key=lambda each: (counts[each], each)):
        if not any(_same(engine, other) and _alike(counts[engine], counts[other]) for other in kept):
            kept.append(engine)
    return tuple(sorted(kept))


def _same(one: Engine, other: Engine) -> bool:
    first, second = dict(one), dict(other)
    if not first.get("instance") or first["instance"] != second.get("instance"):
        return False
    names = {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}
    return all(_OBSERVER.fullmatch(name) for name in names)


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= max(_ALIKE * max(one, other), 1.0)


def scrape_interval(series: Sequence[Series]) -> float | None:
    """The seconds between two scrapes, from raw samples: the longest of the engines' usual gaps."""
    usual = []
    for each in series:
        moments = [at for at, _ in each.points]
        gaps = [after - before for before, after in pairwise(moments) if after > before]
        if len(gaps) >= _FEWEST_GAPS:
            usual.append(median(gaps))
    return max(usual, default=None)
