"""Two answers to one question, recorded and asked again: where they differ, within the noise of floats. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml.slo.source import Ask, Series

SETTLE_S = 120.0
"""How long after its time a sample may still arrive."""

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
_LATE_SHARE, _LATE_S = 0.05, 120.0
"""What late samples may change: a share of a number, or seconds of a value that is itself a time."""

_Points = Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that the source tells otherwise than the evidence: when, what was recorded, what is found.

    ``None`` stands for no number at all.
    """

    ask: Ask
    at: float
    recorded: float | None
    found: float | None


@dataclass(frozen=True, slots=True)
class Compared:
    """What two answers differ in, and whether late samples explain a smaller difference."""

    differences: tuple[Difference, ...] = ()
    late: bool = False


def compare(ask: Ask, recorded: Sequence[Series], found: Sequence[Series], settled: float) -> Compared:
    """Two answers to one question, whatever the order of their series.

    ``settled`` is the Unix time up to which every number must be the same; after it late samples may show.
    """
    told, seen = _by_labels(recorded), _by_labels(found)
    if told is None or seen is None:
        return Compared((Difference(ask, settled, None, None),))  # the same series twice is no answer of a Prometheus
    differences: list[Difference] = []
    late = False
    for labels in sorted(told.keys() | seen.keys()):
        ours, theirs = told.get(labels, {}), seen.get(labels, {})
        for at in sorted(ours.keys() | theirs.keys()):
            one, other = ours.get(at), theirs.get(at)
            if _same(one, other):
                continue
            if at > settled and _late(one, other, settled):
                late = True
            else:
                differences.append(Difference(ask, at, one, other))
    return Compared(tuple(differences), late)


def _by_labels(series: Sequence[Series]) -> dict[tuple[tuple[str, str], ...], _Points] | None:
    found: dict[tuple[tuple[str, str], ...], _Points] = {}
    for each in series:
        points = dict(each.points)
        if each.labels in found or len(points) != len(each.points):
            return None
        found[each.labels] = points
    return found


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def _late(one: float | None, other: float | None, settled: float) -> bool:
    """Whether samples that arrived late explain a difference at the edge. Whole series never come or go there."""
    if one is None or other is None or not (math.isfinite(one) and math.isfinite(other)):
        return False
    if max(one, other) > settled / 2:  # a value that is itself a time: only one of the last moments may move
        return min(one, other) > settled - _LATE_S and abs(one - other) <= _LATE_S
    return math.isclose(one, other, rel_tol=_LATE_SHARE, abs_tol=_ABSOLUTE)
