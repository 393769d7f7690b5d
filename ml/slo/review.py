"""The dashboard review: a day of shadow against active as charts, one drawing for the evidence, and what is odd in it.

A person looks and types a finding; this only makes sure that what there is to see was seen (runbook step 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING

from ml.clock import format_utc
from ml.slo.anomalies import noted
from ml.slo.charts import Chart, Line
from ml.slo.judge import warned
from ml.slo.promql import Scope, joined, split
from ml.slo.questions import duration
from ml.slo.recording import Exchange, Failure, Recorder
from ml.slo.soak_inquiry import KILLED_METRIC
from ml.slo.source import Metrics, Series
from ml.slo.svg import draw
from ml.slo.tape import Grid, row
from ml.slo.terms import Terms
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Code, Finding, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Objective, Policy

_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))
_STAGES = (Stage.SHADOW, Stage.ACTIVE)
_STEP_S, _CELLS = 300, 288


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What there was to see. ``trouble`` is why there is nothing, or not all; ``problem`` is its sentence, or empty.

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
    """Ask for the last 24 h and look at them. Never raises for a sick source. Needs SciPy for a second."""
    recorder = Recorder(metrics)
    inquiry = _Inquiry(recorder, Terms(policy, now), policy.selector(model), _grid(now))
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

    def latency(self) -> Chart:
        asked = {
            f"{stage}.{name}": f"histogram_quantile({quantile}, sum by (le) (rate("
            f"{Scope(stage, self.selector).timed(self.terms.latency + '_bucket')}[{duration(_STEP_S)}])))"
            for stage in _STAGES
            for name, quantile in _QUANTILES
        }
        limits = {name: self._limit(quantile) for name, quantile in _QUANTILES}
        return self._chart("Latency", "ms", self._staged(asked, limits), limits["p99"])

    def _limit(self, quantile: float) -> float | None:
        """What the policy allows a quantile of the latency to be."""
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
        asked = {f"{stage}.errors": _percent(ratio, Scope(stage, self.selector)) for stage in _STAGES}
        limit = ratio.limit * 100
        return self._chart("Error rate", "%", self._staged(asked, {"errors": limit}), limit)

    def blocks(self) -> Chart:
        blocks = Scope(Stage.SHADOW, self.selector).plain(KILLED_METRIC)
        answers = self._ask({"blocks": f"sum by (reason) (increase({blocks}[{duration(_STEP_S)}]))"})
        lines = [
            Line(visible(series.label("reason"), limit=80), "", row(self.grid, (series,)))
            for series in answers.get("blocks", ())
        ]
        return self._chart("Blocked snapshots", "blocks", tuple(sorted(lines, key=lambda line: line.name)))

    def restarts(self) -> tuple[Finding, ...]:
        """How often the shadow engines restarted in the day, where they did."""
        count = Scope(Stage.SHADOW, self.selector).timed(f"{self.terms.latency}_count")
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
