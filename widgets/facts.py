"""Facts as rows: a quiet label, and a value that wraps in its own column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive, var
from textual.widget import Widget

from ml.slo.charts import Line, Measure
from ml.text import visible
from ml.units import figure
from widgets.drawing import Glyphs, fit, glyphs_of
from widgets.row_list import RowList

_NARROWEST = 8


@dataclass(frozen=True, slots=True)
class Fact:
    """One label and its value. Without a label the value takes the whole width: a headline, or a blank line."""

    label: str
    value: Content

    @classmethod
    def of(cls, label: str, value: str, style: str = "") -> Fact:
        """Make a fact from outside text, with control characters made visible."""
        return cls(label, Content.styled(visible(value), style))

    @classmethod
    def lines(cls, label: str, values: Iterable[str], style: str = "") -> Iterator[Fact]:
        """Make facts from several values under one label."""
        for number, value in enumerate(values):
            yield cls.of(label if number == 0 else " ", value, style)


class Facts(Widget):
    """Shows ``facts``. Its height is their height; it is hidden while there are none."""

    DEFAULT_CSS = "Facts { height: auto; }"

    facts: reactive[tuple[Fact, ...]] = reactive((), layout=True)
    """The facts, in order."""

    def __init__(self, *, id: str | None = None, label_width: int = 10) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._label_width = label_width

    def watch_facts(self, facts: tuple[Fact, ...]) -> None:
        """Hide the widget and its margin while there are no facts."""
        self.display = bool(facts)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as the values fill."""
        return sum(len(self._rows(fact, width)) for fact in self.facts)

    def render(self) -> Content:
        """All rows below each other."""
        return Content("\n").join([row for fact in self.facts for row in self._rows(fact, self.size.width)])

    def _rows(self, fact: Fact, width: int) -> list[Content]:
        if not fact.label:
            return fact.value.wrap(max(_NARROWEST, width)) if fact.value else [Content("")]
        room = max(_NARROWEST, width - self._label_width - 1)
        first, *rest = fact.value.wrap(room) or [Content("")]
        indent = " " * (self._label_width + 1)
        head = Content.styled(f"{fact.label:<{self._label_width}} ", "$quiet")
        return [head + first, *(Content(indent) + line for line in rest)]


# Properties of two things in two columns, with a mark where they differ.

_NAME = 18


@dataclass(frozen=True, slots=True)
class RowView:
    """One property of both, as text."""

    name: str
    left: str
    right: str

    @property
    def differs(self) -> bool:
        """True when the two values differ."""
        return self.left != self.right


class ComparisonRows(RowList):
    """Shows ``rows``, or only those that differ."""

    rows: reactive[tuple[RowView, ...]] = reactive((), init=False)
    only_differences: reactive[bool] = reactive(False, init=False)

    @property
    def shown(self) -> tuple[RowView, ...]:
        """The rows on screen."""
        return tuple(row for row in self.rows if row.differs) if self.only_differences else self.rows

    @property
    def chosen(self) -> RowView | None:
        """The row under the cursor."""
        shown = self.shown
        return shown[self.cursor] if self.cursor < len(shown) else None

    def watch_rows(self) -> None:
        """Repaint rows that changed."""
        self._take()

    def watch_only_differences(self) -> None:
        """Show all rows, or only those that differ."""
        self._take()

    def _take(self) -> None:
        self.count = len(self.shown)
        self.renew()
        self.post_message(self.Moved(self, self.cursor))

    def row(self, index: int) -> Content:
        """Return mark, name, left and right value. The two values share the remaining width."""
        row, glyphs = self.shown[index], glyphs_of(self.app)
        column = max(8, (self.width - _NAME - 8) // 2)
        differs = "!=" if glyphs.ascii_only else "≠ "
        style = "" if row.differs else "$quiet"
        return Content.assemble(
            self.lead(index),
            (differs if row.differs else "  ", "$verdict-unknown bold"),
            (f" {fit(visible(row.name), _NAME, glyphs)} ", "$quiet"),
            (f"{fit(visible(row.left), column, glyphs)}  {fit(visible(row.right), column, glyphs)}", style),
        )


# Measures of a dashboard review: median and maximum of shadow and of active, against the limit.

_MEASURE_ROWS_NAME, _MIDDLE, _HIGHEST, _LIMIT = 17, 10, 9, 9


class MeasureRows(RowList):
    """Shows ``measures``. The cursor chooses one; left and right ask for another time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "look(-1)", "Earlier", id="review.earlier", tooltip="Show the stretch before"),
        Binding("right,l", "look(1)", "Later", id="review.later", tooltip="Show the stretch after"),
        Binding("b", "highest", "Highest", id="review.highest", tooltip="Show the highest value of this line"),
    ]

    measures: var[tuple[Measure, ...]] = var((), init=False)

    class Looked(Message):
        """Another time was requested: ``by`` columns away, or the time of the highest value for 0."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    @property
    def chosen(self) -> Measure | None:
        """The measure under the cursor."""
        return self.measures[self.cursor] if self.cursor < len(self.measures) else None

    def watch_measures(self) -> None:
        """Repaint rows that changed."""
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
        """Return one measure's row."""
        return Content(self.lead(index)) + measure_line(self.measures[index], glyphs_of(self.app))


def heading() -> Content:
    """Return the columns' names, for a line above the rows."""
    words = " ".join(f"{stage + ' med':>{_MIDDLE}}{'highest':>{_HIGHEST}}" for stage in ("shadow", "active"))
    return Content.styled(f"{'':{_MEASURE_ROWS_NAME + 2}}{words}{'limit':>{_LIMIT}}  over", "$quiet")


def measure_line(measure: Measure, glyphs: Glyphs) -> Content:
    """Return a measure in columns. A measure without a stage has its numbers in the first two."""
    name = (f"{fit(visible(measure.name, limit=80), _MEASURE_ROWS_NAME, glyphs)}", "bold")
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
