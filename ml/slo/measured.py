"""The measurements of one objective: the answers to its questions, as numbers by engine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo import questions as ask
from ml.slo.clocks import moment_of
from ml.slo.engines import Engine, distinct, engine_of, name_of
from ml.slo.source import Series
from ml.text import visible

if TYPE_CHECKING:
    from ml.policy import Objective

_ALWAYS = 0.99
"""The share of a window from which a bucket counts as there all the time."""


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst of some series. ``value`` is NaN when none is a number; ``infinite``: one of them is ±Inf."""

    value: float
    name: str
    series: int
    infinite: bool = False
    engine: Engine = ()

    @property
    def is_number(self) -> bool:
        """True if the value can be compared with a limit."""
        return math.isfinite(self.value) and not self.infinite


def worst_of(series: Sequence[Series]) -> Worst | None:
    """The highest last value; ``None`` of no series. NaN gives way to numbers: an idle engine judges nothing."""
    if not series:
        return None
    values = [each.points[-1][1] for each in series if each.points]
    infinite = any(math.isinf(value) for value in values)
    numbers = [(each.points[-1][1], each) for each in series if each.points and math.isfinite(each.points[-1][1])]
    if not numbers:
        return Worst(math.nan, "", len(series), infinite)
    value, at = max(numbers, key=lambda pair: pair[0])
    engines = [engine_of(each) for each in series]
    return Worst(value, name_of(engine_of(at), engines), len(set(engines)), infinite, engine_of(at))


@dataclass(frozen=True, slots=True)
class Buckets:
    """The finite bounds of one engine's histogram, rising: those that were there throughout, and the top one."""

    bounds: tuple[float, ...]
    top: float | None

    def around(self, value: float, limit: float) -> tuple[float, float] | None:
        """The range of a quantile, where the limit lies within it too: the side of the limit is unknown."""
        if limit in self.bounds:
            return None
        low = max((each for each in self.bounds if each < limit), default=0.0)
        high = min((each for each in self.bounds if each > limit), default=math.inf)
        # At the top bound the quantile is that or more, so it lies above the limit.
        beyond = value > high or (value == high == self.top)
        return None if value <= low or beyond or high == math.inf else (low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The numbers behind one reading. Counts are PromQL's estimates, by engine; an engine without a series has none.

    ``samples`` are inferences in the long window, ``lately`` in the short one, ``lively`` in the last hour; ``newest``
    is the newest sample of each engine that is there now, and ``seen`` its scrapes in the long window.
    ``covered`` counts the short windows of the long one that hold data of any engine. ``blind`` are engines that infer
    without counting it, ``uncounted`` those without an error counter, ``blended`` those that infer in two modes
    with counters without a mode, ``down`` those that do not answer scrapes. ``misspelled`` pairs a selected ``le``
    with the exporter's spelling of the same number.
    """

    long: Worst | None
    short: Worst | None
    shown: Worst | None
    longs: Mapping[Engine, float] = field(default_factory=dict)
    shorts: Mapping[Engine, float] = field(default_factory=dict)
    samples: Mapping[Engine, float] = field(default_factory=dict)
    lately: Mapping[Engine, float] = field(default_factory=dict)
    lively: Mapping[Engine, float] = field(default_factory=dict)
    newest: Mapping[Engine, datetime] = field(default_factory=dict)
    seen: Mapping[Engine, float] = field(default_factory=dict)
    covered: float | None = None
    buckets: Mapping[Engine, Buckets] = field(default_factory=dict)
    blind: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    blended: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    misspelled: tuple[tuple[str, str], ...] = ()

    @property
    def total(self) -> float | None:
        """Inferences of all engines in the long window, each engine once; ``None`` where nothing was counted."""
        if not self.samples:
            return None
        return sum(self.samples[engine] for engine in distinct(self.samples))

    def name(self, engine: Engine) -> str:
        """An engine's name among all that were measured."""
        return name_of(engine, {*self.samples, *self.newest, *self.longs})

    def several(self) -> bool:
        """True if more than one engine was measured."""
        return len({*self.samples, *self.newest}) > 1


def measured(objective: Objective, stage: str, answers: Mapping[str, tuple[Series, ...]]) -> Measured:
    """Take the answers to `ml.slo.questions.questions` apart."""
    moments = {engine: moment_of(at) for engine, at in by_engine(answers.get(ask.NEWEST, ())).items()}
    return Measured(
        long=worst_of(answers.get(ask.LONG, ())),
        short=worst_of(answers.get(ask.SHORT, ())),
        # The runbook's error query does not select a mode; the other stage's series are not ours.
        shown=worst_of([each for each in answers.get(ask.SHOWN, ()) if each.label("mode") in ("", stage)]),
        longs=by_engine(answers.get(ask.LONG, ())),
        shorts=by_engine(answers.get(ask.SHORT, ())),
        samples=by_engine(answers.get(ask.SAMPLES, ())),
        lately=by_engine(answers.get(ask.LATELY, ())),
        lively=by_engine(answers.get(ask.LIVELY, ())),
        newest={engine: at for engine, at in moments.items() if at is not None},
        seen=by_engine(answers.get(ask.SEEN, ())),
        covered=_number(answers.get(ask.COVERED, ())),
        buckets=buckets_of(answers.get(ask.BOUNDS, ())),
        blind=_named(answers.get(ask.BLIND, ())),
        uncounted=_named(answers.get(ask.UNCOUNTED, ())),
        blended=_named(answers.get(ask.BLENDED, ())),
        down=_named(answers.get(ask.DOWN, ())),
        misspelled=tuple(_misspelled(objective, answers)),
    )


def by_engine(series: Sequence[Series]) -> dict[Engine, float]:
    """The last finite value of each engine; of several series of one engine the highest."""
    found: dict[Engine, float] = {}
    for each in series:
        value = each.points[-1][1] if each.points else math.nan
        if math.isfinite(value):
            engine = engine_of(each)
            found[engine] = max(value, found.get(engine, value))
    return found


def buckets_of(series: Sequence[Series]) -> dict[Engine, Buckets]:
    """The bounds of each engine's histogram, from the share of the window in which each bucket was there."""
    shares: dict[Engine, dict[float, float]] = {}
    for each in series:
        of_engine = shares.setdefault(engine_of(each), {})
        at = bound(each.label("le"))
        if math.isfinite(at) and each.points:
            # The same bound under two spellings is one.
            of_engine[at] = of_engine.get(at, 0.0) + each.points[-1][1]
    return {
        engine: Buckets(
            bounds=tuple(sorted(at for at, share in found.items() if share >= _ALWAYS)),
            top=max(found, default=None),
        )
        for engine, found in shares.items()
    }


def _named(series: Sequence[Series]) -> tuple[str, ...]:
    engines = [engine_of(each) for each in series]
    return tuple(sorted({name_of(engine, engines) for engine in engines}))


def _number(series: Sequence[Series]) -> float | None:
    value = series[0].points[-1][1] if series and series[0].points else math.nan
    return value if math.isfinite(value) else None


def bound(text: str) -> float:
    """A bucket's bound as a number, so that ``100`` and ``100.0`` are equal; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _misspelled(objective: Objective, answers: Mapping[str, tuple[Series, ...]]) -> Sequence[tuple[str, str]]:
    exported = {each.label("le") for key, found in answers.items() if key.startswith(ask.SPELLED) for each in found}
    by_number = {bound(text): text for text in exported}
    return [
        (visible(text, limit=40), visible(by_number[bound(text)], limit=40))
        for text in ask.selected_bounds(objective)
        if text not in exported and bound(text) in by_number
    ]
