"""What the board remembers between rounds: sparklines within its budget, and the last good reading of a sick objective.

Every few minutes one objective's range query takes the place of its reading's query; in that round the objective is
judged by its previous answer, a poll old. So a round never costs more than one request per objective, and no two
objectives skip the same round.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ml.clock import span
from ml.slo.source import Answer
from ml.verdict import Reading

POINTS, STEP_S, WINDOW = 24, 3600, "1h"
"""A sparkline is a day in points of an hour, each over the hour before it."""

_REFRESH = timedelta(minutes=5)
_ALIGN_S = 300
_PATIENCE = 3
"""Polls without a good answer after which a value is STALE (SPEC §4)."""

Trend = tuple[float | None, ...]


@dataclass(slots=True)
class _Missed:
    reading: Reading
    at: datetime
    misses: int = 0


@dataclass(slots=True)
class BoardMemory:
    """One board's memory. Not shared between threads."""

    _answers: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    _trends: dict[tuple[str, Hashable], Trend] = field(default_factory=dict)
    _drawn_at: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _turn_at: datetime | None = None
    _readings: dict[tuple[Hashable, str], _Missed] = field(default_factory=dict)

    def keep(self, objective: str, promql: str, answer: Answer) -> None:
        """Remember the newest good answer to an objective's question."""
        self._answers[objective] = (promql, answer)

    def turn(self, objective: str, promql: str, now: datetime) -> Answer | None:
        """The previous answer to the same question, when this round may fetch this objective's trend instead."""
        asked, answer = self._answers.get(objective, ("", None))
        drawn_for, drawn_at = self._drawn_at.get(objective, ("", now))
        fresh = drawn_for == promql and timedelta() <= now - drawn_at < _REFRESH
        if answer is None or asked != promql or fresh or self._turn_at == now:
            return None
        self._turn_at = now
        self._drawn_at[objective] = (promql, now)
        return answer

    def draw(self, objective: str, whose: Hashable, trend: Trend) -> None:
        """Remember a fetched trend."""
        self._trends[objective, whose] = trend

    def trend(self, objective: str, whose: Hashable) -> Trend:
        """The last fetched trend; empty before the first."""
        return self._trends.get((objective, whose), ())

    def good(self, whose: Hashable, reading: Reading, now: datetime) -> Reading:
        """Remember a reading that an answer stands behind."""
        self._readings[whose, reading.name] = _Missed(reading, now)
        return reading

    def missed(self, whose: Hashable, failed: Reading, now: datetime) -> Reading:
        """What to show when there was no answer: the last good reading, STALE in the end; ``failed`` without one."""
        last = self._readings.get((whose, failed.name))
        if last is None:
            return failed
        last.misses += 1
        if last.misses < _PATIENCE:
            return last.reading
        silent = span((now - last.at).total_seconds())
        return last.reading.stale(f"No good answer for {silent} ({last.misses} polls). {failed.why}")


def trend_span(now: datetime) -> tuple[datetime, datetime]:
    """Where a trend's first and last point lie: round times, so that it changes only when it is fetched anew."""
    end = datetime.fromtimestamp(now.timestamp() // _ALIGN_S * _ALIGN_S, UTC)
    return end - timedelta(seconds=(POINTS - 1) * STEP_S), end
