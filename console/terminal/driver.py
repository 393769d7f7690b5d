"""Textual driver for a real terminal, which hangs up, stalls, stops, and sends invalid bytes (contract §14, terminal).

The kill key acts on the thread that reads the keys, so neither a busy event loop nor a slow line can delay the kill
switch (contract §7).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import signal
import sys
import termios
import threading
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size

from console.terminal.output import Line
from ml.text import visible

if TYPE_CHECKING:
    from textual.app import App
    from textual.message import Message

    from console.polling import Jobs


# Paste guard: a paste that never ends must not block the keyboard (contract §14, terminal).

_START, _END = "\x1b[200~", "\x1b[201~"
LONGEST = 65_536
"""Longest paste in characters; the rest is dropped. Nothing that is pasted here is longer."""
PATIENCE_S = 1.0
"""Seconds without input after which a paste counts as finished, even without an end mark."""


class PasteGuard:
    """Filters input before the key parser, and closes a bracketed paste that is too long or was cut off."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._pasting = False
        self._length = 0
        self._last = 0.0
        self._kept = ""

    def feed(self, text: str) -> str:
        """Return the input that may be parsed."""
        self._last = self._monotonic()
        text, self._kept = _whole(self._kept + text)
        out: list[str] = []
        while text:
            text = self._pasted(text, out) if self._pasting else self._typed(text, out)
        return "".join(out)

    def tick(self) -> str:
        """Handle a pause in the input: return the end mark of an unfinished paste, or nothing."""
        kept, self._kept = self._kept, ""
        if self._pasting and self._monotonic() - self._last > PATIENCE_S:
            self._pasting = False
            return kept + _END
        return kept

    def _typed(self, text: str, out: list[str]) -> str:
        before, start, after = text.partition(_START)
        out.append(before + start)
        self._pasting, self._length = bool(start), 0
        return after

    def _pasted(self, text: str, out: list[str]) -> str:
        inside, end, after = text.partition(_END)
        out.append(inside[: LONGEST - self._length])
        self._length = min(LONGEST, self._length + len(inside))
        if end:
            out.append(end)
            self._pasting = False
        return after


def _whole(text: str) -> tuple[str, str]:
    """Split off an incomplete paste mark at the end of the input. The next input may complete it."""
    for length in range(min(len(_START) - 1, len(text)), 1, -1):
        tail = text[-length:]
        if _START.startswith(tail) or _END.startswith(tail):
            return text[:-length], tail
    return text, ""


MOST_COLUMNS, MOST_ROWS = 500, 200
"""Largest drawn size.

Only the upper left part of a larger terminal is used; 3000 × 3000 cells would need seconds per frame.
"""

_HANGUP = 128 + signal.SIGHUP
SWITCH_S = 0.0005
"""Switch interval in seconds, ten times shorter than Python's default.

A busy thread releases the interpreter after this time, and the kill key waits for that in each of about twelve steps to
the disk. No other module sets the interval.
"""
_LAST_RESORT_S = 10.0
_KEEP_TITLE, _OLD_TITLE = "\x1b[22;2t", "\x1b[23;2t"
_LEAVE = b"\x1b[?2004l\x1b[?1000l\x1b[?1003l\x1b[<u\x1b[?1049l\x1b[?25h"


class Owner(Protocol):
    """The application, as its driver sees it."""

    kill_keys: frozenset[str]
    jobs: Jobs

    def engage_kill(self) -> None:
        """Engage the kill switch. Callable from any thread."""
        ...

    def end(self, code: int) -> None:
        """Leave with an exit code after running writes have finished."""
        ...


