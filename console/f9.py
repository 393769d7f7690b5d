"""Kill key: a press runs the kill switch directly, without event loop or queue (contract §7)."""

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
    from ml.session import Session

HELD_S = 0.7
"""Seconds. Presses closer together than this count as one held key."""


class KillKey:
    """Runs the kill switch on a new thread for each press, whichever thread read the key."""

    def __init__(self, session: Session, clock: Clock, post: Callable[[Message], bool], *, allowed: bool) -> None:
        self._session = session
        self._clock = clock
        self._post = post
        self._allowed = allowed
        self._lock = threading.Lock()
        self._last = float("-inf")

    def press(self) -> None:
        """Handle one press; returns at once. A held key is one press. A later press delivers the switch again."""
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
            self._post(KillArrived(self._session.kill.engage(by_key=True)))
        except ConsoleError as error:
            self._post(KillFailed(error))
        except Exception as error:  # noqa: BLE001 the operator must read that the switch may not be thrown
            self._post(KillFailed(unexpected(error)))
