"""What a soak asks Prometheus about each objective, and what its answers become: readings, tapes, events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo.case import Case
from ml.slo.engines import NOBODY, Engine, Roster, distinct, name_of
from ml.slo.judge import warned
from ml.slo.judged import failed_reading, reading_of
from ml.slo.measured import Buckets, Measured, by_engine, measured
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
from ml.slo.recording import Exchange, Failure, Recorder
from ml.slo.soak_gates import Restarts, Track
from ml.slo.source import Series
from ml.slo.tape import Course, Events, Grid, Killed, Row, killed_cells, replaced, row, rows, tape
from ml.slo.terms import Terms
from ml.verdict import Finding, Reading

if TYPE_CHECKING:
    from ml.policy import Objective

KILLED_METRIC, KILLED_REASON = "grinder_ml_block_total", "KILL_SWITCH_ENV"
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
    """What happened besides inference: events of the cells, scrapes of each engine, and restarts."""

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
    whose: Finding | None = None

    def events(self, kills: tuple[Killed, ...]) -> tuple[Happened, Finding | None]:
        """What happened in the cells besides inference, and why that may be incomplete, if it may."""
        scope, step = self.scope, duration(self.grid.step_s)
        count = scope.timed(f"{self.terms.latency}_count")
        # A reset between the last scrape of one cell and the first of the next lies in neither: look a little further.
        wider = duration(self.grid.step_s + math.ceil(self.roster.scrape_s or _SCRAPE_S))
        blocks = scope.plain_with(KILLED_METRIC, f'reason="{KILLED_REASON}"')
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
        """How often each engine restarted within the judged time."""
        if not self.grid.cells:
            return Restarts(), None
        scope, step = self.scope, duration(self.grid.step_s)
        window = duration(self.grid.cells * self.grid.step_s)
        by = scope.engines
        whole = scope.attributed(f"max by ({by}) (resets({count}[{window}]))", window)
        if scope.swapped:
            cells = scope.attributed(f"max by ({by}) (resets({count}[{step}]))", step)
            whole = f"({whole} or sum_over_time({cells}[{window}:{step}]))"
        answer = self.recorder.query(joined({"restarts": whole}), at=self.terms.now)
        if isinstance(answer, Failure):
            return Restarts(), answer.finding
        found = by_engine(split(answer.series).get("restarts", ()))
        # The same engine seen twice restarted once.
        once = distinct({engine: (self.roster.totals or {}).get(engine, 0.0) for engine in found})
        return Restarts({name_of(engine, found): round(found[engine]) for engine in once}), None

    def asks(self, recorder: Recorder) -> Inquiry:
        """The same inquiry with another notebook."""
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
        """What was heard of an objective as a tape, marked by what happened besides."""
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
        # The runbook's query runs by itself and to the letter, so that anybody can paste it and see the same number.
        shown = self.recorder.query(shown_query(objective, self.scope, self.terms.windows().long), at=now)
        parts: _Parts = {}
        warnings: tuple[str, ...] = ()
        for exchange in (shown, *(self.recorder.query(joined(some), at=now) for some in parcels(asked))):
            if isinstance(exchange, Failure):
                return failed_reading(objective, self.scope, self.terms, exchange), None
            parts |= {SHOWN: exchange.series} if exchange is shown else split(exchange.series)
            warnings += exchange.warnings
        given = self.terms.circumstances(
            warnings, self.skew_s, self.since, scrape_s=self.roster.scrape_s, whose=self.whose
        )
        found = measured(objective, self.scope.stage, parts)
        return reading_of(Case(objective, found, given), self.scope, self.terms), found

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
