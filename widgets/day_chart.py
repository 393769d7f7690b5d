"""Chart of one measure over a day: shadow above active, on the same scale and columns, so that times compare."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from textual.content import Content
from textual.reactive import reactive, var
from textual.widget import Widget

from ml.board import SoakReport, Tape
from ml.slo.charts import Line, Measure
from ml.text import visible
from ml.units import amount, figure
from widgets.drawing import Glyphs, glyphs_of
from widgets.quiet_widget import Still
from widgets.soak_tape import NAME_WIDTH, Grid

# Bar chart of several rows: one column per value, from zero up. The limit is drawn where no bar covers it.


@dataclass(frozen=True, slots=True)
class Bars:
    """Values of a chart: one per column, ``None`` for a missing one, up to ``top``.

    ``mark`` is the chosen column, -1 for none: a line stands in it above its bar. ``gap`` is drawn where nothing was
    measured.
    """

    values: Sequence[float | None]
    top: float
    height: int
    limit: float | None = None
    mark: int = -1
    gap: str = " "

    @property
    def step(self) -> float:
        """The value of one whole row."""
        return self.top / max(1, self.height)

    @property
    def limit_row(self) -> int:
        """The row that contains the limit, counted from the bottom; -1 when it is not on the scale."""
        if self.limit is None or self.limit > self.top:
            return -1
        return min(int(self.limit / self.step), self.height - 1)

    def row(self, y: int, glyphs: Glyphs) -> Content:
        """Return one row, with ``y`` counted from the bottom."""
        return Content.assemble(*(self._cell(column, y, glyphs) for column in range(len(self.values)))).simplify()

    def _cell(self, column: int, y: int, glyphs: Glyphs) -> tuple[str, str]:
        glyph, color = self._look(self.values[column], y, glyphs)
        if column == self.mark and glyph in (" ", glyphs.limit):
            return glyphs.rule, "bold"
        return glyph, f"{color} bold" if column == self.mark else color

    def _look(self, value: float | None, y: int, glyphs: Glyphs) -> tuple[str, str]:
        filled = 0.0 if value is None else value / self.step - y
        if filled <= 0:
            if value is None and y == 0 and self.gap != " ":
                return self.gap, "$verdict-unknown"
            return (glyphs.limit, "$verdict-bad") if y == self.limit_row else (" ", "")
        level = math.ceil(filled * (len(glyphs.levels) + 1)) - 1
        glyph = glyphs.levels[level] if level < len(glyphs.levels) else glyphs.block
        return glyph, self._color(value, top=filled <= 1)

    def _color(self, value: float | None, *, top: bool) -> str:
        """Return the style of a cell: loud from the limit on; below it, only the top of a bar stands out."""
        if value is not None and self.limit is not None and value >= self.limit:
            return "$verdict-bad"
        return "$verdict-good" if top else "$frame"


def highest(values: Sequence[float | None]) -> float | None:
    """Return the highest value; ``None`` when none is a number."""
    return max((value for value in values if value is not None and math.isfinite(value)), default=None)


_LABEL = 18
_HEADROOM = 1.15
_FAR = 3.0
"""A limit this many times above every value is only named: drawing it would flatten the day into one row."""
_EVERY_H = (1, 2, 3, 6, 12)
_TIME = 7
_FEWEST, _FRAME = 2, 3
"""Minimum rows of a panel, and rows of title, axis and times."""


class DayChart(Still):
    """Draws ``measure``. ``column`` is the chosen stretch of time, -1 for the newest."""

    DEFAULT_CSS = """
    DayChart { height: 1fr; min-height: 7; text-wrap: nowrap; }
    """

    measure: var[Measure | None] = var(None, init=False)
    column: var[int] = var(-1, init=False)

    @property
    def grid(self) -> Grid:
        """The layout of the day's windows in columns."""
        return Grid.fitting(max(1, self.measure.windows if self.measure else 1), self.size.width - _LABEL - 1)

    @property
    def looked_at(self) -> int:
        """The chosen column."""
        last = self.grid.columns - 1
        return last if self.column < 0 else min(self.column, last)

    def look(self, by: int) -> None:
        """Choose the column some steps to the right."""
        target = max(0, self.looked_at + by)
        self.column = -1 if target >= self.grid.columns - 1 else target

    def look_at_highest(self) -> None:
        """Choose the column with the highest value of any line."""
        lines = self.measure.lines if self.measure else ()
        values = [(value, index) for line in lines for index, value in enumerate(line.values) if value is not None]
        if values:
            self.column = max(values)[1] // self.grid.stretch

    def watch_measure(self) -> None:
        """Draw the measure."""
        self.renew()

    def watch_column(self) -> None:
        """Draw the mark in its new column."""
        self.renew()

    def content(self) -> Content:
        """Return the chart for the current size."""
        if self.measure is None:
            return Content("")
        glyphs = glyphs_of(self.app)
        return Content("\n").join(chart(self.measure, self.grid, self.size.height, glyphs, mark=self.looked_at))


