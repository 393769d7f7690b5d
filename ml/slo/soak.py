"""The soak's judge: asks all questions and makes one report.

It asks through `Metrics` only and keeps what it asked, so that `judge_soak` on a `Replay` of its own responses comes
to the same judgement: that is how evidence is verified offline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ml.board import SoakReport
from ml.slo.alert_findings import Ours
from ml.slo.alerts import alerts_of_soak
from ml.slo.buckets import Buckets
from ml.slo.engines import NOBODY, Engine, Roster, distinct, name_of
from ml.slo.exchanges import Exchange, Failure, Recorder, clock_doubt, errands, skew_of, warned
from ml.slo.judge import failed_reading, reading_of
from ml.slo.measured import STALE_S, Case, Measured, Terms, by_engine, measured
from ml.slo.promql import Scope, joined, parcels, split
from ml.slo.questions import (
    SHOWN,
    attempts_query,
    changed_query,
    duration,
    judged_query,
    questions,
    seen_query,
    shown_query,
)
from ml.slo.roster import ask_roster, several_models
from ml.slo.soak_gates import Restarts, Soaked, Track, first_reason, gates_of
from ml.slo.source import Kind, Metrics, Series
from ml.slo.tape import (
    Course,
    Events,
    Grid,
    Killed,
    Row,
    SoakSubject,
    Start,
    breach_cells,
    coverage,
    eligible_at,
    find_start,
    killed_cells,
    replaced,
    row,
    rows,
    tape,
)
from ml.stage import Stage
from ml.verdict import Finding, Reading, worst

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


# A soak's questions to Prometheus about each objective, and the readings, tapes and events made of the answers.

_SCRAPE_S = 60
"""The time between two scrapes where nothing better is known."""
_MOST_POINTS = 10_000
"""Points of one range query: Prometheus refuses more than 11,000."""

_Parts = dict[str, tuple[Series, ...]]


@dataclass(frozen=True, slots=True)
class Heard:
    """The answers about one objective: its reading, and by engine a value and a count per cell, and its histograms."""

    objective: Objective
    reading: Reading
    values: Mapping[Engine, Row]
    counts: Mapping[Engine, Row]
    changed: Mapping[Engine, Row]
    buckets: Mapping[Engine, Buckets]
    doubt: Finding | None


@dataclass(frozen=True, slots=True)
class Happened:
    """Events besides inference: events of the cells, scrapes of each engine, and restarts."""

    events: Events
    scrapes: Mapping[Engine, Row]
    restarts: Restarts


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One soak's questions. ``since`` is its start, ``None`` when there is none yet."""

    recorder: Recorder
    terms: Terms
    scope: Scope
    grid: Grid
    since: datetime | None
    skew_s: float | None
    roster: Roster = NOBODY
    mixed_models: Finding | None = None

    def events(self, kills: tuple[Killed, ...]) -> tuple[Happened, Finding | None]:
        """Collect the events in the cells, and say why they may be incomplete, if they may."""
        scope, step = self.scope, duration(self.grid.step_s)
        count = scope.timed(f"{self.terms.latency}_count")
        # A reset between the last scrape of one cell and the first of the next lies in neither: look a little further.
        wider = duration(self.grid.step_s + math.ceil(self.roster.scrape_s or _SCRAPE_S))
        blocks = scope.selecting(scope.names.blocked)
        by = scope.engines
        parts, doubt = self._over_the_cells(
            {
                "scrapes": seen_query(scope, self.terms.latency, step),
                "resets": f"sum({scope.attributed(f'max by ({by}) (resets({count}[{wider}]))', step)})",
                "killed": f"sum(increase({blocks}[{step}]))",
            }
        )
        restarts, unsure = self._restarts(count)
        scrapes = rows(self.grid, parts.get("scrapes", ()))
        resets, killed = (row(self.grid, parts.get(name, ())) for name in ("resets", "killed"))
        came = _arrivals(scrapes, self.grid.cells)
        events = Events(
            restarted=tuple(bool(reset) or index in came for index, reset in enumerate(resets)),
            killed=killed_cells(self.grid, kills, killed),
        )
        return Happened(events, scrapes, replace(restarts, replaced=replaced(scrapes))), doubt or unsure

    def _restarts(self, count: str) -> tuple[Restarts, Finding | None]:
        """Count each engine's restarts within the judged time."""
        if not self.grid.cells:
            return Restarts(), None
        scope, step = self.scope, duration(self.grid.step_s)
        window = duration(self.grid.cells * self.grid.step_s)
        by = scope.engines
        whole = scope.attributed(f"max by ({by}) (resets({count}[{window}]))", window)
        if scope.swapped:
            cells = scope.attributed(f"max by ({by}) (resets({count}[{step}]))", step)
            whole = f"({whole} or sum_over_time({cells}[{window}:{step}]))"
        parts, doubt = _parts(self.recorder.query(joined({"restarts": whole}), at=self.terms.now))
        found = by_engine(parts.get("restarts", ()))
        # The same engine seen twice restarted once.
        once = distinct({engine: (self.roster.totals or {}).get(engine, 0.0) for engine in found})
        return Restarts({name_of(engine, found): round(found[engine]) for engine in once}), doubt

    def asks(self, recorder: Recorder) -> Inquiry:
        """Return the same inquiry with another recorder."""
        return replace(self, recorder=recorder)

    def hear(self, objective: Objective) -> Heard:
        """One objective: its reading now, and its values and counts over the cells."""
        reading, found = self._reading(objective)
        step, latency = duration(self.grid.step_s), self.terms.latency
        asked = {
            "value": judged_query(objective, self.scope, step),
            "count": attempts_query(objective, self.scope, step, latency),
        }
        if objective.kind == "quantile":
            asked["changed"] = changed_query(objective, self.scope, step)
        parts, doubt = self._over_the_cells(asked)
        values, counts, changed = (rows(self.grid, parts.get(name, ())) for name in ("value", "count", "changed"))
        return Heard(objective, reading, values, counts, changed, found.buckets if found else {}, doubt)

    def track(self, heard: Heard, happened: Happened) -> Track:
        """Return an objective's answers as a tape, marked with the events."""
        limit, buckets = heard.objective.limit, heard.buckets

        def unclear(engine: Engine, value: float) -> bool:
            found = buckets.get(engine)
            return found is not None and found.around(value, limit) is not None

        scrape_s = self.roster.scrape_s
        course = Course(
            values=heard.values,
            counts=heard.counts,
            scrapes=happened.scrapes,
            changed=heard.changed,
            expected=self.grid.step_s / scrape_s if scrape_s else None,
            unclear=unclear,
            own_values=heard.objective.kind != "promql",
        )
        sums = {engine: sum(count or 0.0 for count in found) for engine, found in heard.counts.items()}
        # What an engine was born with was not inferred in the soak for certain: the reading's count leaves it out.
        counted, samples = sum(sums[engine] for engine in distinct(sums)), heard.reading.samples
        return Track(
            objective=heard.objective,
            reading=heard.reading,
            tape=tape(heard.objective, self.grid, course, happened.events, self.terms.least),
            inferences=counted if samples is None else min(counted, samples),
            doubt=heard.doubt,
        )

    def _reading(self, objective: Objective) -> tuple[Reading, Measured | None]:
        windows, now = self.terms.windows(self.since), self.terms.now
        asked = dict(questions(objective, self.scope, windows, self.terms.latency))
        asked.pop(SHOWN, None)
        # The runbook's query runs alone and unchanged, so that anybody can paste it and see the same number.
        shown = self.recorder.query(shown_query(objective, self.scope, self.terms.windows().long), at=now)
        parts: _Parts = {}
        warnings = self.roster.warnings
        for exchange in (shown, *(self.recorder.query(joined(some), at=now) for some in parcels(asked))):
            if isinstance(exchange, Failure):
                return failed_reading(objective, self.scope, self.terms, exchange), None
            parts |= {SHOWN: exchange.series} if exchange is shown else split(exchange.series)
            warnings += exchange.warnings
        given = self.terms.circumstances(
            warnings, self.skew_s, self.since, scrape_s=self.roster.scrape_s, mixed_models=self.mixed_models
        )
        names = self.scope.names
        found = measured(objective, self.scope.stage, parts, names)
        return reading_of(Case(objective, found, given, names), self.scope, self.terms), found

    def _over_the_cells(self, asked: dict[str, str]) -> tuple[_Parts, Finding | None]:
        """Answers at the end of every cell, by key; and why they may be incomplete, if they may.

        As many cells are asked about at a time as a source answers at a time.
        """
        promql, unsure = joined(asked), None
        together: _Parts = {}
        for first in range(0, self.grid.cells, _MOST_POINTS):
            last = min(first + _MOST_POINTS, self.grid.cells) - 1
            answer = self.recorder.query_range(
                promql, self.grid.end_of(first), self.grid.end_of(last), self.grid.step_s
            )
            parts, doubt = _parts(answer)
            unsure = unsure or doubt
            for key, series in parts.items():
                together[key] = (*together.get(key, ()), *series)
        return together, unsure


