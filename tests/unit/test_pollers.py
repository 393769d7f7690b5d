"""Looks never overlap, survive failures with longer rests, and end when nobody listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from textual.message import Message

from console.messages import PollFailed
from console.polling import Poller
from ml.errors import Unavailable

DEADLINE_S = 5.0


class Seen(Message):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what


class Listener:
    """Collects messages, and lets a test wait for them."""

    def __init__(self, *, patience: int = 10**6) -> None:
        self.messages: list[Message] = []
        self._patience = patience
        self._changed = threading.Condition()

    def post(self, message: Message) -> bool:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()
            return len(self.messages) < self._patience

    def wait_for(self, holds: Callable[[list[Message]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self.messages), DEADLINE_S), self.messages


def gone(name: str) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while any(thread.name == name for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def test_it_looks_again_after_each_look_and_never_twice_at_once() -> None:
    listener, running, most = Listener(), threading.Semaphore(1), []

    def look() -> Message:
        most.append(running.acquire(blocking=False))
        running.release()
        return Seen("x")

    poller = Poller("again", listener.post, 0.001)
    poller.watch(look)
    listener.wait_for(lambda messages: len(messages) > 20)
    poller.end()
    assert all(most)
    assert gone("poll again")


def test_a_hanging_look_delays_only_itself_and_hurrying_waits_for_it() -> None:
    listener, entered, let_go = Listener(), threading.Event(), threading.Event()

    def look() -> Message:
        entered.set()
        assert let_go.wait(DEADLINE_S)
        return Seen("late")

    slow, quick = Poller("slow", listener.post, 60), Poller("quick", listener.post, 0.001)
    slow.watch(look)
    assert entered.wait(DEADLINE_S)
    slow.hurry()
    quick.watch(lambda: Seen("quick"))
    listener.wait_for(lambda messages: len(messages) > 5)
    assert not any(isinstance(message, Seen) and message.what == "late" for message in listener.messages)
    let_go.set()
    listener.wait_for(lambda ms: sum(isinstance(m, Seen) and m.what == "late" for m in ms) >= 2)
    slow.end()
    quick.end()


def test_failures_are_typed_and_looks_go_on() -> None:
    listener = Listener()
    errors: list[Exception] = [Unavailable("It is away.", "Wait."), KeyError("bug")]

    def look() -> Message:
        if errors:
            raise errors.pop(0)
        return Seen("well")

    poller = Poller("board", listener.post, 0.001, jitter=lambda: 0.0)
    poller.watch(look)
    listener.wait_for(lambda messages: any(isinstance(message, Seen) for message in messages))
    poller.end()
    first, second = listener.messages[:2]
    assert isinstance(first, PollFailed)
    assert isinstance(second, PollFailed)
    assert (first.what, first.error.cause) == ("board", "It is away.")
    assert "The console has a bug (KeyError" in second.error.cause


def test_rests_grow_with_failures_up_to_a_bound() -> None:
    poller = Poller("x", lambda _: True, 5.0, jitter=lambda: 1.0)
    rests = []
    for failures in range(6):
        poller._failures = failures
        rests.append(poller._rest_s())
    assert rests == [5.0, 10.0, 20.0, 40.0, 40.0, 40.0]
    poller._jitter = lambda: 0.0
    assert poller._rest_s() == 20.0


def test_another_look_replaces_the_one_before_at_once() -> None:
    listener = Listener()
    poller = Poller("view", listener.post, 3600)
    poller.watch(lambda: Seen("a"))
    listener.wait_for(lambda messages: len(messages) == 1)
    poller.watch(lambda: Seen("b"))
    listener.wait_for(lambda messages: len(messages) == 2)
    assert [m.what for m in listener.messages if isinstance(m, Seen)] == ["a", "b"]
    poller.end()


def test_it_ends_when_nobody_listens() -> None:
    listener = Listener(patience=2)
    poller = Poller("deaf", listener.post, 0.001)
    poller.watch(lambda: Seen("x"))
    listener.wait_for(lambda messages: len(messages) == 2)
    assert gone("poll deaf")
