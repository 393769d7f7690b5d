"""What a robust test finds odd in a day's lines, in words with effect sizes.

Rank tests and medians only: latencies are skewed, and one burst must not hide or make a finding. Neighbouring windows
resemble each other, which makes every p-value look too good; so a finding also needs a large effect and a difference
of medians that a person would care about. Sources: Mann and Whitney 1947; Cliff 1993 (delta, large from 0.474, Romano
2006); Leys et al. 2013 (median absolute deviation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from ml.clock import format_utc
from ml.slo.charts import Chart, Line
from ml.verdict import Code, Fact, Finding, Verdict, finding

_LARGE, _RARE, _CARED = 0.474, 0.001, 0.10
_FEWEST = 12
_SPIKE_MADS, _SPIKE_RATIO = 8.0, 1.5
_LEAST_SPREAD = 0.02


def oddities(charts: Sequence[Chart]) -> tuple[str, ...]:
    """What `noted` noted, as sentences for the reviewer."""
    return tuple(each.why for each in noted(charts))


def noted(charts: Sequence[Chart]) -> tuple[Finding, ...]:
    """Shifts between the halves of the day, shadow against active, spikes, gaps and blocks.

    Each is WAIT, because a person has to answer it: it closes no gate by itself.
    """
    return tuple(found for chart in charts for found in _of_chart(chart))


def _odd(code: Code, why: str, **values: Fact | datetime) -> Finding:
    return finding(Verdict.WAIT, code, why, **values)


def _of_chart(chart: Chart) -> Iterable[Finding]:
    for line in chart.lines:
        if line.stage == "shadow":
            yield from _halves(chart, line)
            yield from _against_active(chart, line)
            yield from _spikes(chart, line)
    yield from _gaps(chart)
    if chart.unit == "blocks":
        yield from _blocks(chart)


def _halves(chart: Chart, line: Line) -> Iterable[Finding]:
    middle = len(line.values) // 2
    first, second = _numbers(line.values[:middle]), _numbers(line.values[middle:])
    shift = _shift(first, second)
    if shift:
        why = f"{line.title} {shift.said(chart.unit)} from the first half of the day to the second."
        yield _odd(Code.SHIFTED, why, line=line.title, **shift.facts())


def _against_active(chart: Chart, line: Line) -> Iterable[Finding]:
    active = chart.line(line.name, "active")
    shift = _shift(active.numbers, line.numbers) if active else None
    if shift:
        why = f"{line.title} {shift.said(chart.unit)} against active."
        yield _odd(Code.DIFFERS_FROM_ACTIVE, why, line=line.title, **shift.facts())


@dataclass(frozen=True, slots=True)
class _Shift:
    """How a second sample lies against a first: both medians, and Cliff's delta, from -1 to 1."""

    before: float
    after: float
    delta: float

    def facts(self) -> dict[str, float]:
        return {"before": self.before, "after": self.after, "effect": self.delta}

    def said(self, unit: str) -> str:
        way = "is higher" if self.delta > 0 else "is lower"
        medians = f"median {_said(self.before, unit)} → {_said(self.after, unit)}"
        return f"{way}: {medians} (effect {abs(self.delta):.2f} of 1, large)"


def _shift(before: Sequence[float], after: Sequence[float]) -> _Shift | None:
    """How the second sample lies against the first; ``None`` when that is nothing to speak of."""
    from scipy import stats  # noqa: PLC0415  costs a second, and only a review needs it

    if min(len(before), len(after)) < _FEWEST:
        return None
    old, new = median(before), median(after)
    if old == new or abs(new - old) < _CARED * max(abs(old), abs(new)):
        return None
    test = stats.mannwhitneyu(after, before, alternative="two-sided")
    delta = 2 * float(test.statistic) / (len(before) * len(after)) - 1
    if float(test.pvalue) >= _RARE or abs(delta) < _LARGE:
        return None
    return _Shift(old, new, delta)


def _spikes(chart: Chart, line: Line) -> Iterable[Finding]:
    from scipy import stats  # noqa: PLC0415  costs a second, and only a review needs it

    numbers = line.numbers
    if len(numbers) < _FEWEST:
        return
    middle = median(numbers)
    spread = max(float(stats.median_abs_deviation(numbers, scale="normal")), _LEAST_SPREAD * abs(middle))
    if spread == 0:
        return
    high = {
        index: (value - middle) / spread
        for index, value in enumerate(line.values)
        if value is not None and value > _SPIKE_RATIO * middle and (value - middle) / spread > _SPIKE_MADS
    }
    if high:
        top = max(high, key=lambda index: high[index])
        value, moment = line.values[top] or 0.0, chart.moment(top)
        windows = f"{len(high)} of {len(line.values)} windows"
        why = (
            f"{line.title} spikes in {windows}, highest {_said(value, chart.unit)} "
            f"at {format_utc(moment)} ({_times(high[top])} deviations above the median)."
        )
        seen = {"spikes": len(high), "windows": len(line.values), "highest": value, "deviations": high[top]}
        yield _odd(Code.SPIKED, why, line=line.title, at=moment, **seen)


def _gaps(chart: Chart) -> Iterable[Finding]:
    for line in chart.lines:
        missing = len(line.values) - len(line.numbers)
        if line.stage == "shadow" and 0 < missing < len(line.values):
            why = f"{line.title} was not measured in {missing} of {len(line.values)} windows."
            yield _odd(Code.UNMEASURED, why, line=line.title, missing=missing, windows=len(line.values))


def _blocks(chart: Chart) -> Iterable[Finding]:
    for line in chart.lines:
        blocked = sum(line.numbers)
        if blocked >= 1:
            why = f"{blocked:,.0f} snapshots were blocked by {line.name}."
            yield _odd(Code.SNAPSHOTS_BLOCKED, why, reason=line.name, blocked=blocked)


def _numbers(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)


def _times(deviations: float) -> str:
    return f"{deviations:.0f}" if deviations < 100 else "over 99"


def _said(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}"
