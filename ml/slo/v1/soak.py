"""The soak's judge: from one question after the other to one report.

It asks through `Metrics` only and keeps what it asked, so that `judge_soak` on a `Replay` of its own responses comes
to the same judgement: that is how evidence is verified offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ml.board import SoakReport
from ml.slo.exchanges import Exchange, Failure, Recorder, errands
from ml.slo.source import Kind, Metrics, Series
from ml.slo.v1.alerts import alerts_of_soak
from ml.slo.v1.judge import STALE_S, Case, Terms, failed_reading, reading_of
from ml.slo.v1.measured import Finding, clock_doubt, measured, skew_of
from ml.slo.v1.questions import SHOWN, Scope, count_query, duration, joined, judged_query, questions, shown_query, split
from ml.slo.v1.soak_gates import Soaked, Track, first_reason, gates_of
from ml.slo.v1.soak_start import SoakSubject, find_start, foreign_query
from ml.slo.v1.tape import Events, Grid, Killed, breach_cells, coverage, eligible_at, killed_cells, row, tape
from ml.stage import Stage
from ml.verdict import Reading, Verdict, worst

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


# A soak's questions to Prometheus about each objective, and the readings, tapes and events made of the answers.

KILLED_METRIC, KILLED_REASON = "grinder_ml_block_total", "KILL_SWITCH_ENV"
_SCRAPE_S = 60
"""The longest usual time between two scrapes."""

_Parts = dict[str, tuple[Series, ...]]


@dataclass(frozen=True, slots=True)
class Heard:
    """The answers about one objective: its reading, and a value and a count per cell."""

    objective: Objective
    reading: Reading
    values: tuple[float | None, ...]
    counts: tuple[float | None, ...]
    doubt: Finding | None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One soak's questions. ``since`` is its start, ``None`` when there is none yet."""

    recorder: Recorder
    terms: Terms
    scope: Scope
    grid: Grid
    since: datetime | None
    skew_s: float | None

    def events(self, artifact_id: str, kills: tuple[Killed, ...]) -> tuple[Events, Finding | None]:
        """Collect the events in the cells, and say why they may be incomplete, if they may."""
        count, step = self.scope.timed(f"{self.terms.latency}_count"), duration(self.grid.step_s)
        # A reset between the last scrape of one cell and the first of the next lies in neither: look a little further.
        wider = duration(self.grid.step_s + _SCRAPE_S)
        blocks = self.scope.plain_with(KILLED_METRIC, f'reason="{KILLED_REASON}"')
        parts, doubt = self._over_the_cells(
            {
                "resets": f"sum(resets({count}[{wider}]))",
                "fresh": f"count({count} unless {count} offset {step})",
                "before": f"count({count} offset {step})",
                "foreign": foreign_query(self.scope, artifact_id),
                "killed": f"sum(increase({blocks}[{step}]))",
            }
        )
        resets, fresh, before, foreign, killed = (
            row(self.grid, parts.get(name, ())) for name in ("resets", "fresh", "before", "foreign", "killed")
        )
        return (
            Events(
                restarted=tuple(
                    bool(reset) or bool(new and old) for reset, new, old in zip(resets, fresh, before, strict=True)
                ),
                killed=killed_cells(self.grid, kills, killed),
                foreign=tuple(value is not None for value in foreign),
            ),
            doubt,
        )

    def asks(self, recorder: Recorder) -> Inquiry:
        """Return the same inquiry with another recorder."""
        return replace(self, recorder=recorder)

    def hear(self, objective: Objective) -> Heard:
        """One objective: its reading now, and its values and counts over the cells."""
        reading = self._reading(objective)
        step, latency = duration(self.grid.step_s), self.terms.latency
        parts, doubt = self._over_the_cells(
            {
                "value": judged_query(objective, self.scope, step),
                "count": count_query(objective, self.scope, step, latency),
            }
        )
        values, counts = (row(self.grid, parts.get(name, ())) for name in ("value", "count"))
        return Heard(objective, reading, values, counts, doubt)

    def track(self, heard: Heard, events: Events) -> Track:
        """Return an objective's answers as a tape, marked with the events."""
        return Track(
            objective=heard.objective,
            reading=heard.reading,
            tape=tape(heard.objective, self.grid, heard.values, heard.counts, events, self.terms.least),
            inferences=sum(count or 0.0 for count in heard.counts),
            doubt=heard.doubt,
        )

    def _reading(self, objective: Objective) -> Reading:
        windows, now = self.terms.windows(self.since), self.terms.now
        asked = dict(questions(objective, self.scope, windows, self.terms.latency))
        asked.pop(SHOWN, None)
        # The runbook's query runs alone and unchanged, so that anybody can paste it and see the same number.
        shown = self.recorder.query(shown_query(objective, self.scope, self.terms.windows().long), at=now)
        answer = self.recorder.query(joined(asked), at=now)
        for exchange in (shown, answer):
            if isinstance(exchange, Failure):
                return failed_reading(objective, self.scope, self.terms, exchange.cause)
        assert not isinstance(shown, Failure)
        assert not isinstance(answer, Failure)
        parts = split(answer.series) | {SHOWN: shown.series}
        warnings = answer.warnings + shown.warnings
        given = self.terms.circumstances(warnings, self.skew_s, self.since)
        return reading_of(Case(objective, measured(objective, self.scope.stage, parts), given), self.scope, self.terms)

    def _over_the_cells(self, asked: dict[str, str]) -> tuple[_Parts, Finding | None]:
        """Answers at the end of every cell, by key; and why they may be incomplete, if they may."""
        if not self.grid.cells:
            return {}, None
        first, last = self.grid.end_of(0), self.grid.end_of(self.grid.cells - 1)
        return _parts(self.recorder.query_range(joined(asked), first, last, self.grid.step_s))


