"""Questions asked side by side: two at a time, written down in the order in which they were sent."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from ml.slo.exchanges import Exchange, Failure, Recorder, errands
from ml.slo.source import Answer, Ask, Kind, SourceTimedOut

DEADLINE_S = 10.0


class Slow:
    """Answers ``first`` only after ``second`` was asked, which needs two lanes."""

    at_once = 2

    def __init__(self) -> None:
        self.second_asked = threading.Event()
        self.asked = 0

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        self.asked += 1
        if promql == "silent":
            raise SourceTimedOut("It hangs.", "Wait.")
        if promql == "first":
            assert self.second_asked.wait(DEADLINE_S), "nobody asks beside the first"
        else:
            self.second_asked.set()
        ask = Ask(Kind.QUERY, promql, at=at)
        return Answer(ask=ask, raw=b"{}", url="", asked_at=datetime.now(UTC), seconds=0.0)


def query(promql: str, page: Recorder) -> Exchange:
    return page.query(promql)


def test_they_are_asked_side_by_side_and_written_down_in_order() -> None:
    recorder = Recorder(Slow())  # type: ignore[arg-type]  # it is asked nothing else
    recorder.query("before")
    with errands(recorder) as sent:
        answers = [sent.send(lambda page, text=text: query(text, page)) for text in ("first", "second", "third")]
    assert [exchange.ask.promql for exchange in recorder.exchanges] == ["before", "first", "second", "third"]
    assert [answer.result().ask.promql for answer in answers] == ["first", "second", "third"]


def test_an_error_in_one_is_raised_where_its_result_is_asked_for() -> None:
    def bug(_: Recorder) -> None:
        raise KeyError("ours")

    recorder = Recorder(Slow())  # type: ignore[arg-type]
    with errands(recorder) as sent:
        broken, sound = sent.send(bug), sent.send(lambda page: query("second", page))
    assert isinstance(sound.result(), Answer)
    with pytest.raises(KeyError):
        broken.result()


def test_patience_is_shared_so_a_silent_source_is_not_asked_by_every_errand() -> None:
    source = Slow()
    recorder = Recorder(source)  # type: ignore[arg-type]
    for _ in range(2):
        recorder.query("silent")
    with errands(recorder) as sent:
        answers = [sent.send(lambda page: query("never asked", page)) for _ in range(5)]
    assert source.asked == 2
    assert all(isinstance(answer.result(), Failure) for answer in answers)
    assert len(recorder.exchanges) == 7
