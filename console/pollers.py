"""Background looks at the world: each in a thread of its own, never overlapping, slower while it fails (SPEC §4).

A poll that hangs delays only itself. Its thread holds no lock and is a daemon, so it cannot keep the console alive.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from textual.message import Message

from console.messages import PollFailed
from console.work import unexpected
from ml.errors import ConsoleError

Look = Callable[[], Message]

_SLOWEST = 8.0


class Poller:
    """Takes one look after the other and posts what it saw.

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
        """Look at this from now on, and at once; ``None`` rests until there is something again."""
        with self._changed:
            self._look, self._hurry = look, look is not None
            if self._thread is None and look is not None:
                self._thread = threading.Thread(target=self._run, name=f"poll {self._name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def hurry(self) -> None:
        """Look again as soon as the look under way, if any, is over."""
        with self._changed:
            self._hurry = self._look is not None
            self._changed.notify_all()

    def end(self) -> None:
        """Take no further look."""
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
