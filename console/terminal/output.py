"""Output to the terminal: takes frames at any rate, sends only what the line can carry, and never blocks its caller."""

from __future__ import annotations

import os
import re
import select
import threading
import time
from typing import TYPE_CHECKING

from rich.cells import get_character_cell_size

if TYPE_CHECKING:
    from collections.abc import Callable


# Difference between the wanted and the shown screen, in as few bytes as possible.
#
# Textual repaints whole widgets and repeats the colors for every piece. Over SSH that is most of the traffic, and a
# slow line falls behind. So frames are drawn on this canvas first, only changed cells are sent, and frames that a slow
# line cannot carry are skipped. curses does the same.

Cell = tuple[str, str]
"""A cell: a character with its combining marks (empty: right half of a wide one), and its SGR parameters."""

_BLANK: Cell = (" ", "")
_UNKNOWN: Cell = ("\0", "?")
_MOST_MARKS = 4
_GAP = 4
"""Gap in cells up to which rewriting is cheaper than moving the cursor."""
_SMALL = 256
"""Smallest update in characters that is sent as a synchronized frame."""

_TOKEN = re.compile(
    r"""(?P<text>[^\x00-\x1f\x7f-\x9f]+)
      | \x1b\[(?P<row>\d+);(?P<column>\d+)H
      | \x1b\[(?P<sgr>[\d;]*)m
      | (?P<newline>\n)
      | (?P<sync>\x1b\[\?2026[hl])
      | (?P<enter>\x1b\[\?1049h)
      | (?P<leave>\x1b\[\?1049l)
      | (?P<raw>\x1b\[[0-?]*[ -/]*[@-~] | \x1b\][^\x07\x1b]*\x07 | \x07)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


class Canvas:
    """Wanted and shown content of a screen with ``width`` × ``height`` cells."""

    def __init__(self, width: int, height: int) -> None:
        self._x = self._y = 0
        self._sgr = ""
        self._raw: list[str] = []
        self._synchronized = False
        self._away = False
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """Set another size. The terminal's content counts as unknown afterwards."""
        self.width, self.height = width, height
        self._wanted = [[_BLANK] * width for _ in range(height)]
        self._drawn: list[bool] = [False] * height
        self.forget()

    def forget(self) -> None:
        """Treat the terminal's content as unknown, so every line drawn so far is sent again."""
        self._shown = [[_UNKNOWN] * self.width for _ in range(self.height)]
        self._dirty = {y for y, drawn in enumerate(self._drawn) if drawn}
        self._lose_pen()

    def feed(self, data: str) -> None:
        """Take output that Textual would write to the terminal."""
        for token in _TOKEN.finditer(data):
            match token.lastgroup:
                case "text":
                    self._put(token["text"])
                case "column":
                    self._y, self._x = int(token["row"]) - 1, int(token["column"]) - 1
                case "sgr":
                    self._style(token["sgr"])
                case "newline":
                    self._y, self._x = self._y + 1, 0
                case "sync":
                    self._synchronized = True
                case "enter" | "leave" as which:
                    self._raw.append(token[0])
                    self._away = which == "leave"
                    self.forget()
                case "raw":
                    self._raw.append(token[0])
                case _:
                    self._put("\ufffd")  # an unknown sequence, which the terminal must not act on

    def render(self) -> str:
        """Return the bytes that bring the terminal up to date; empty when it is."""
        before = "".join(self._raw)
        if self._raw:
            self._raw.clear()
            self._lose_pen()
        if self._away:
            return before
        out: list[str] = []
        for y in sorted(self._dirty):
            if self._wanted[y] != self._shown[y]:
                self._send_row(y, out)
        self._dirty.clear()
        if not out:
            return before
        self._move(min(self._y, self.height - 1), min(self._x, self.width - 1), out)
        body = "".join(out)
        if self._synchronized and len(body) > _SMALL:
            body = f"\x1b[?2026h{body}\x1b[?2026l"
        return before + body

    # --- wanted content ----------------------------------------------------------------------------------------------
    def _style(self, parameters: str) -> None:
        if parameters in ("", "0"):
            self._sgr = ""
        else:
            self._sgr = f"{self._sgr};{parameters}" if self._sgr else parameters

    def _put(self, text: str) -> None:
        if not 0 <= self._y < self.height:
            return
        row, sgr = self._wanted[self._y], self._sgr
        self._drawn[self._y] = True
        self._dirty.add(self._y)
        if text.isascii():
            self._x = _put_narrow(row, self._x, text, sgr)
            return
        for char in text:
            self._x = _put_char(row, self._x, char, sgr)

    # --- shown content -----------------------------------------------------------------------------------------------
    def _lose_pen(self) -> None:
        self._pen: tuple[int, int] | None = None
        self._pen_sgr: str | None = None

    def _send_row(self, y: int, out: list[str]) -> None:
        wanted, shown = self._wanted[y], self._shown[y]
        for x, cell in enumerate(wanted):
            if cell == shown[x]:
                continue
            char, sgr = cell
            shown[x] = cell
            if not char:
                continue
            if self._pen != (y, x):
                self._reach(y, x, out)
            self._ink(sgr, out)
            out.append(char)
            # Terminals disagree about the width of wide and combined characters, so the cursor is unknown after them.
            self._pen = (y, x + 1) if len(char) == 1 and get_character_cell_size(char) == 1 else None
        if self._pen is not None and self._pen[1] >= self.width:
            self._pen = None

    def _reach(self, y: int, x: int, out: list[str]) -> None:
        """Move to a cell: over a short gap by writing its content, else with a cursor sequence."""
        if self._pen is not None and self._pen[0] == y and 0 < x - self._pen[1] <= _GAP:
            between = self._shown[y][self._pen[1] : x]
            if all(sgr == self._pen_sgr and char.isascii() and char for char, sgr in between):
                out.extend(char for char, _ in between)
                self._pen = (y, x)
                return
        self._move(y, x, out)

    def _move(self, y: int, x: int, out: list[str]) -> None:
        if self._pen != (y, x):
            out.append(f"\x1b[{y + 1};{x + 1}H")
            self._pen = (y, x)

    def _ink(self, sgr: str, out: list[str]) -> None:
        if sgr != self._pen_sgr:
            out.append(f"\x1b[0;{sgr}m" if sgr else "\x1b[0m")
            self._pen_sgr = sgr


def _put_narrow(row: list[Cell], x: int, text: str, sgr: str) -> int:
    """Write characters of one cell each. Returns the column after them."""
    end = min(len(row), x + len(text))
    if end <= x:
        return x + len(text)
    _unhook(row, x)
    _unhook(row, end)
    row[x:end] = [(char, sgr) for char in text[: end - x]]
    return x + len(text)


def _put_char(row: list[Cell], x: int, char: str, sgr: str) -> int:
    """Write any character. Returns the column after it."""
    width = get_character_cell_size(char)
    if width == 0:
        _put_mark(row, x, char)
        return x
    if x + width > len(row):
        return x + width
    _unhook(row, x)
    _unhook(row, x + width)
    row[x] = (char, sgr)
    if width == 2:
        row[x + 1] = ("", sgr)
    return x + width


def _put_mark(row: list[Cell], x: int, mark: str) -> None:
    """Add a combining mark to the character left of a column."""
    if 0 < x <= len(row):
        char, sgr = row[x - 1]
        if char and len(char) <= _MOST_MARKS:
            row[x - 1] = (char + mark, sgr)


def _unhook(row: list[Cell], x: int) -> None:
    """Blank the left half of a wide character before its right half is overwritten."""
    if 0 < x < len(row) and not row[x][0]:
        row[x - 1] = (" ", row[x - 1][1])
        row[x] = (" ", row[x][1])


_CHUNK = 1024
_DRAIN_S = 1.0


class Line:
    """File-like output for Textual's writer thread. Another thread sends to the terminal.

    While the terminal is slow or stalled, frames only change the canvas. When the terminal accepts bytes again, it gets
    the difference between its content and the newest frame.

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
        """Return the terminal's descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return True while this still leads to a terminal."""
        return os.isatty(self._descriptor)

    def write(self, text: str) -> int:
        """Take output. Returns at once."""
        with self._changed:
            self._canvas.feed(text)
        return len(text)

    def flush(self) -> None:
        """Send the written output when the terminal accepts it."""
        with self._changed:
            self._waiting = True
            self._changed.notify_all()

    def resize(self, width: int, height: int) -> bool:
        """Set the size of the coming frames. Returns True when it changed, so that everything must be drawn again."""
        with self._changed:
            other = (width, height) != (self._canvas.width, self._canvas.height)
            if other:
                self._canvas.resize(width, height)
            return other

    def forget(self) -> None:
        """Send everything again: the terminal may have lost its content."""
        with self._changed:
            self._canvas.forget()
            self._waiting = True
            self._changed.notify_all()

    def drain(self) -> None:
        """Wait until everything is sent, or until the terminal clearly accepts nothing."""
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
            # Write small pieces, and only when there is room: a blocking write of a whole frame could not be
            # interrupted.
            select.select([], [self._descriptor], [])
            written = os.write(self._descriptor, view[:_CHUNK])
            self.sent += written
            view = view[written:]
