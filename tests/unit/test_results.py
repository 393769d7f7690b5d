"""Results of polls: what is shown because of them, and what is ignored."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import FrozenClock, board, glance, kill_view, model_view, soak_report

from console.messages import BoardArrived, KillArrived, KillFailed, LogArrived, NamesRead, PollFailed, SoakArrived
from console.results import Results
from ml.board import Rung
from ml.errors import Unavailable
from ml.judgement import gates_of
from ml.verdict import Verdict

FAILED = Unavailable("It did not answer.", "Retry.")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def results(clock: FrozenClock) -> Results:
    return Results(clock, read_only=False, environment="prod", production=True, poll_seconds=5.0)


def causes(results: Results) -> list[str]:
    return [problem.what for problem in results.problems]


def test_names_are_shown_until_something_is_judged(results: Results) -> None:
    results.take(NamesRead(glance()))
    assert results.checking
    assert results.title == "checking prod mlconsole"
    names = results.models
    results.take(BoardArrived(board()))
    assert not results.checking
    judged = results.models
    assert judged != names
    results.take(NamesRead(glance()))
    assert results.models is judged


def test_a_board_begun_before_the_switch_was_read_does_not_take_it_back(results: Results, clock: FrozenClock) -> None:
    before = board()
    results.take(KillArrived(kill_view(Rung.WRITTEN)))
    results.take(BoardArrived(replace(before, as_of=clock.now() - timedelta(seconds=1))))
    assert results.kill is not None
    assert results.kill.engaged
    results.take(BoardArrived(replace(before, as_of=clock.now() + timedelta(seconds=1))))
    assert results.kill == before.kill


def test_a_soak_of_another_model_is_ignored_and_answers_nothing(results: Results) -> None:
    results.take(BoardArrived(board()))
    results.take(PollFailed("view", FAILED))
    results.take(SoakArrived(soak_report(model="another")))
    assert results.soak is None
    assert FAILED.cause in causes(results)
    results.take(SoakArrived(soak_report(model=results.model_name)))
    assert results.soak is not None
    assert FAILED.cause not in causes(results)


def test_another_choice_forgets_the_soak_of_the_model_before(results: Results) -> None:
    results.take(BoardArrived(board(model_view("a"), model_view("b"))))
    results.select("a")
    results.take(SoakArrived(soak_report(model="a")))
    results.take(LogArrived(("a line",)))
    results.select("b")
    assert (results.model_name, results.soak, results.log_lines) == ("b", None, ("a line",))


def test_a_failed_kill_stays_until_the_switch_answers(results: Results) -> None:
    results.take(KillFailed(FAILED))
    results.take(BoardArrived(board()))
    assert FAILED.cause in causes(results)
    results.take(KillArrived(kill_view(Rung.WRITTEN)))
    assert FAILED.cause not in causes(results)


def test_no_verdict_stays_good_once_the_board_is_too_old(results: Results, clock: FrozenClock) -> None:
    results.take(BoardArrived(board()))
    assert not results.tick(clock.now())
    (before,) = results.models
    assert Verdict.PASS in {gate.verdict for gate in gates_of(before)}
    clock.advance(600)
    assert results.tick(clock.now())
    (after,) = results.models
    assert Verdict.PASS not in {gate.verdict for gate in gates_of(after)}
    assert not results.tick(clock.now()), "once is enough"


def test_a_read_only_session_stays_so_whatever_a_board_says(clock: FrozenClock) -> None:
    results = Results(clock, read_only=True, environment="", production=False, poll_seconds=5.0)
    results.take(BoardArrived(replace(board(), read_only=False)))
    assert results.read_only
