"""A board's memory between rounds: sparklines within a budget, and the last good reading of a failing objective.

Every few minutes one objective's range query takes the place of its reading's queries; in that round the objective is
judged by its previous answers, a poll old. So a round never costs more requests for it, and no two objectives skip the
same round.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ml.slo.batch import Answers
from ml.slo.source import Absence
from ml.verdict import Reading

POINTS, STEP_S, WINDOW = 24, 3600, "1h"
"""A sparkline is a day in points of an hour, each over the hour before it."""

_REFRESH = timedelta(minutes=5)
_ALIGN_S = 300

Trend = tuple[float | None, ...]


@dataclass(slots=True)
class BoardMemory:
    """One board's memory. Not shared between threads."""

    _answers: dict[str, tuple[tuple[str, ...], Answers]] = field(default_factory=dict)
    _trends: dict[tuple[str, Hashable], Trend] = field(default_factory=dict)
    _drawn_at: dict[str, tuple[tuple[str, ...], datetime]] = field(default_factory=dict)
    _turn_at: datetime | None = None
    _readings: dict[tuple[Hashable, str], tuple[Reading, Absence]] = field(default_factory=dict)

    def keep(self, objective: str, texts: tuple[str, ...], answers: Answers) -> None:
        """Remember the newest good answers to an objective's questions."""
        self._answers[objective] = (texts, answers)

    def turn(self, objective: str, texts: tuple[str, ...], now: datetime) -> Answers | None:
        """The previous answers to the same questions, when this round may fetch this objective's trend instead."""
        asked, answers = self._answers.get(objective, ((), None))
        drawn_for, drawn_at = self._drawn_at.get(objective, ((), now))
        fresh = drawn_for == texts and timedelta() <= now - drawn_at < _REFRESH
        if answers is None or asked != texts or fresh or self._turn_at == now:
            return None
        self._turn_at = now
        self._drawn_at[objective] = (texts, now)
        return answers

    def draw(self, objective: str, key: Hashable, trend: Trend) -> None:
        """Remember a fetched trend."""
        self._trends[objective, key] = trend

    def trend(self, objective: str, key: Hashable) -> Trend:
        """The last fetched trend; empty before the first."""
        return self._trends.get((objective, key), ())

    def good(self, key: Hashable, reading: Reading, now: datetime) -> Reading:
        """Remember a reading that came from an answer."""
        self._readings[key, reading.name] = (reading, Absence(now))
        return reading

    def missed(self, key: Hashable, failed: Reading, now: datetime) -> Reading:
        """Return the reading for a missing answer: the last good one, later STALE; ``failed`` if there was none."""
        known = self._readings.get((key, failed.name))
        if known is None:
            return failed
        last, absence = known
        absence.missed(failed.why)
        return last.stale(absence.sentence(now)) if absence.stale else last


def trend_span(now: datetime) -> tuple[datetime, datetime]:
    """Return a trend's first and last point: round times, so that it changes only with a new fetch."""
    end = datetime.fromtimestamp(now.timestamp() // _ALIGN_S * _ALIGN_S, UTC)
    return end - timedelta(seconds=(POINTS - 1) * STEP_S), end
