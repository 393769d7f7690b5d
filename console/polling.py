"""Background work of the console: actions that block, and polls of board, remote, receipts and the open view."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from textual.message import Message

from console.messages import (
    BoardArrived,
    ChangesArrived,
    HistoryArrived,
    KillArrived,
    LogArrived,
    NamesRead,
    PollFailed,
    RemoteFetched,
    Result,
    RollbacksArmed,
    SoakArrived,
)
from ml.board import Rung
from ml.errors import ConsoleError
from ml.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from textual.message_pump import MessagePump

    from ml.board import Glance, KillView
    from ml.session import Session


# Wrapper for actions that block. Each runs on its own thread and always posts one message.
#
# Textual's shared executor is not used: one hung thread there delays all others. The message carries the result or a
# typed failure, whatever the action raises.

T = TypeVar("T")

_CHECK_S = 1.0
"""Seconds between two checks of a thread that waits for running writes."""


class Jobs:
    """Starts blocking actions, and tracks which of them write."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writing: list[str] = []

    @property
    def writing(self) -> tuple[str, ...]:
        """Names of the running writes. Quitting warns about them."""
        with self._changed:
            return tuple(self._writing)

    def drained(self, timeout_s: float) -> bool:
        """Wait until no write is running. Returns False after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._writing, timeout_s)

    def when_drained(self, action: Callable[[], object]) -> None:
        """Call ``action`` when no write is running: now, else on a thread that waits for the last one."""

        def wait() -> None:
            while not self.drained(_CHECK_S):
                pass
            action()

        if self.drained(0.0):
            action()
        else:
            threading.Thread(target=wait, name="leave", daemon=True).start()

    def start(
        self,
        owner: MessagePump,
        work: Callable[[], T],
        *,
        done: Callable[[T], Message],
        failed: Callable[[ConsoleError], Message],
        name: str,
        writes: bool = False,
    ) -> None:
        """Run ``work`` off the event loop and post ``done(result)`` or ``failed(error)`` to ``owner``.

        Args:
            owner: the widget, screen or application that handles both messages.
            name: what is done, for the warning when somebody quits meanwhile, such as ``promote regime``.
            writes: the action changes something outside; it is waited for at exit.
        """

        def run() -> None:
            with self._noted(name if writes else ""):
                message = _outcome(work, done, failed)
            owner.post_message(message)

        threading.Thread(target=run, name=name, daemon=True).start()

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        if not name:
            yield
            return
        with self._changed:
            self._writing.append(name)
        try:
            yield
        finally:
            with self._changed:
                self._writing.remove(name)
                self._changed.notify_all()


def _outcome(work: Callable[[], T], done: Callable[[T], Message], failed: Callable[[ConsoleError], Message]) -> Message:
    try:
        return done(work())
    except ConsoleError as error:
        return failed(error)
    except Exception as error:  # noqa: BLE001 a bug in an action must reach the operator, not end the console
        return failed(unexpected(error))


def unexpected(error: Exception) -> ConsoleError:
    """Return the typed error for an unexpected exception."""
    cause = f"The console has a bug ({type(error).__name__}: {visible(str(error), limit=200)})."
    return ConsoleError(cause, "Nothing was confirmed; look at the Log view and `mlconsole status`.")


def names_read(names: Future[Glance]) -> Result:
    """Return the finished first read of the names as a message."""
    try:
        return NamesRead(names.result())
    except Exception as error:  # noqa: BLE001 whatever it was, the operator must read it; the board still follows
        return PollFailed("registry", unexpected(error))


# Background pollers: each has its own thread, never overlaps, and slows down while it fails (contract §4).
#
# A poll that hangs delays only itself. Its thread holds no lock and is a daemon, so it cannot keep the console alive.

Look = Callable[[], Message]

_SLOWEST = 8.0


class Poller:
    """Takes one look after the other and posts what it saw.

    It counts failures of every kind, also git's and our own, only in order to look less often. For how long Prometheus
    has been silent is said by `ml.session.metrics.Silence`.

    Args:
        name: what is looked at, for `PollFailed`.
        post: takes messages from any thread; false when nobody listens any more, which ends the poller.
        interval_s: rest between the end of one look and the begin of the next; after failures up to eight times that.
        jitter: spreads the rests of several consoles after a common failure; 0 to 1.
    """

    def __init__(
        self,
        name: str,
        post: Callable[[Message], bool],
        interval_s: float,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._post = post
        self._interval_s = interval_s
        self._jitter = jitter
        self._changed = threading.Condition()
        self._look: Look | None = None
        self._hurry = False
        self._ended = False
        self._failures = 0
        self._thread: threading.Thread | None = None

    def watch(self, look: Look | None) -> None:
        """Poll this target now and from now on. ``None`` pauses polling."""
        with self._changed:
            self._look, self._hurry = look, look is not None
            if self._thread is None and look is not None:
                self._thread = threading.Thread(target=self._run, name=f"poll {self._name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def hurry(self) -> None:
        """Poll again as soon as a running poll has finished."""
        with self._changed:
            self._hurry = self._look is not None
            self._changed.notify_all()

    def end(self) -> None:
        """Stop polling."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (look := self._next()) is not None:
            if not self._post(self._seen(look)):
                return

    def _next(self) -> Look | None:
        with self._changed:
            while not self._ended:
                if self._look is not None and self._hurry:
                    self._hurry = False
                    return self._look
                rested = not self._changed.wait(self._rest_s() if self._look is not None else None)
                self._hurry = self._hurry or rested
        return None

    def _rest_s(self) -> float:
        if not self._failures:
            return self._interval_s
        return self._interval_s * min(_SLOWEST, 2.0**self._failures) * (0.5 + 0.5 * self._jitter())

    def _seen(self, look: Look) -> Message:
        try:
            message = look()
        except ConsoleError as error:
            self._failures += 1
            return PollFailed(self._name, error)
        except Exception as error:  # noqa: BLE001 a poll that meets a bug of ours must say so and go on
            self._failures += 1
            return PollFailed(self._name, unexpected(error))
        self._failures = 0
        return message