class ConsoleDriver(LinuxDriver):
    """Textual's driver with a diffing output. Its input loop ends only when the terminal is gone."""

    def __init__(self, app: App[int], **options: Any) -> None:
        # The terminal keeps the mouse, for selecting text, until the operator asks for it.
        super().__init__(app, **(options | {"mouse": False}))
        self._console = cast("Owner", app)
        # Threads that read keys and write frames are short and urgent; a busy loop must not delay them.
        self._switch_before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        assert self._file is not None
        self._line = Line(self._file.fileno(), *self._get_terminal_size(), lost=self._hung_up)
        self._file = self._line  # type: ignore[assignment]  # all that Textual's writer thread asks of it
        self._started = False
        self._ending = False
        self._named = False
        self._end_lock = threading.Lock()

    # --- start and stop ----------------------------------------------------------------------------------------------
    def start_application_mode(self) -> None:
        """Take over the terminal, and handle the signals that end the process."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._started = True
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(number, self._end, 128 + number)
        loop.add_signal_handler(signal.SIGWINCH, self._resized)

    def stop_application_mode(self) -> None:
        """Restore the terminal."""
        self._started = False
        if self._named:
            self._named = False
            self.write(_OLD_TITLE)
        super().stop_application_mode()

    def write(self, data: str) -> None:
        """Draw on a canvas of the size that Textual draws for."""
        width, height = self._app.size
        if self._line.resize(width, height):
            self._app.call_later(self._app.refresh)  # This frame may hold only changes, and the canvas is empty now.
        super().write(data)

    def _resized(self) -> None:
        """Draw everything again, even at the same size: a terminal that was smaller for a moment has lost the rest."""
        self._line.forget()
        if not self._in_band_window_resize:
            size = Size(*self._get_terminal_size())
            self._app.post_message(events.Resize(size, size))

    def name_window(self, title: str) -> None:
        """Set the terminal window's title. The old title returns at exit."""
        before = "" if self._named else _KEEP_TITLE
        self._named = True
        self.write(f"{before}\x1b]2;{visible(title, limit=80)}\x07")

    def toggle_mouse(self) -> bool:
        """Take the mouse from the terminal or give it back. Returns True when the console has it now."""
        if self._mouse:
            self._disable_mouse_support()
            self._mouse = False
        else:
            self._mouse = True
            self._enable_mouse_support()
        return self._mouse

    def close(self) -> None:
        """Send the last bytes, with a time limit, and restore the interpreter's switch interval."""
        super().close()
        self._line.drain()
        sys.setswitchinterval(self._switch_before)

    def _sigcont_application(self, *_: object) -> None:
        # SIGSTOP leaves no chance to restore the terminal, so set it up again: the shell has used it meanwhile.
        if self._started:
            self.suspend_application_mode()
        super()._sigcont_application()

    def _get_terminal_size(self) -> tuple[int, int]:
        # Ask the terminal itself: COLUMNS and LINES may come from another one.
        try:
            width, height = os.get_terminal_size(self.fileno)
        except OSError:
            width = height = 0
        if not (width and height):
            width, height = super()._get_terminal_size()
        return min(width, MOST_COLUMNS), min(height, MOST_ROWS)

    # --- the end -------------------------------------------------------------------------------------------------
    def _hung_up(self) -> None:
        """Handle a lost terminal. The reading or the writing thread calls this, so a busy event loop cannot miss it."""
        if self._begin_to_end(_HANGUP):
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._console.end, _HANGUP)

    def _end(self, code: int) -> None:
        """End in order, after a running write."""
        if self._begin_to_end(code):
            self._console.end(code)

    def _begin_to_end(self, code: int) -> bool:
        """Start a watchdog for an event loop that does not return. Returns True for the first request to end."""
        with self._end_lock:
            first, self._ending = not self._ending, True
        if first:
            threading.Thread(target=self._last_resort, args=(code,), name="last resort", daemon=True).start()
        return first

    def _last_resort(self, code: int) -> None:
        jobs = self._console.jobs
        while not jobs.drained(_LAST_RESORT_S):
            pass
        threading.Event().wait(_LAST_RESORT_S)
        with contextlib.suppress(OSError, termios.error):
            if self.attrs_before is not None:
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
            os.write(self._line.fileno(), _LEAVE)
        os._exit(code)

    # --- input ---------------------------------------------------------------------------------------------------
    def run_input_thread(self) -> None:
        """Read keys until the terminal is restored or gone."""
        decode = getincrementaldecoder("utf-8")("replace").decode
        keys = _Keys(self._debug)
        guard = PasteGuard()
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(0.1):
                    data = self._read()
                    if not data:
                        self._hung_up()
                        return
                    text = guard.feed(decode(data))
                else:
                    text = guard.tick()
                for message in keys.feed(text):
                    self.process_message(message)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, 4096)
        except OSError:  # EIO: the other side of the pseudo-terminal is closed
            return b""

    def process_message(self, message: Message) -> None:
        """Pass on a key or another event. The kill key acts at once, on this thread."""
        if isinstance(message, events.Key) and message.key in self._console.kill_keys:
            self._console.engage_kill()
            return
        if isinstance(message, events.Resize):
            if not self._in_band_window_resize:
                return  # The console never asked the terminal for this, so it is data that looks like an answer.
            message = _clamped(message)
        super().process_message(message)


class _Keys:
    """Textual's key parser. It is replaced when invalid input breaks it."""

    def __init__(self, debug: bool) -> None:
        self._debug = debug
        self._parser = XTermParser(debug)

    def feed(self, text: str) -> list[Message]:
        """Return the events of some input. A single Escape key is recognized after a pause."""
        messages: list[Message] = []
        for char in text:  # One by one, so that only the character that breaks the parser is lost.
            messages += self._guarded(self._parser.feed, char)
        return messages + self._guarded(self._parser.tick)

    def _guarded(self, take: Callable[..., Iterable[Message]], *text: str) -> list[Message]:
        try:
            return list(take(*text))
        except Exception:  # noqa: BLE001 absurd numbers in escape sequences raise whatever they like
            self._parser = XTermParser(self._debug)
            return []


def _clamped(event: events.Resize) -> events.Resize:
    size = Size(min(event.size.width, MOST_COLUMNS), min(event.size.height, MOST_ROWS))
    return event if size == event.size else events.Resize(size, size)
