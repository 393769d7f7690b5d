"""The dashboard review: a day of shadow against active as charts, a drawing for the evidence, and oddities.

A person looks and types a finding; this only makes sure that what there is to see was seen (runbook step 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING

from ml.clock import format_utc
from ml.metrics_contract import BLOCKS, RUNBOOK, MetricNames
from ml.slo.charts import Chart, Line, draw
from ml.slo.exchanges import Exchange, Failure, Recorder, warned
from ml.slo.measured import Terms
from ml.slo.promql import Scope, joined, split
from ml.slo.questions import duration
from ml.slo.source import Metrics, Series
from ml.slo.tape import Grid, row
from ml.stage import Stage
from ml.text import visible
from ml.units import figure
from ml.verdict import Code, Fact, Finding, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


# Robust tests for oddities in a day's lines, in words with effect sizes.
#
# Rank tests and medians only: latencies are skewed, and one burst must not hide or make a finding. Neighboring windows
# resemble each other, which makes every p-value look too good; so a finding also needs a large effect and a difference
# of medians that a person would care about. Sources: Mann and Whitney 1947; Cliff 1993 (delta, large from 0.474, Romano
# 2006); Leys et al. 2013 (median absolute deviation).

_LARGE, _RARE, _CARED = 0.474, 0.001, 0.10
_FEWEST = 12
_SPIKE_MADS, _SPIKE_RATIO = 8.0, 1.5
_LEAST_SPREAD = 0.02


def oddities(charts: Sequence[Chart]) -> tuple[str, ...]:
    """Return the findings of `noted` as sentences for the reviewer."""
    return tuple(each.why for each in noted(charts))


def noted(charts: Sequence[Chart]) -> tuple[Finding, ...]:
    """Find shifts between the halves of the day, shadow against active, spikes, gaps and blocks.

    Each is WAIT, because a person must answer it: it alone closes no gate.
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
    """The shift of a second sample against a first: both medians, and Cliff's delta, from -1 to 1."""

    before: float
    after: float
    delta: float

    def facts(self) -> dict[str, float]:
        return {"before": self.before, "after": self.after, "effect": self.delta}

    def said(self, unit: str) -> str:
        way = "is higher" if self.delta > 0 else "is lower"
        medians = f"median {figure(self.before, unit)} → {figure(self.after, unit)}"
        return f"{way}: {medians} (effect {abs(self.delta):.2f} of 1, large)"


def _shift(before: Sequence[float], after: Sequence[float]) -> _Shift | None:
    """Return the shift of the second sample against the first; ``None`` when it is negligible."""
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
            f"{line.title} spikes in {windows}, highest {figure(value, chart.unit)} "
            f"at {format_utc(moment)} ({_times(high[top])} deviations above the median)."
        )
        facts = {"spikes": len(high), "windows": len(line.values), "highest": value, "deviations": high[top]}
        yield _odd(Code.SPIKED, why, line=line.title, at=moment, **facts)


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


