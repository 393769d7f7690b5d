"""The questions of one round: each text is asked once, in as few requests as fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ml.slo.exchanges import SKEW_S, Failure, Recorder, skew_of
from ml.slo.groups import by_value
from ml.slo.promql import joined, parcels, split
from ml.slo.source import Series


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