VIEW_S = 30.0
"""Seconds between two polls of the open view's data."""

_CHANGES_S = 20.0
"""Seconds between two looks at the open changes. An open change is looked at more often by its own screen."""
_RECEIPT_S = 1.0
_CLIMBING = (Rung.REQUESTED, Rung.WRITTEN, Rung.APPLIED)


class Pollers:
    """The pollers of one session.

    Targets are frozen when they are set, so a thread never reads the current selection.
    """

    def __init__(self, session: Session, post: Callable[[Message], bool], *, poll_s: float, fetch_s: float) -> None:
        self._session = session
        self._board = Poller("board", post, poll_s)
        self._fetch = Poller("remote", post, fetch_s)
        self._view = Poller("view", post, VIEW_S)
        self._rollbacks = Poller("rollback", post, poll_s)
        self._receipts = Poller("kill switch", post, _RECEIPT_S)
        self._changes = Poller("changes", post, _CHANGES_S)
        self._following = False
        self._looking_at: tuple[str, str] | None = None
        self._climbing = False
        self._at_once = threading.Event()

    def start(self) -> None:
        """Start polling the board and the remote."""
        self._board.watch(self._look_at_board)
        self._fetch.watch(lambda: RemoteFetched(self._session.boards.fetch()))
        self._rollbacks.watch(self._keep_rollbacks_armed)

    def hurry(self) -> None:
        """Poll everything again now, including targets that were slowed down by failures."""
        self._at_once.set()
        for poller in (self._board, self._fetch, self._view, self._changes):
            poller.hurry()

    def look_at(self, view: str, model: str) -> None:
        """Poll the data of the open view for the chosen model. Setting the same target again changes nothing."""
        if (view, model) != self._looking_at:
            self._looking_at = (view, model)
            self._view.watch(self._look(view, model))

    def follow(self, kill: KillView) -> None:
        """Poll the receipts every second until they are confirmed."""
        climbing = kill.rung in _CLIMBING
        if climbing != self._climbing:
            self._climbing = climbing
            self._receipts.watch((lambda: KillArrived(self._session.kill.view())) if climbing else None)

    def follow_changes(self, *, wanted: bool) -> None:
        """Poll the changes while there may be one that moves; rest as long as there is none."""
        if wanted != self._following:
            self._following = wanted
            self._changes.watch(self._look_at_changes if wanted else None)

    def end(self) -> None:
        """Stop all polls."""
        for poller in (self._board, self._fetch, self._view, self._rollbacks, self._receipts, self._changes):
            poller.end()

    def _look_at_board(self) -> Message:
        at_once = self._at_once.is_set()
        self._at_once.clear()
        return BoardArrived(self._session.boards.poll(at_once=at_once))

    def _look_at_changes(self) -> Message:
        found = self._session.ladders.followed()
        try:
            self._session.rungs.tell(found)
        except ConsoleError as error:
            return ChangesArrived(found, error)
        return ChangesArrived(found)

    def _keep_rollbacks_armed(self) -> Message:
        self._session.rollbacks.keep_armed()
        return RollbacksArmed()

    def _look(self, view: str, model: str) -> Look | None:
        session = self._session
        if view == "log":
            return lambda: LogArrived(session.audit.sentences())
        if not model:
            return None
        looks: dict[str, Look] = {
            "soak": lambda: SoakArrived(session.soaks.judge(model).report),
            "history": lambda: HistoryArrived(model, session.registries.history(model)),
        }
        return looks.get(view)
