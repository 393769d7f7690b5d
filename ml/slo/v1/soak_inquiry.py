"""What a soak asks Prometheus about each objective, and what its answers become: readings, tapes, events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo.recording import Exchange, Failure, Recorder
from ml.slo.source import Series
from ml.slo.v1.case import Case
from ml.slo.v1.clocks import Finding
from ml.slo.v1.judged import failed_reading, reading_of
from ml.slo.v1.measured import measured
from ml.slo.v1.promql import Scope, joined, split
from ml.slo.v1.questions import SHOWN, count_query, duration, judged_query, questions, shown_query
from ml.slo.v1.soak_gates import Track
from ml.slo.v1.soak_start import foreign_query
from ml.slo.v1.tape import Events, Grid, Killed, killed_cells, row, tape
from ml.slo.v1.terms import Terms
from ml.verdict import Reading, Verdict

if TYPE_CHECKING:
    from ml.policy import Objective

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
        """What happened in the cells besides inference, and why that may be incomplete, if it may."""
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
        """The same inquiry with another notebook."""
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
        """What was heard of an objective as a tape, marked by what happened besides."""
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
        # The runbook's query runs by itself and to the letter, so that anybody can paste it and see the same number.
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
