"""Soak as a tape: one column per stretch of windows. The worst window of a stretch decides the column's look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import var

from ml.board import Cell, SoakReport, Tape
from ml.clock import clock_time
from ml.text import visible
from ml.units import amount
from widgets.drawing import Glyphs, fit, glyphs_of
from widgets.row_list import RowList

NAME_WIDTH = 13
_TAIL_WIDTH = 10
_STRETCHES = (1, 2, 3, 4, 6, 12, 24, 48, 96)
_SEVERITY = {Cell.OK: 0, Cell.RESTART: 1, Cell.KILLED: 2, Cell.NO_DATA: 3, Cell.BREACH: 4}
_LOOKS = {
    Cell.OK: ("▄", "-", "$verdict-good"),
    Cell.RESTART: ("r", "r", "$verdict-unknown"),
    Cell.KILLED: ("k", "k", "$verdict-unknown"),
    Cell.NO_DATA: ("?", "?", "$verdict-unknown"),
    Cell.BREACH: ("█", "#", "$verdict-bad bold"),
}
WORDS = {
    Cell.OK: "ok",
    Cell.RESTART: "restart",
    Cell.KILLED: "killed",
    Cell.NO_DATA: "no data",
    Cell.BREACH: "breach",
}


@dataclass(frozen=True, slots=True)
class Grid:
    """Layout of windows in columns: ``stretch`` windows in each of ``columns``, for ``windows`` in all."""

    windows: int
    stretch: int

    @classmethod
    def of(cls, report: SoakReport, width: int) -> Grid:
        """Return the finest layout of the required time that fits a width."""
        step = report.tapes[0].step_s if report.tapes else 300
        longest = max((len(tape.cells) for tape in report.tapes), default=0)
        return cls.fitting(max(1, report.required_s // step, longest), width - NAME_WIDTH - _TAIL_WIDTH)

    @classmethod
    def fitting(cls, windows: int, room: int) -> Grid:
        """Return the finest layout of a number of windows that fits a number of cells."""
        room = max(1, room)
        return cls(windows, next((s for s in _STRETCHES if windows <= s * room), -(-windows // room)))

    @property
    def columns(self) -> int:
        """The number of columns for the whole soak."""
        return -(-self.windows // self.stretch)

    def span(self, column: int) -> slice:
        """Return the windows of a column."""
        return slice(column * self.stretch, (column + 1) * self.stretch)


class SoakTapes(RowList):
    """One tape per objective of ``report``, with a scale below. ``window`` is the chosen window.

    A column holds as many windows as the width requires, and looks like the worst of them. The cursor moves window by
    window.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "look(-1)", "Earlier", show=False, id="tape.earlier", tooltip="Show the window before"),
        Binding("right,l", "look(1)", "Later", show=False, id="tape.later", tooltip="Show the window after"),
        Binding("shift+left,H", "leap(-1)", "Hour back", show=False, id="tape.hour_back", tooltip="An hour earlier"),
        Binding("shift+right,L", "leap(1)", "Hour on", show=False, id="tape.hour_on", tooltip="An hour later"),
        Binding("b", "worst", "Worst", show=False, id="tape.worst", tooltip="Show the worst window"),
    ]

    report: var[SoakReport | None] = var(None, init=False)
    window: var[int] = var(-1, init=False)
    """The chosen window; -1 for the newest."""

    class Looked(Message):
        """Another tape or window was chosen, or the soak has new windows."""

        def __init__(self, tapes: SoakTapes) -> None:
            super().__init__()
            self.tapes = tapes

        @property
        def control(self) -> SoakTapes:
            """The tapes."""
            return self.tapes

    @property
    def tape(self) -> Tape | None:
        """The tape under the cursor."""
        tapes = self.report.tapes if self.report is not None else ()
        return tapes[self.cursor] if self.cursor < len(tapes) else None

    @property
    def looked_at(self) -> int:
        """The chosen window, between the first and the newest."""
        return self._newest() if self.window < 0 else min(self.window, self._newest())

    def action_look(self, by: int) -> None:
        """Choose an earlier or a later window."""
        target = max(0, self.looked_at + by)
        self.window = -1 if target >= self._newest() else target

    def action_leap(self, hours: int) -> None:
        """Choose a window some hours away."""
        if self.tape is not None:
            self.action_look(hours * max(1, 3600 // self.tape.step_s))

    def action_worst(self) -> None:
        """Choose the worst window of this tape."""
        if self.tape is not None and self.tape.worst is not None:
            self.window = self.tape.worst

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on the tapes: the scale below them cannot be chosen."""
        return max(0, min(cursor, self.count - 2))

    def watch_report(self, report: SoakReport | None) -> None:
        """Repaint rows that changed."""
        self.count = len(report.tapes) + 1 if report is not None and report.tapes else 0
        self._looked()

    def watch_cursor(self, before: int, now: int) -> None:
        """Post the chosen tape."""
        super().watch_cursor(before, now)
        self._looked()

    def watch_window(self) -> None:
        """Post the chosen window."""
        self._looked()

    def row(self, index: int) -> Content:
        """Return one tape, or the scale."""
        assert self.report is not None
        grid, glyphs = Grid.of(self.report, self.width), glyphs_of(self.app)
        if index == len(self.report.tapes):
            return scale(self.report, grid, glyphs)
        mark = self.looked_at // grid.stretch if index == self.cursor and self.has_focus else -1
        pointer = glyphs.pointer if index == self.cursor and self.has_focus else " "
        return tape_line(self.report.tapes[index], grid, glyphs, pointer=pointer, mark=mark)

    def _newest(self) -> int:
        return max(0, len(self.tape.cells) - 1) if self.tape is not None else 0

    def _looked(self) -> None:
        self.renew()
        self.post_message(self.Looked(self))


def tape_line(tape: Tape, grid: Grid, glyphs: Glyphs, *, pointer: str = " ", mark: int = -1) -> Content:
    """Return a tape in columns: name, windows, remaining time, and the number of windows that were not ok."""
    parts: list[tuple[str, str] | str] = [
        f"{pointer} {fit(visible(tape.objective, limit=40), NAME_WIDTH - 3, glyphs)} "
    ]
    for column in range(grid.columns):
        glyph, ascii_glyph, color = _looks(tape, grid, column, glyphs)
        parts.append((ascii_glyph if glyphs.ascii_only else glyph, f"{color} reverse" if column == mark else color))
    parts.append(_tail(tape))
    return Content.assemble(*parts)


def _tail(tape: Tape) -> tuple[str, str]:
    if not tape.cells:
        return " no window", "$verdict-unknown"
    bad = sum(cell != Cell.OK for cell in tape.cells)
    return (f" {bad} not ok", "") if bad else (" all ok", "$quiet")


def _looks(tape: Tape, grid: Grid, column: int, glyphs: Glyphs) -> tuple[str, str, str]:
    cells = tape.cells[grid.span(column)]
    if not cells:
        return glyphs.dot, ".", "$faint"
    return _LOOKS[max(map(Cell, cells), key=_SEVERITY.__getitem__)]


def scale(report: SoakReport, grid: Grid, glyphs: Glyphs) -> Content:
    """Return hours since the start, below the tapes."""
    step = report.tapes[0].step_s
    line = [" "] * (grid.columns + 4)
    for hour in range(0, report.required_s // 3600 + 1, 6):
        at = hour * 3600 // step // grid.stretch
        for offset, char in enumerate(f"{hour}h"):
            if at + offset < len(line):
                line[at + offset] = char
    return Content.assemble((" " * NAME_WIDTH + "".join(line).rstrip(), "$quiet"))


def look_words(tape: Tape, window: int, glyphs: Glyphs, now: datetime | None = None) -> Content:
    """Return a window's time, value and verdict, and the place of the worst window.

    Times more than 12 hours before ``now`` carry their date. Without ``now``, the end of the tape counts.
    """
    if window >= len(tape.cells):
        return Content("")
    begin = tape.started_at + timedelta(seconds=window * tape.step_s)
    word = WORDS[Cell(tape.cells[window])]
    value = amount(tape.values[window], tape.unit, limit=tape.limit)
    limit = amount(tape.limit, tape.unit, limit=tape.limit)
    dot = f" {glyphs.dot} "
    now = now or tape.started_at + timedelta(seconds=len(tape.cells) * tape.step_s)
    end = begin + timedelta(seconds=tape.step_s)
    when = f"{clock_time(begin, now).removesuffix('Z')}-{end:%H:%M}Z"
    return Content.assemble(
        (visible(tape.objective), "bold"),
        f" {when}{dot}{value} ({glyphs.less} {limit}){dot}{word}",
        _worst(tape, dot, now),
    )


def _worst(tape: Tape, dot: str, now: datetime) -> tuple[str, str]:
    if tape.worst is None:
        return "", ""
    at = tape.started_at + timedelta(seconds=tape.worst * tape.step_s)
    return (
        f"{dot}worst {amount(tape.values[tape.worst], tape.unit, limit=tape.limit)} at {clock_time(at, now)}",
        "$quiet",
    )
