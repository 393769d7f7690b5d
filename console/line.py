"""The line to the terminal: takes frames at any pace, sends what the line can carry, never blocks its caller."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING

from console.canvas import Canvas

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1024
_DRAIN_S = 1.0


class Line:
    """A file-like end for Textual's writer thread, with a thread of its own that writes to the terminal.

    While the terminal is slow or stalled, frames only change the canvas; when it can take bytes again, it gets the
    difference between what it shows and what is wanted by then.

    Args:
        descriptor: the terminal, open for writing.
        lost: called once, from the sending thread, when the terminal is gone.
    """

    def __init__(self, descriptor: int, width: int, height: int, lost: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._canvas = Canvas(width, height)
        self._lost = lost
        self._changed = threading.Condition()
        self._waiting = self._sending = self._dead = False
        self.sent = 0
        """Bytes written so far."""
        threading.Thread(target=self._run, name="terminal line", daemon=True).start()

    def fileno(self) -> int:
        """The terminal's descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether this still leads to a terminal."""
        return os.isatty(self._descriptor)

    def write(self, text: str) -> int:
        """Take output; returns at once."""
        with self._changed:
            self._canvas.feed(text)
        return len(text)

    def flush(self) -> None:
        """Have what was written sent when the terminal can take it."""
        with self._changed:
            self._waiting = True
            self._changed.notify_all()

    def resize(self, width: int, height: int) -> bool:
        """Take the size that frames have from now on; whether it is another, so that everything must be drawn anew."""
        with self._changed:
            other = (width, height) != (self._canvas.width, self._canvas.height)
            if other:
                self._canvas.resize(width, height)
            return other

    def forget(self) -> None:
        """Send everything again: the terminal may have lost what it showed."""
        with self._changed:
            self._canvas.forget()
            self._waiting = True
            self._changed.notify_all()

    def drain(self) -> None:
        """Wait until everything is sent, or until it is clear that nobody takes it."""
        deadline = time.monotonic() + _DRAIN_S
        with self._changed:
            self._changed.wait_for(
                lambda: self._dead or not (self._waiting or self._sending), deadline - time.monotonic()
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._sending = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                self._waiting, self._sending = False, True
                data = self._canvas.render().encode("utf-8", "replace")
            try:
                self._send(data)
            except OSError:
                break
        with self._changed:
            self._dead = True
            self._changed.notify_all()
        self._lost()

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            # Small pieces, and only when there is room: a blocking write of a whole frame could not be given up.
            select.select([], [self._descriptor], [])
            written = os.write(self._descriptor, view[:_CHUNK])
            self.sent += written
            view = view[written:]