def chart(measure: Measure, grid: Grid, height: int, glyphs: Glyphs, *, mark: int = -1) -> list[Content]:
    """Return title, a panel per line, and the times below them."""
    top = _top(measure)
    panels = measure.lines or (None,)
    rows = max(_FEWEST, (height - _FRAME) // len(panels))
    drawn = [_title(measure, top)]
    for line in panels:
        drawn += _panel(measure, line, grid, rows, top, glyphs, mark)
    return [*drawn, _axis(grid, glyphs, mark), _times(measure, grid)]


def _top(measure: Measure) -> float:
    peak = max((line.highest or 0.0 for line in measure.lines), default=0.0)
    limit = measure.limit
    if limit is not None and (peak == 0 or limit <= _FAR * peak):
        peak = max(limit, peak)
    return peak * _HEADROOM or 1.0


def _title(measure: Measure, top: float) -> Content:
    limit = measure.limit
    said = "no limit" if limit is None else f"limit {figure(limit, measure.chart.unit)}"
    far = ", above this scale" if limit is not None and limit > top else ""
    return Content.assemble(
        (visible(measure.name, limit=80), "bold"), (f"  {measure.chart.unit}, {said}{far}", "$quiet")
    )


def _panel(
    measure: Measure, line: Line | None, grid: Grid, rows: int, top: float, glyphs: Glyphs, mark: int
) -> Iterator[Content]:
    name = line.stage if line is not None else ""
    if line is None or not line.numbers:
        yield _label(name, "", glyphs) + Content.styled(_absent(measure, name), "$verdict-unknown")
        yield from (_label("", "", glyphs) for _ in range(rows - 1))
        return
    values = [highest(line.values[grid.span(at)]) for at in range(grid.columns)]
    bars = Bars(values, top, rows, line.limit, mark, gap="?")
    for y in reversed(range(rows)):
        scale = f"{top:.3g}" if y == rows - 1 else "0" if y == 0 else ""
        if y == bars.limit_row and line.limit is not None:
            scale = f"{glyphs.less} {line.limit:.4g}"
        yield _label(name if y == rows - 1 else "", scale, glyphs) + bars.row(y, glyphs)


def _label(name: str, scale: str, glyphs: Glyphs) -> Content:
    return Content.assemble((f"{name:<7}", "bold"), (f"{scale:>{_LABEL - 9}} ", "$quiet"), (glyphs.rule, "$faint"))


def _absent(measure: Measure, stage: str) -> str:
    what = visible(measure.name, limit=40)
    if measure.chart.problem:
        return f"{what}: not known."
    return f"No {what} of {stage} was measured in these 24 h." if stage else f"{what}: none reported in these 24 h."


def _axis(grid: Grid, glyphs: Glyphs, mark: int) -> Content:
    line = [glyphs.empty] * grid.columns
    before, at, after = line[: max(0, mark)], line[mark : mark + 1] if mark >= 0 else [], line[mark + 1 :]
    pointer = glyphs.up if at else ""
    return Content.assemble(
        (f"{'':{_LABEL - 1}}{glyphs.corner}" + "".join(before), "$faint"), (pointer, "bold"), ("".join(after), "$faint")
    )


def _times(measure: Measure, grid: Grid) -> Content:
    """Return full hours below their columns, as many as fit."""
    step, start = measure.chart.step_s, measure.chart.start
    per_hour = 3600 / (step * grid.stretch)
    every = next((hours for hours in _EVERY_H if hours * per_hour >= _TIME), _EVERY_H[-1])
    line = [" "] * (grid.columns + _TIME)
    hour = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    end = measure.chart.moment(grid.windows - 1)
    while hour <= end:
        at = int((hour - start).total_seconds() // (step * grid.stretch))
        if hour.hour % every == 0 and at < grid.columns:
            line[at : at + 6] = f"{hour:%H:%M}Z"
        hour += timedelta(hours=1)
    return Content.styled(" " * _LABEL + "".join(line).rstrip(), "$quiet")


def look_words(measure: Measure, grid: Grid, column: int, glyphs: Glyphs) -> Content:
    """Return time and value of each line at a column; of several windows, the highest value."""
    span = grid.span(column)
    begin, step = measure.chart.start, timedelta(seconds=measure.chart.step_s)
    first, last = begin + span.start * step, begin + min(span.stop, grid.windows) * step
    dot = f" {glyphs.dot} "
    parts = [f"{line.stage or visible(line.name, limit=40)} {_highest(line, span, measure)}" for line in measure.lines]
    many = f"highest of {grid.stretch} windows" if grid.stretch > 1 else ""
    return Content.assemble(
        (f"{first:%d %b %H:%M}-{last:%H:%M}Z", "bold"),
        "  ",
        dot.join(parts),
        (f"{dot}{many}" if many else "", "$quiet"),
    )


def _highest(line: Line, span: slice, measure: Measure) -> str:
    value = highest(line.values[span])
    if value is None:
        return "not measured"
    over = " (over)" if line.limit is not None and value >= line.limit else ""
    return f"{figure(value, measure.chart.unit)}{over}"


# Values behind one tape, drawn below it in the same columns, with the limit as a line.

_LATENCY_CHART_HEADROOM = 1.15


class LatencyChart(Widget):
    """Draws ``tape`` of ``report``: the worst value of each stretch of windows."""

    DEFAULT_CSS = """
    LatencyChart { height: 1fr; min-height: 3; text-wrap: nowrap; }
    """

    report: reactive[SoakReport | None] = reactive(None)
    tape: reactive[Tape | None] = reactive(None)

    def render(self) -> Content:
        """Return the chart for the current size."""
        if self.report is None or self.tape is None:
            return Content("")
        grid = Grid.of(self.report, self.size.width)
        return Content("\n").join(latency_chart(self.tape, grid, self.size.height, glyphs_of(self.app)))


def latency_chart(tape: Tape, grid: Grid, height: int, glyphs: Glyphs) -> list[Content]:
    """Return the rows of a bar chart, top first. The scale starts at zero and includes the limit."""
    peaks = [highest(tape.values[grid.span(column)]) for column in range(grid.columns)]
    top = max([tape.limit * _LATENCY_CHART_HEADROOM, *(peak for peak in peaks if peak is not None)]) or 1.0
    bars = Bars(peaks, top, height, tape.limit)
    return [_latency_chart_label(tape, bars, y, glyphs) + bars.row(y, glyphs) for y in reversed(range(height))]


def _latency_chart_label(tape: Tape, bars: Bars, y: int, glyphs: Glyphs) -> Content:
    label = "0" if y == 0 else ""
    if y == bars.limit_row:
        label = amount(tape.limit, tape.unit, limit=tape.limit)
    return Content.assemble((f"{label:>{NAME_WIDTH - 2}} ", "$quiet"), (glyphs.rule, "$faint"))
