"""What a robust test finds odd in a day's lines, in words with effect sizes.

Rank tests and medians only: latencies are skewed, and one burst must not hide or make a finding. Neighbouring windows
resemble each other, which makes every p-value look too good; so a finding also needs a large effect and a difference
of medians that a person would care about. Sources: Mann and Whitney 1947; Cliff 1993 (delta, large from 0.474, Romano
2006); Leys et al. 2013 (median absolute deviation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from ml.clock import format_utc
from ml.slo.v1.charts import Chart, Line

_LARGE, _RARE, _CARED = 0.474, 0.001, 0.10
_FEWEST = 12
_SPIKE_MADS, _SPIKE_RATIO = 8.0, 1.5
_LEAST_SPREAD = 0.02


def oddities(charts: Sequence[Chart]) -> tuple[str, ...]:
    """Sentences about shifts between the halves of the day, shadow against active, spikes, gaps and blocks."""
    return tuple(sentence for chart in charts for sentence in _of_chart(chart))


def _of_chart(chart: Chart) -> Iterable[str]:
    for line in chart.lines:
        if line.stage == "shadow":
            yield from _halves(chart, line)
            yield from _against_active(chart, line)
            yield from _spikes(chart, line)
    yield from _gaps(chart)
    if chart.unit == "blocks":
        yield from _blocks(chart)


def _halves(chart: Chart, line: Line) -> Iterable[str]:
    middle = len(line.values) // 2
    first, second = _numbers(line.values[:middle]), _numbers(line.values[middle:])
    shift = _shift(first, second, chart.unit)
    if shift:
        yield f"{line.title} {shift} from the first half of the day to the second."


def _against_active(chart: Chart, line: Line) -> Iterable[str]:
    active = chart.line(line.name, "active")
    shift = _shift(active.numbers, line.numbers, chart.unit) if active else ""
    if shift:
        yield f"{line.title} {shift} against active."


def _shift(before: Sequence[float], after: Sequence[float], unit: str) -> str:
    """How the second sample lies against the first, in words; empty when that is nothing to speak of."""
    from scipy import stats  # noqa: PLC0415  costs a second, and only a review needs it

    if min(len(before), len(after)) < _FEWEST:
        return ""
    old, new = median(before), median(after)
    if old == new or abs(new - old) < _CARED * max(abs(old), abs(new)):
        return ""
    test = stats.mannwhitneyu(after, before, alternative="two-sided")
    delta = 2 * float(test.statistic) / (len(before) * len(after)) - 1
    if float(test.pvalue) >= _RARE or abs(delta) < _LARGE:
        return ""
    way = "is higher" if delta > 0 else "is lower"
    return f"{way}: median {_said(old, unit)} → {_said(new, unit)} (effect {abs(delta):.2f} of 1, large)"


def _spikes(chart: Chart, line: Line) -> Iterable[str]:
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
        value, moment = line.values[top] or 0.0, format_utc(chart.moment(top))
        yield (
            f"{line.title} spikes in {len(high)} of {len(line.values)} windows, highest {_said(value, chart.unit)} "
            f"at {moment} ({_times(high[top])} deviations above the median)."
        )


def _gaps(chart: Chart) -> Iterable[str]:
    for line in chart.lines:
        missing = len(line.values) - len(line.numbers)
        if line.stage == "shadow" and 0 < missing < len(line.values):
            yield f"{line.title} was not measured in {missing} of {len(line.values)} windows."


def _blocks(chart: Chart) -> Iterable[str]:
    for line in chart.lines:
        blocked = sum(line.numbers)
        if blocked >= 1:
            yield f"{blocked:,.0f} snapshots were blocked by {line.name}."


def _numbers(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)


def _times(deviations: float) -> str:
    return f"{deviations:.0f}" if deviations < 100 else "over 99"


def _said(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}"
