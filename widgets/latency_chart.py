"""The values behind one tape, drawn below it in the same columns, with the limit as a line."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ml.board import SoakReport, Tape
from widgets.amounts import amount
from widgets.bar_rows import Bars, highest
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
    peaks = [highest(tape.values[grid.span(column)]) for column in range(grid.columns)]
    top = max([tape.limit * _HEADROOM, *(peak for peak in peaks if peak is not None)]) or 1.0
    bars = Bars(peaks, top, height, tape.limit)
    return [_label(tape, bars, y, glyphs) + bars.row(y, glyphs) for y in reversed(range(height))]


def _label(tape: Tape, bars: Bars, y: int, glyphs: Glyphs) -> Content:
    label = "0" if y == 0 else ""
    if y == bars.limit_row:
        label = amount(tape.limit, tape.unit, limit=tape.limit)
    return Content.assemble((f"{label:>{NAME_WIDTH - 2}} ", "$quiet"), (glyphs.rule, "$faint"))
