"""What was measured for one objective: the answers to its questions, taken apart into numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo.source import Series
from ml.slo.v1 import questions as ask
from ml.slo.v1.clocks import moment_of
from ml.text import visible

if TYPE_CHECKING:
    from ml.policy import Objective


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst of some series. ``value`` is NaN when none is a number; ``infinite``: one of them is ±Inf."""

    value: float
    name: str
    series: int
    infinite: bool = False

    @property
    def is_number(self) -> bool:
        """Whether there is something that can be compared with a limit."""
        return math.isfinite(self.value) and not self.infinite


def worst_of(series: Sequence[Series]) -> Worst | None:
    """The highest last value; ``None`` of no series. NaN gives way to numbers: an idle instance judges nothing."""
    if not series:
        return None
    values = [each.points[-1][1] for each in series if each.points]
    infinite = any(math.isinf(value) for value in values)
    numbers = [(each.points[-1][1], each) for each in series if each.points and math.isfinite(each.points[-1][1])]
    if not numbers:
        return Worst(math.nan, "", len(series), infinite)
    value, at = max(numbers, key=lambda pair: pair[0])
    return Worst(value, name_of(at), len(series), infinite)


def name_of(series: Series) -> str:
    """A series by its labels, the metric's name left out, safe to print."""
    inside = ",".join(f"{key}={value}" for key, value in series.labels if key != "__name__")
    return visible(inside, limit=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The numbers behind one reading. Counts are PromQL's estimates; ``None`` where there was no series.

    ``samples`` are inferences in the long window, ``lately`` in the short one, ``lively`` in the last hour.
    ``covered`` counts the short windows of the long one that hold data. ``top`` is the histogram's top finite
    bound. ``blind`` are instances that infer without counting it, ``uncounted`` those without an error counter.
    ``misspelled`` pairs a selected ``le`` with the exporter's spelling of the same number.
    """

    long: Worst | None
    short: Worst | None
    shown: Worst | None
    samples: float | None
    lately: float | None
    lively: float | None
    newest: datetime | None
    covered: float | None
    top: float | None = None
    blind: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    misspelled: tuple[tuple[str, str], ...] = ()


def measured(objective: Objective, stage: str, answers: Mapping[str, tuple[Series, ...]]) -> Measured:
    """Take the answers to `ml.slo.v1.questions.questions` apart."""
    newest = _number(answers.get(ask.NEWEST, ()))
    return Measured(
        long=worst_of(answers.get(ask.LONG, ())),
        short=worst_of(answers.get(ask.SHORT, ())),
        # The runbook's error query does not select a mode; the other stage's series are not ours.
        shown=worst_of([each for each in answers.get(ask.SHOWN, ()) if each.label("mode") in ("", stage)]),
        samples=_number(answers.get(ask.SAMPLES, ())),
        lately=_number(answers.get(ask.LATELY, ())),
        lively=_number(answers.get(ask.LIVELY, ())),
        newest=None if newest is None else moment_of(newest),
        covered=_number(answers.get(ask.COVERED, ())),
        top=_top(answers.get(ask.BOUNDS, ())),
        blind=tuple(name_of(each) for each in answers.get(ask.BLIND, ())),
        uncounted=tuple(name_of(each) for each in answers.get(ask.UNCOUNTED, ())),
        misspelled=tuple(_misspelled(objective, answers)),
    )


def _number(series: Sequence[Series]) -> float | None:
    value = series[0].points[-1][1] if series and series[0].points else math.nan
    return value if math.isfinite(value) else None


def bound(text: str) -> float:
    """A bucket's bound as the number that it is, so that ``100`` and ``100.0`` are one; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _top(series: Sequence[Series]) -> float | None:
    return max((at for each in series if math.isfinite(at := bound(each.label("le")))), default=None)


def _misspelled(objective: Objective, answers: Mapping[str, tuple[Series, ...]]) -> Sequence[tuple[str, str]]:
    exported = {each.label("le") for key, found in answers.items() if key.startswith(ask.SPELLED) for each in found}
    by_number = {bound(text): text for text in exported}
    return [
        (visible(text, limit=40), visible(by_number[bound(text)], limit=40))
        for text in ask.selected_bounds(objective)
        if text not in exported and bound(text) in by_number
    ]
