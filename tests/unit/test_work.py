"""Blocking actions always answer once, writes are known while they run, and the kill key is one press."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field

import pytest
from fakes import FakeSession, FrozenClock
from textual.message import Message

from console.f9 import HELD_S, KillKey
from console.messages import KillArrived, KillFailed, KillNotHere, KillPressed
from console.polling import Jobs
from console.terminal.driver import SWITCH_S
from ml.errors import ConsoleError, Refused

DEADLINE_S = 5.0


class Done(Message):
    def __init__(self, result: int) -> None:
        super().__init__()
        self.result = result


class Failed(Message):
    def __init__(self, error: ConsoleError) -> None:
        super().__init__()
        self.error = error


@dataclass
class Owner:
    messages: list[Message] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def post_message(self, message: Message) -> bool:
        self.messages.append(message)
        self.arrived.release()
        return True

    def take(self) -> Message:
        assert self.arrived.acquire(timeout=DEADLINE_S)
        return self.messages[-1]


def raising(error: Exception) -> int:
    raise error


def test_a_result_and_a_typed_failure_come_back_once() -> None:
    owner, jobs = Owner(), Jobs()
    jobs.start(owner, lambda: 7, done=Done, failed=Failed, name="count")  # type: ignore[arg-type]
    answer = owner.take()
    assert isinstance(answer, Done)
    assert answer.result == 7
    refusal = Refused("No.", "Ask.")
    jobs.start(owner, lambda: raising(refusal), done=Done, failed=Failed, name="count")  # type: ignore[arg-type]
    answer = owner.take()
    assert isinstance(answer, Failed)
    assert answer.error is refusal
    assert len(owner.messages) == 2


def test_a_bug_comes_back_as_a_sentence() -> None:
    owner = Owner()
    Jobs().start(owner, lambda: raising(ValueError("\x1b[31m")), done=Done, failed=Failed, name="x")  # type: ignore[arg-type]
    answer = owner.take()
    assert isinstance(answer, Failed)
    assert "ValueError: ␛[31m" in answer.error.cause
    assert answer.error.exit_code == 70


def test_writes_are_named_while_they_run_and_reads_are_not() -> None:
    owner, jobs, let_go = Owner(), Jobs(), threading.Event()
    jobs.start(owner, lambda: let_go.wait(DEADLINE_S), done=Done, failed=Failed, name="promote a", writes=True)  # type: ignore[arg-type]
    jobs.start(owner, lambda: let_go.wait(DEADLINE_S), done=Done, failed=Failed, name="look")  # type: ignore[arg-type]
    assert not jobs.drained(0.0)
    assert jobs.writing == ("promote a",)
    let_go.set()
    assert jobs.drained(DEADLINE_S)
    assert jobs.writing == ()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


def kinds(owner: Owner) -> list[type[Message]]:
    return [type(message) for message in owner.messages]


def test_a_press_throws_the_switch_and_tells_both_times(clock: FrozenClock) -> None:
    owner, session = Owner(), FakeSession()
    KillKey(session, clock, owner.post_message, allowed=True).press()
    owner.take()
    owner.take()
    assert kinds(owner) == [KillPressed, KillArrived]
    assert session.calls == [("kill", "key")]


def test_a_held_key_is_one_press_and_a_later_one_delivers_again(clock: FrozenClock) -> None:
    owner, session = Owner(), FakeSession()
    key = KillKey(session, clock, owner.post_message, allowed=True)
    for _ in range(200):
        key.press()
        clock.advance(0.03)
    owner.take()
    owner.take()
    clock.advance(HELD_S)
    key.press()
    owner.take()
    owner.take()
    assert session.called("kill") == 2


def test_a_press_leaves_the_interpreters_switch_interval_to_the_terminal_driver(clock: FrozenClock) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        owner, session = Owner(), FakeSession()
        with session.held("kill"):
            KillKey(session, clock, owner.post_message, allowed=True).press()
            assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        owner.take()
        owner.take()
        for thread in threading.enumerate():
            if thread.name == "kill":
                thread.join(DEADLINE_S)
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    finally:
        sys.setswitchinterval(before)


def test_a_failed_kill_is_told_and_a_forbidden_one_does_nothing(clock: FrozenClock) -> None:
    owner, session = Owner(), FakeSession()
    session.failures["kill"] = OSError("disk")
    KillKey(session, clock, owner.post_message, allowed=True).press()
    owner.take()
    answer = owner.take()
    assert isinstance(answer, KillFailed)
    assert "disk" in answer.error.cause
    quiet, untouched = Owner(), FakeSession()
    KillKey(untouched, clock, quiet.post_message, allowed=False).press()
    assert kinds(quiet) == [KillNotHere]
    assert untouched.calls == []
