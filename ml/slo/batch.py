"""The questions of one round: each text is asked once, in as few requests as fit."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ml.slo.exchanges import SKEW_S, Failure, Recorder, skew_of
from ml.slo.groups import by_value
from ml.slo.promql import joined, parcels, split
from ml.slo.source import Absence, Series
from ml.verdict import Reading


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one text: its series, the warnings of its request, and the server's clock minus ours.

    ``at`` is our wall clock when the server evaluated it, give or take what two clocks may differ.
    """

    series: tuple[Series, ...]
    at: datetime
    warnings: tuple[str, ...] = ()
    skew_s: float | None = None


class Answers:
    """Good answers by the text of their question."""

    def __init__(self, found: Mapping[str, Answered]) -> None:
        self._found = found
        self._sorted: dict[tuple[str, str], Mapping[str, list[Series]]] = {}

    def of(self, text: str) -> tuple[Series, ...]:
        """The series of one answer."""
        return self._found[text].series

    def sorted_by(self, text: str, label: str) -> Mapping[str, list[Series]]:
        """The series of one answer by the value of a label."""
        if (text, label) not in self._sorted:
            self._sorted[text, label] = by_value(self.of(text), label)
        return self._sorted[text, label]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The source's warnings, each once."""
        return tuple(dict.fromkeys(each for found in self._found.values() for each in found.warnings))

    @property
    def skew_s(self) -> float | None:
        """The largest difference of clocks that any answer showed; ``None`` where none did."""
        known = [found.skew_s for found in self._found.values() if found.skew_s is not None]
        return max(known, key=abs, default=None)

    def judged_at(self, now: datetime) -> datetime:
        """The moment to judge samples by: the last answer's, where a slow round was still asking after ``now``."""
        return max(now, *(found.at for found in self._found.values())) if self._found else now

    def joined_with(self, more: Answers) -> Answers:
        """These answers and others."""
        return Answers({**self._found, **more._found})


class Batch:
    """Asks the questions of one round, and remembers the good answers until the round ends."""

    def __init__(self, recorder: Recorder, known: dict[str, Answered] | None = None) -> None:
        self._recorder = recorder
        self._known: dict[str, Answered] = {} if known is None else known

    def page(self, recorder: Recorder) -> Batch:
        """The same batch with another recorder, for questions that are asked side by side."""
        return Batch(recorder, self._known)

    def ask(self, parts: Iterable[tuple[str, str]]) -> Answers | Failure:
        """Answer questions, given as pairs of a part's name and a text; the first failure instead, if there is one."""
        named = {text: part for part, text in parts}
        missing = [text for text in named if text not in self._known]
        texts = {f"{named[text]}.{number}": text for number, text in enumerate(missing)}
        for parcel in parcels(texts):
            answer = self._recorder.query(joined(parcel))
            if isinstance(answer, Failure):
                return answer
            found, skew_s = split(answer.series), skew_of(answer)
            at = answer.asked_at + timedelta(seconds=max(0.0, answer.seconds - SKEW_S))
            for key, text in parcel.items():
                self._known[text] = Answered(found.get(key, ()), at, answer.warnings, skew_s)
        return Answers({text: self._known[text] for text in named})


# A board's memory between rounds: sparklines within a budget, and the last good reading of a failing objective.
#
# Every few minutes one objective's range query takes the place of its reading's queries; in that round the objective
# is judged by its previous answers, a poll old. So a round never costs more requests for it, and no two objectives
# skip the same round.

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
