"""Sparklines within the board's budget: every few minutes one objective's range query takes the place of its reading's.

In that round the objective is judged by its previous answer, a poll old; so a round never costs more than one request
per objective, and no two objectives skip the same round.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ml.slo.source import Answer

POINTS, STEP_S, WINDOW = 24, 3600, "1h"
"""A day in points of an hour, each over the hour before it."""

_REFRESH = timedelta(minutes=5)
_ALIGN_S = 300

Trend = tuple[float | None, ...]


@dataclass(slots=True)
class Trends:
    """What a series of board rounds remembers. Not shared between threads."""

    _answers: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    _trends: dict[tuple[str, Hashable], Trend] = field(default_factory=dict)
    _drawn_at: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _turn_at: datetime | None = None

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

    def of(self, objective: str, whose: Hashable) -> Trend:
        """The last fetched trend; empty before the first."""
        return self._trends.get((objective, whose), ())


def trend_span(now: datetime) -> tuple[datetime, datetime]:
    """Where a trend's first and last point lie: round times, so that it changes only when it is fetched anew."""
    end = datetime.fromtimestamp(now.timestamp() // _ALIGN_S * _ALIGN_S, UTC)
    return end - timedelta(seconds=(POINTS - 1) * STEP_S), end
