"""The terminal as it really is: it hangs up, stalls, stops, sends odd bytes, and has any size (contract §14, terminal).

A driver for Textual that survives all of that, and that throws the kill switch from the thread that reads the keys, so
that neither a busy event loop nor a slow line stands between the key and the switch (contract §7).
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
from typing import TYPE_CHECKING, Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size

from console.terminal.output import Line
from ml.text import visible

if TYPE_CHECKING:
    from textual.message import Message

    from console.app import ConsoleApp


# Keeps a paste that never ends from swallowing the keyboard (contract §14, terminal).

_START, _END = "\x1b[200~", "\x1b[201~"
LONGEST = 65_536
"""Characters of one paste that are passed on; nothing that is pasted here is longer."""
PATIENCE_S = 1.0
"""A paste is over when nothing came for so long, whether or not the terminal said so."""


class PasteGuard:
    """Watches input on its way to the key parser, and closes a bracketed paste that is too long or was cut off."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._pasting = False
        self._length = 0
        self._last = 0.0
        self._kept = ""

    def feed(self, text: str) -> str:
        """Input as it may be parsed."""
        self._last = self._monotonic()
        text, self._kept = _whole(self._kept + text)
        out: list[str] = []
        while text:
            text = self._pasted(text, out) if self._pasting else self._typed(text, out)
        return "".join(out)

    def tick(self) -> str:
        """Called when there is no input for the moment: the end of a paste that was never closed, or nothing."""
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
    """Split off the beginning of a paste mark at the very end, which the next input may complete."""
    for length in range(min(len(_START) - 1, len(text)), 1, -1):
        tail = text[-length:]
        if _START.startswith(tail) or _END.startswith(tail):
            return text[:-length], tail
    return text, ""


MOST_COLUMNS, MOST_ROWS = 500, 200
"""Larger terminals are drawn in their upper left part; a 3000 × 3000 one would cost seconds per frame."""

_HANGUP = 128 + signal.SIGHUP
SWITCH_S = 0.0005
"""Seconds after which a thread that spins gives the interpreter up, ten times sooner than Python's own: each of a dozen
steps of the kill key to the disk waits for that once.

This driver is the only one who sets it.
"""
_LAST_RESORT_S = 10.0
_KEEP_TITLE, _OLD_TITLE = "\x1b[22;2t", "\x1b[23;2t"
_LEAVE = b"\x1b[?2004l\x1b[?1000l\x1b[?1003l\x1b[<u\x1b[?1049l\x1b[?25h"


class ConsoleDriver(LinuxDriver):
    """Textual's driver with a diffing output and an input loop that nothing but the end of the terminal ends."""

    def __init__(self, app: ConsoleApp, **options: Any) -> None:
        # The mouse stays the terminal's, for selecting text, until somebody asks for it.
        super().__init__(app, **(options | {"mouse": False}))
        self._console = app
        # Threads that read keys and write frames are short and urgent; a busy loop must not hold them up for long.
        self._switch_before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        assert self._file is not None
        self._line = Line(self._file.fileno(), *self._get_terminal_size(), lost=self._hung_up)
        self._file = self._line  # type: ignore[assignment]  # all that Textual's writer thread asks of it
        self._started = False
        self._ending = False
        self._named = False
        self._end_lock = threading.Lock()

    # --- life ----------------------------------------------------------------------------------------------------
    def start_application_mode(self) -> None:
        """Take the terminal, and the signals that end us."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._started = True
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(number, self._end, 128 + number)
        loop.add_signal_handler(signal.SIGWINCH, self._resized)

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        self._started = False
        if self._named:
            self._named = False
            self.write(_OLD_TITLE)
        super().stop_application_mode()

    def write(self, data: str) -> None:
        """Draw on a canvas of the size that Textual draws for."""
        width, height = self._app.size
        if self._line.resize(width, height):
            self._app.call_later(self._app.refresh)  # this frame may hold but what changed, on a canvas now empty
        super().write(data)

    def _resized(self) -> None:
        """Draw everything again, at the same size too: a terminal that was smaller for a moment has lost the rest."""
        self._line.forget()
        if not self._in_band_window_resize:
            size = Size(*self._get_terminal_size())
            self._app.post_message(events.Resize(size, size))

    def name_window(self, title: str) -> None:
        """Give the terminal's window a title; the one that it had comes back when we leave."""
        before = "" if self._named else _KEEP_TITLE
        self._named = True
        self.write(f"{before}\x1b]2;{visible(title, limit=80)}\x07")

    def toggle_mouse(self) -> bool:
        """Take the mouse from the terminal or give it back; whether it is ours now."""
        if self._mouse:
            self._disable_mouse_support()
            self._mouse = False
        else:
            self._mouse = True
            self._enable_mouse_support()
        return self._mouse

    def close(self) -> None:
        """Let the last bytes out, but not for ever, and leave the interpreter as it was."""
        super().close()
        self._line.drain()
        sys.setswitchinterval(self._switch_before)

    def _sigcont_application(self, *_: object) -> None:
        # A plain SIGSTOP leaves no chance to give the terminal back, so it is taken anew: the shell used it meanwhile.
        if self._started:
            self.suspend_application_mode()
        super()._sigcont_application()

    def _get_terminal_size(self) -> tuple[int, int]:
        # The terminal itself knows better than COLUMNS and LINES, which may have come from another one.
        try:
            width, height = os.get_terminal_size(self.fileno)
        except OSError:
            width = height = 0
        if not (width and height):
            width, height = super()._get_terminal_size()
        return min(width, MOST_COLUMNS), min(height, MOST_ROWS)

    # --- the end -------------------------------------------------------------------------------------------------
    def _hung_up(self) -> None:
        """The terminal is gone; called from the reading or the writing thread, so that no busy loop can miss it."""
        if self._begin_to_end(_HANGUP):
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._console.end, _HANGUP)

    def _end(self, code: int) -> None:
        """End in order: a write under way is waited for."""
        if self._begin_to_end(code):
            self._console.end(code)

    def _begin_to_end(self, code: int) -> bool:
        """Have a loop that does not come back ended all the same; whether this is the first to ask for an end."""
        with self._end_lock:
            first, self._ending = not self._ending, True
        if first:
            threading.Thread(target=self._last_resort, args=(code,), name="last resort", daemon=True).start()
        return first

    def _last_resort(self, code: int) -> None:
        workshop = self._console.workshop
        while not workshop.drained(_LAST_RESORT_S):
            pass
        threading.Event().wait(_LAST_RESORT_S)
        with contextlib.suppress(OSError, termios.error):
            if self.attrs_before is not None:
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
            os.write(self._line.fileno(), _LEAVE)
        os._exit(code)

    # --- input ---------------------------------------------------------------------------------------------------
    def run_input_thread(self) -> None:
        """Read keys until the terminal is given back or gone."""
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
        """Pass a key or another event on; the kill key acts at once, on this thread's account."""
        if isinstance(message, events.Key) and message.key in self._console.kill_keys:
            self._console.engage_kill()
            return
        if isinstance(message, events.Resize):
            if not self._in_band_window_resize:
                return  # No terminal was asked for this, so it is data that looks like an answer.
            message = _clamped(message)
        super().process_message(message)


class _Keys:
    """Textual's key parser, renewed when odd input breaks it."""

    def __init__(self, debug: bool) -> None:
        self._debug = debug
        self._parser = XTermParser(debug)

    def feed(self, text: str) -> list[Message]:
        """The events in some input; an escape key on its own is known after a while without any."""
        messages: list[Message] = []
        for char in text:  # one by one, so that what breaks the parser takes nothing with it
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
