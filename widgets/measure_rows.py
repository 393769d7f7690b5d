"""What a dashboard review measured, one line each: median and highest of shadow and of active against the limit."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import var

from ml.slo.charts import Line, Measure
from ml.text import visible
from widgets.amounts import figure
from widgets.columns import fit
from widgets.glyphs import Glyphs, glyphs_of
from widgets.row_list import RowList

_NAME, _MIDDLE, _HIGHEST, _LIMIT = 17, 10, 9, 9


class MeasureRows(RowList):
    """Shows ``measures``; the cursor chooses one, and left and right ask to look at another time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "look(-1)", "Earlier", id="review.earlier", tooltip="Look at the stretch before"),
        Binding("right,l", "look(1)", "Later", id="review.later", tooltip="Look at the stretch after"),
        Binding("b", "highest", "Highest", id="review.highest", tooltip="Look at the highest value of this line"),
    ]

    measures: var[tuple[Measure, ...]] = var((), init=False)

    class Looked(Message):
        """Another time is asked for: some columns away, or where the highest value is, for ``by`` = 0."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    @property
    def chosen(self) -> Measure | None:
        """The measure under the cursor."""
        return self.measures[self.cursor] if self.cursor < len(self.measures) else None

    def watch_measures(self) -> None:
        """Draw what differs."""
        self.count = len(self.measures)
        self.renew()
        self.post_message(self.Moved(self, self.cursor))

    def action_look(self, by: int) -> None:
        """Ask for an earlier or a later time."""
        self.post_message(self.Looked(by))

    def action_highest(self) -> None:
        """Ask for the time of the highest value."""
        self.post_message(self.Looked(0))

    def row(self, index: int) -> Content:
        """One measure."""
        return Content(self.lead(index)) + measure_line(self.measures[index], glyphs_of(self.app))


def heading() -> Content:
    """The columns' names, for a line above the rows."""
    words = " ".join(f"{stage + ' med':>{_MIDDLE}}{'highest':>{_HIGHEST}}" for stage in ("shadow", "active"))
    return Content.styled(f"{'':{_NAME + 2}}{words}{'limit':>{_LIMIT}}  over", "$quiet")


def measure_line(measure: Measure, glyphs: Glyphs) -> Content:
    """A measure in columns; one that belongs to no stage has its numbers in the first two."""
    name = (f"{fit(visible(measure.name, limit=80), _NAME, glyphs)}", "bold")
    if not measure.lines:
        words = "not known" if measure.chart.problem else "none reported"
        return Content.assemble(name, (f"{words:>{_MIDDLE + _HIGHEST}}", "$quiet"))
    limit = measure.limit
    shadow, active = measure.of("shadow") or measure.of(""), measure.of("active")
    bound = "" if limit is None else f"{glyphs.less} {figure(limit, measure.chart.unit)}"
    over = (f"  {measure.over} of {measure.windows}", "$verdict-bad bold") if measure.over else ("", "")
    return Content.assemble(
        name, *_numbers(measure, shadow), " ", *_numbers(measure, active), (f"{bound:>{_LIMIT}}", "$quiet"), over
    )


def _numbers(measure: Measure, line: Line | None) -> tuple[tuple[str, str], ...]:
    if line is None:
        return ((" " * (_MIDDLE + _HIGHEST), ""),)
    high, limit = line.highest, line.limit
    unit = "" if measure.chart.unit == "blocks" else measure.chart.unit
    loud = "$verdict-bad bold" if high is not None and limit is not None and high >= limit else ""
    return (_number(line.middle, unit, _MIDDLE), ""), (_number(high, unit, _HIGHEST), loud)


def _number(value: float | None, unit: str, width: int) -> str:
    return f"{figure(value, unit):>{width}}"