_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))
_STAGES = (Stage.SHADOW, Stage.ACTIVE)
_STEP_S, _CELLS = 300, 288


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The review's findings. ``trouble`` is why data is missing; ``problem`` is its sentence, or empty.

    ``oddities`` are sentences for the reviewer to answer, and ``noted`` the same as codes and values. ``svg`` is the
    drawing for the evidence.
    """

    model: str
    as_of: datetime
    charts: tuple[Chart, ...]
    oddities: tuple[str, ...]
    svg: bytes
    problem: str = ""
    responses: tuple[Exchange, ...] = ()
    noted: tuple[Finding, ...] = ()
    trouble: Finding | None = None


def review(metrics: Metrics, policy: Policy, model: str, now: datetime) -> Review:
    """Ask for the last 24 h and review them. Never raises for a failed source. Needs SciPy, which takes a second."""
    recorder = Recorder(metrics)
    inquiry = _Inquiry(recorder, Terms(policy, now), policy.selector(model), _grid(now), policy.metric_names(model))
    charts = (inquiry.latency(), inquiry.error_rate(), inquiry.blocks())
    odd = (*noted(charts), *inquiry.restarts())
    trouble = _trouble(recorder, charts[0])
    return Review(
        model=model,
        as_of=now,
        charts=charts,
        oddities=tuple(each.why for each in odd),
        svg=draw(charts, f"{visible(model)}: the 24 hours to {format_utc(now)}, shadow against active"),
        problem=trouble.why if trouble else "",
        responses=recorder.exchanges,
        noted=odd,
        trouble=trouble,
    )


def _grid(now: datetime) -> Grid:
    end = datetime.fromtimestamp(int(now.timestamp()), UTC)
    return Grid(end - timedelta(seconds=_CELLS * _STEP_S), _STEP_S, _CELLS)


def _trouble(recorder: Recorder, latency: Chart) -> Finding | None:
    for exchange in recorder.exchanges:
        if isinstance(exchange, Failure):
            return exchange.finding
        if exchange.warnings:
            return warned(exchange.warnings[0])
    if latency.line("p99", Stage.SHADOW) is None:
        why = "No latency of shadow was measured in the last 24 h, so there is nothing to review."
        return finding(Verdict.NO_DATA, Code.NOTHING_TO_REVIEW, why)
    return None


@dataclass(frozen=True, slots=True)
class _Inquiry:
    recorder: Recorder
    terms: Terms
    selector: str
    grid: Grid
    names: MetricNames

    def _scope(self, stage: Stage) -> Scope:
        return Scope(stage, self.selector, names=self.names)

    def latency(self) -> Chart:
        times = "1000 * " if self.names.milliseconds(self.terms.latency, "ms") else ""
        asked = {
            f"{stage}.{name}": f"{times}histogram_quantile({quantile}, sum by (le) (rate("
            f"{self._scope(stage).timed(self.terms.latency + '_bucket')}[{duration(_STEP_S)}])))"
            for stage in _STAGES
            for name, quantile in _QUANTILES
        }
        limits = {name: self._limit(quantile) for name, quantile in _QUANTILES}
        return self._chart("Latency", "ms", self._staged(asked, limits), limits["p99"])

    def _limit(self, quantile: float) -> float | None:
        """Return the policy's limit for a quantile of the latency."""
        about = (
            each
            for each in self.terms.policy.objectives
            if each.kind == "quantile" and each.quantile == quantile and each.metric == self.terms.latency
        )
        return next((each.limit for each in about), None)

    def error_rate(self) -> Chart:
        ratio = next((each for each in self.terms.policy.objectives if each.kind == "ratio"), None)
        if ratio is None:
            return Chart("Error rate", "%", self.grid.start, self.grid.step_s, ())
        asked = {f"{stage}.errors": _percent(ratio, self._scope(stage)) for stage in _STAGES}
        limit = ratio.limit * 100
        return self._chart("Error rate", "%", self._staged(asked, {"errors": limit}), limit)

    def blocks(self) -> Chart:
        # The runbook's counter has all reasons; of another one only the kill's matchers are known.
        blocked, scope = self.names.blocked, self._scope(Stage.SHADOW)
        blocks = scope.plain(BLOCKS) if blocked == RUNBOOK.blocked else scope.selecting(blocked)
        reason = blocked.where[0][0] if blocked.where else "reason"
        answers = self._ask({"blocks": f"sum by ({reason}) (increase({blocks}[{duration(_STEP_S)}]))"})
        lines = [
            Line(visible(series.label(reason), limit=80) or "blocked", "", row(self.grid, (series,)))
            for series in answers.get("blocks", ())
        ]
        return self._chart("Blocked snapshots", "blocks", tuple(sorted(lines, key=lambda line: line.name)))

    def restarts(self) -> tuple[Finding, ...]:
        """Return a finding if shadow engines restarted in the day."""
        count = self._scope(Stage.SHADOW).timed(f"{self.terms.latency}_count")
        window = duration(self.grid.cells * self.grid.step_s)
        answer = self.recorder.query(f"sum(resets({count}[{window}]))", at=self.terms.now)
        found = [] if isinstance(answer, Failure) else [each.points[-1][1] for each in answer.series if each.points]
        times = round(found[0]) if found and isfinite(found[0]) else 0
        if times < 1:
            return ()
        why = f"The shadow engines restarted {times:,} times in the last 24 h."
        return (finding(Verdict.WAIT, Code.RESTARTED, why, restarts=times),)

    def _chart(self, title: str, unit: str, lines: tuple[Line, ...], limit: float | None = None) -> Chart:
        """A chart of the question that was asked last."""
        asked = self.recorder.exchanges[-1:]
        problem = asked[0].cause if asked and isinstance(asked[0], Failure) else ""
        return Chart(title, unit, self.grid.start, self.grid.step_s, lines, limit, problem)

    def _staged(self, asked: Mapping[str, str], limits: Mapping[str, float | None]) -> tuple[Line, ...]:
        answers = self._ask(asked)
        keys = (key.partition(".") for key in asked)
        return tuple(
            Line(name, stage, row(self.grid, answers.get(f"{stage}.{name}", ())), limits[name])
            for stage, _, name in keys
        )

    def _ask(self, asked: Mapping[str, str]) -> dict[str, tuple[Series, ...]]:
        first, last = self.grid.end_of(0), self.grid.end_of(self.grid.cells - 1)
        answer = self.recorder.query_range(joined(asked), first, last, self.grid.step_s)
        return {} if isinstance(answer, Failure) else split(answer.series)


def _percent(ratio: Objective, scope: Scope) -> str:
    window = duration(_STEP_S)
    errors = f"sum(increase({scope.counted(str(ratio.errors))}[{window}]))"
    successes = f"sum(increase({scope.counted(str(ratio.successes))}[{window}]))"
    return f"100 * {errors} / ({errors} + ({successes} or {errors} * 0))"
