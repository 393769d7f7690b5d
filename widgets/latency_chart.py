"""The values behind one tape, drawn below it in the same columns, with the limit as a line."""

from __future__ import annotations

import math

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ml.board import SoakReport, Tape
from widgets.amounts import amount
from widgets.glyphs import Glyphs, glyphs_of
from widgets.soak_tape import NAME_WIDTH, Grid

_HEADROOM = 1.15


class LatencyChart(Widget):
    """Draws ``tape`` of ``report``, the worst value of each stretch of windows."""

    DEFAULT_CSS = """
    LatencyChart { height: 1fr; min-height: 3; text-wrap: nowrap; }
    """

    report: reactive[SoakReport | None] = reactive(None)
    tape: reactive[Tape | None] = reactive(None)

    def render(self) -> Content:
        """The chart in the room that there is."""
        if self.report is None or self.tape is None:
            return Content("")
        grid = Grid.of(self.report, self.size.width)
        return Content("\n").join(chart(self.tape, grid, self.size.height, glyphs_of(self.app)))


def chart(tape: Tape, grid: Grid, height: int, glyphs: Glyphs) -> list[Content]:
    """Rows of a bar chart, top first. The scale starts at zero and holds the limit."""
    peaks = [_peak(tape, grid, column) for column in range(grid.columns)]
    top = max([tape.limit * _HEADROOM, *(peak for peak in peaks if peak is not None)]) or 1.0
    step = top / max(1, height)
    return [_row(tape, peaks, height - 1 - y, step, top, glyphs) for y in range(height)]


def _peak(tape: Tape, grid: Grid, column: int) -> float | None:
    known = [value for value in tape.values[grid.span(column)] if value is not None and math.isfinite(value)]
    return max(known, default=None)


def _row(tape: Tape, peaks: list[float | None], y: int, step: float, top: float, glyphs: Glyphs) -> Content:
    """One row, ``y`` counted from the bottom; the limit shows wherever no bar covers it."""
    limit_row = min(int(tape.limit / step), round(top / step) - 1)
    label = amount(tape.limit, tape.unit, limit=tape.limit) if y == limit_row else ""
    if y == 0 and not label:
        label = "0"
    parts: list[tuple[str, str]] = [(f"{label:>{NAME_WIDTH - 2}} ", "$quiet"), (glyphs.rule, "$faint")]
    for peak in peaks:
        filled = 0.0 if peak is None else peak / step - y
        if filled <= 0:
            parts.append((glyphs.limit, "$verdict-bad") if y == limit_row else (" ", ""))
            continue
        level = math.ceil(filled * (len(glyphs.levels) + 1)) - 1
        glyph = glyphs.levels[level] if level < len(glyphs.levels) else glyphs.block
        parts.append((glyph, _color(tape, peak, top=filled <= 1)))
    return Content.assemble(*parts).simplify()


def _color(tape: Tape, peak: float | None, *, top: bool) -> str:
    """Loud above the limit; else only the top of a bar stands out."""
    if peak is not None and peak >= tape.limit:
        return "$verdict-bad"
    return "$verdict-good" if top else "$frame"
