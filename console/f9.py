"""The way from the kill key to the switch: no event loop, no queue, no other action in between (contract §7)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from console.messages import KillArrived, KillFailed, KillNotHere, KillPressed
from console.polling import unexpected
from ml.errors import ConsoleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.message import Message

    from ml.clock import Clock
    from ml.session import Operations

HELD_S = 0.7
"""Presses that follow each other faster than this are one key, held."""


class KillKey:
    """Throws the switch on a thread of its own for each press, from whichever thread saw the key."""

    def __init__(self, operations: Operations, clock: Clock, post: Callable[[Message], bool], *, allowed: bool) -> None:
        self._operations = operations
        self._clock = clock
        self._post = post
        self._allowed = allowed
        self._lock = threading.Lock()
        self._last = float("-inf")

    def press(self) -> None:
        """One press; returns at once. A held key is one press, and a later one delivers the switch again."""
        with self._lock:
            now = self._clock.monotonic()
            held, self._last = now - self._last < HELD_S, now
        if held:
            return
        if not self._allowed:
            self._post(KillNotHere())
            return
        threading.Thread(target=self._throw, name="kill", daemon=True).start()

    def _throw(self) -> None:
        try:
            self._post(KillPressed())
            self._post(KillArrived(self._operations.kill(by_key=True)))
        except ConsoleError as error:
            self._post(KillFailed(error))
        except Exception as error:  # noqa: BLE001 the operator must read that the switch may not be thrown
            self._post(KillFailed(unexpected(error)))