def _arrivals(scrapes: Mapping[Engine, Row], cells: int) -> frozenset[int]:
    """The cells in which an engine was there for the first time, though another one had been there before."""
    firsts = [next((index for index, value in enumerate(found) if value), cells) for found in scrapes.values()]
    return frozenset(first for first in firsts if first > min(firsts, default=cells))


def _parts(exchange: Exchange) -> tuple[_Parts, Finding | None]:
    if isinstance(exchange, Failure):
        return {}, exchange.finding
    return split(exchange.series), warned(exchange.warnings[0]) if exchange.warnings else None


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
    clock = recorder.query("time()")
    selector = terms.policy.selector(subject.model)
    names = terms.policy.metric_names(subject.model)
    plain = terms.scope(Stage.SHADOW, subject.model, subject.artifact_id)
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
    others = {name: terms.policy.selector(name) for name in subject.others}
    mixed_models = several_models(roster, subject.model, others, selector)
    inquiry = Inquiry(recorder, terms, scope, grid, start.at, skew_s, roster, mixed_models)
    ours = Ours(subject.model, Stage.SHADOW, selector, subject.artifact_id, roster.instances, names)
    with errands(recorder) as sent:
        happened = sent.send(lambda page: inquiry.asks(page).events(kills))
        pending = [sent.send(partial(_hear, inquiry, objective)) for objective in terms.policy.objectives]
        alerts = sent.send(lambda page: alerts_of_soak(page, terms.policy, now, grid, scope, ours))
    found, doubt = happened.result()
    return Soaked(
        terms=terms,
        start=start,
        grid=grid,
        tracks=tuple(inquiry.track(each.result(), found) for each in pending),
        alerts=alerts.result(),
        doubt=clock_doubt(clock, recorder.exchanges, now) or _partial(roster) or doubt,
        mixed_models=mixed_models,
        restarts=found.restarts,
        attribution=roster.attribution,
        scrape_s=roster.scrape_s,
        engines=roster.names,
    )


def _partial(roster: Roster) -> Finding | None:
    """A partial roster is no proof of who serves."""
    return warned(roster.warnings[0]) if roster.warnings else None


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