def _parts(exchange: Exchange) -> tuple[_Parts, Finding | None]:
    if isinstance(exchange, Failure):
        return {}, (Verdict.ERROR, exchange.cause)
    doubt = None
    if exchange.warnings:
        doubt = (Verdict.NO_DATA, f"Prometheus warns that the answer may be partial: {exchange.warnings[0]}.")
    return split(exchange.series), doubt


__all__ = ["Killed", "SoakJudgement", "SoakSubject", "judge_soak"]


@dataclass(frozen=True, slots=True)
class SoakJudgement:
    """A soak's report, its exchanges with the source in order, and its other inputs."""

    report: SoakReport
    responses: tuple[Exchange, ...]
    subject: SoakSubject
    kills: tuple[Killed, ...] = ()
    stale_s: float = STALE_S


def judge_soak(
    metrics: Metrics,
    policy: Policy,
    subject: SoakSubject,
    now: datetime,
    kills: Sequence[Killed] = (),
    *,
    stale_s: float = STALE_S,
) -> SoakJudgement:
    """Judge the whole soak of a shadow artifact as of ``now``. Never raises for a failed source.

    Args:
        kills: when the kill switch was engaged, from our own audit log; the engine's block counter is read besides.
        stale_s: the age in seconds from which the newest sample is not believed.
    """
    recorder, terms = Recorder(metrics), Terms(policy, now, stale_s)
    soaked = _soaked(recorder, terms, subject, tuple(kills))
    queries = (exchange.ask.promql or _path(exchange.ask.kind) for exchange in recorder.exchanges)
    report = _report(soaked, subject, tuple(queries))
    return SoakJudgement(report, recorder.exchanges, subject, tuple(kills), stale_s)


def _soaked(recorder: Recorder, terms: Terms, subject: SoakSubject, kills: tuple[Killed, ...]) -> Soaked:
    soak, now = terms.policy.soak, terms.now
    scope = Scope(Stage.SHADOW, terms.policy.selector(subject.model))
    clock = recorder.query("time()")
    start = find_start(recorder, scope, subject, terms.latency, now)
    grid = Grid.of(start.at or now, now, soak.step_s, soak.required_s)
    skew_s = None if isinstance(clock, Failure) else skew_of(clock)
    inquiry = Inquiry(recorder, terms, scope, grid, start.at, skew_s)
    with errands(recorder) as sent:
        happened = sent.send(lambda page: inquiry.asks(page).events(subject.artifact_id, kills))
        pending = [sent.send(partial(_hear, inquiry, objective)) for objective in terms.policy.objectives]
        alerts = sent.send(lambda page: alerts_of_soak(page, terms.policy.alerts.quiet, now, grid))
    events, doubt = happened.result()
    return Soaked(
        terms=terms,
        start=start,
        grid=grid,
        tracks=tuple(inquiry.track(each.result(), events) for each in pending),
        alerts=alerts.result(),
        doubt=clock_doubt(clock, recorder.exchanges, now) or doubt,
    )


def _hear(inquiry: Inquiry, objective: Objective, page: Recorder) -> Heard:
    return inquiry.asks(page).hear(objective)


def _path(kind: Kind) -> str:
    return f"/api/{'v2' if kind is Kind.SILENCES else 'v1'}/{kind}"


def _report(soaked: Soaked, subject: SoakSubject, queries: tuple[str, ...]) -> SoakReport:
    gates, soak, start = gates_of(soaked), soaked.terms.policy.soak, soaked.start.at
    return SoakReport(
        model=subject.model,
        artifact_id=subject.artifact_id,
        model_sha256=subject.model_sha256,
        as_of=soaked.terms.now,
        verdict=worst(gate.verdict for gate in gates),
        why=first_reason(gates),
        required_s=soak.required_s,
        started_at=start,
        elapsed_s=soaked.elapsed_s,
        coverage=coverage(soaked.tapes, soak.required_s // soak.step_s),
        breaches=len(breach_cells(soaked.tapes)),
        eligible_at=eligible_at(start, soaked.grid, soaked.tapes, soak) if start else None,
        gates=gates,
        tapes=tuple(track.tape for track in soaked.tracks),
        readings=(*(track.reading for track in soaked.tracks), soaked.alerts.reading(soaked.terms.now)),
        queries=queries,
        silences=soaked.alerts.silences,
    )
