"""The one wrapper for actions that block: a thread of its own, and always one message back (DESIGN, journeys).

Textual's shared executor is not used, because one hung thread there delays every other. The message carries
the result or a typed failure; nothing is lost, whatever the action raises.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from ml.errors import ConsoleError
from ml.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.message import Message
    from textual.message_pump import MessagePump

T = TypeVar("T")


class Workshop:
    """Starts blocking actions, and knows which of them write."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writing: list[str] = []

    @property
    def writing(self) -> tuple[str, ...]:
        """The names of the writes under way; quitting warns about them."""
        with self._changed:
            return tuple(self._writing)

    def drained(self, timeout_s: float) -> bool:
        """Wait until no write is under way; whether that came true in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._writing, timeout_s)

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
    """A bug of ours, in words."""
    cause = f"The console met a bug of its own ({type(error).__name__}: {visible(str(error), limit=200)})."
    return ConsoleError(cause, "Nothing was confirmed; look at the Log view and `mlconsole status`.")
