"""The soak's judge: from one question after the other to one report.

It asks through `Metrics` only and keeps what it asked, so that `judge_soak` on a `Replay` of its own responses comes
to the same judgement: that is how evidence is verified offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ml.board import SoakReport
from ml.slo.alert_findings import Ours
from ml.slo.alerts import alerts_of_soak
from ml.slo.clocks import clock_doubt, skew_of
from ml.slo.errands import errands
from ml.slo.promql import Scope
from ml.slo.recording import Exchange, Failure, Recorder
from ml.slo.roster import ask_roster, several_models
from ml.slo.soak_gates import Soaked, first_reason, gates_of
from ml.slo.soak_inquiry import Heard, Inquiry
from ml.slo.soak_start import SoakSubject, Start, find_start
from ml.slo.source import Kind, Metrics
from ml.slo.tape import Grid, Killed, breach_cells, coverage, eligible_at
from ml.slo.terms import STALE_S, Terms
from ml.stage import Stage
from ml.verdict import worst

if TYPE_CHECKING:
    from ml.policy import Objective, Policy

__all__ = ["Killed", "SoakJudgement", "SoakSubject", "judge_soak"]


@dataclass(frozen=True, slots=True)
class SoakJudgement:
    """A soak's report, every exchange with the source that it rests on, in order, and what else was given."""

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
    """Judge the whole soak of a shadow artifact as of ``now``. Never raises for a sick source.

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
    clock = recorder.query("time()")
    selector = terms.policy.selector(subject.model)
    plain = Scope(Stage.SHADOW, selector, subject.artifact_id, latency=terms.latency)
    waited_s = max(0, int((now - subject.landed_at).total_seconds()))
    roster = ask_roster(recorder, plain, terms.ratio, min(max(waited_s, soak.step_s), soak.required_s), now)
    scope = roster.narrowed(plain)
    start = find_start(
        recorder, scope, subject, now, required_s=soak.required_s, serving=roster.others(subject.artifact_id)
    )
    if roster.failure is not None:
        start = Start(None, roster.failure)
    grid = Grid.of(start.at or now, now, soak.step_s, soak.required_s)
    skew_s = None if isinstance(clock, Failure) else skew_of(clock)
    whose = several_models(roster, subject.model, subject.others, selector)
    inquiry = Inquiry(recorder, terms, scope, grid, start.at, skew_s, roster, whose)
    ours = Ours(subject.model, Stage.SHADOW, selector, subject.artifact_id, roster.instances)
    with errands(recorder) as sent:
        happened = sent.send(lambda page: inquiry.asks(page).events(kills))
        heard = [sent.send(partial(_hear, inquiry, objective)) for objective in terms.policy.objectives]
        alerts = sent.send(lambda page: alerts_of_soak(page, terms.policy, now, grid, scope, ours))
    found, doubt = happened.result()
    return Soaked(
        terms=terms,
        start=start,
        grid=grid,
        tracks=tuple(inquiry.track(each.result(), found) for each in heard),
        alerts=alerts.result(),
        doubt=clock_doubt(clock, recorder.exchanges, now) or doubt,
        whose=whose,
        restarts=found.restarts,
        attribution=roster.attribution,
        scrape_s=roster.scrape_s,
        engines=roster.names,
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
        attribution=str(soaked.attribution),
        restarts=soaked.restarts.total,
        engines=soaked.engines,
        scrape_s=soaked.scrape_s,
    )
