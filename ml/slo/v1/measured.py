"""The measurements of one objective: the answers to its questions, as numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml.clock import span
from ml.slo.exchanges import Exchange, Failure
from ml.slo.source import Answer, Series
from ml.slo.v1 import questions as ask
from ml.text import visible
from ml.verdict import Verdict

if TYPE_CHECKING:
    from ml.policy import Objective


# Checks of clocks: our wall clock against Prometheus's, and jumps of ours between question and answer. Pure.

Finding = tuple[Verdict, str]
"""A verdict, and one sentence of why."""

SKEW_S = 5.0
"""How far Prometheus's clock may be from ours before ages mean nothing."""
_JUMP_S = 120.0
"""How much later than the judgement's ``now`` its last question may be asked: longer is a suspended machine."""


def moment_of(seconds: float) -> datetime | None:
    """A Unix time that a query computed, as a moment in UTC; ``None`` where it is none."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def skew_of(answer: Answer) -> float | None:
    """Prometheus's clock minus ours in seconds, from an answer that was evaluated at the server's own now."""
    moments = [point[0] for series in answer.series for point in series.points]
    if not moments:
        return None
    # The server evaluated somewhere between question and answer; only what lies outside of that is skew.
    ahead = max(moments) - answer.asked_at.timestamp()
    return ahead if ahead < 0 else max(0.0, ahead - answer.seconds)


def skewed(skew_s: float | None) -> Finding | None:
    """Return a finding if the two clocks are too far apart to compare times."""
    if skew_s is None or abs(skew_s) <= SKEW_S:
        return None
    side = "ahead of" if skew_s > 0 else "behind"
    return Verdict.NO_DATA, f"Prometheus's clock is {span(abs(skew_s))} {side} ours, so no age can be trusted."


def clock_doubt(clock: Exchange, exchanges: Sequence[Exchange], now: datetime) -> Finding | None:
    """Return a finding if no time can be trusted: Prometheus's clock is unknown or skewed, or ours jumped."""
    if isinstance(clock, Failure):
        return Verdict.ERROR, clock.cause
    for exchange in exchanges:
        if isinstance(exchange, Answer):
            later = (exchange.asked_at - now).total_seconds()
            if not -SKEW_S <= later <= _JUMP_S:
                way = "forward" if later > 0 else "back"
                return Verdict.NO_DATA, f"The wall clock went {way} by {span(abs(later))} while Prometheus was asked."
    return skewed(skew_of(clock))


def length(seconds: float) -> str:
    """A window's length in words, hours not turned into days: ``24h``, ``18h20m``, ``5m``."""
    minutes = int(seconds) // 60
    hours, rest = divmod(minutes, 60)
    if not minutes:
        return span(seconds)
    return (f"{hours}h" if hours else "") + (f"{rest:02}m" if hours and rest else f"{rest}m" if rest else "")


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst of some series. ``value`` is NaN when none is a number; ``infinite``: one of them is ±Inf."""

    value: float
    name: str
    series: int
    infinite: bool = False

    @property
    def is_number(self) -> bool:
        """True if the value can be compared with a limit."""
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
    """A bucket's bound as a number, so that ``100`` and ``100.0`` are equal; NaN where it is none."""
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
