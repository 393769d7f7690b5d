"""Dashboard review in the terminal: 24 hours of latency, errors and blocks, shadow against active (contract §4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.types import CSSPathType
from textual.widgets import Static

from console.screens.pushed import PushedScreen
from ml.clock import age
from ml.errors import ConsoleError
from ml.slo.charts import measures
from ml.text import visible
from widgets.day_chart import DayChart, look_words
from widgets.drawing import glyphs_of
from widgets.facts import MeasureRows, heading
from widgets.row_list import RowList

if TYPE_CHECKING:
    from ml.slo.review import Review

_NOTHING_ODD = "The robust tests found no anomaly: halves of the day, shadow against active, spikes, gaps."


class ReviewScreen(PushedScreen):
    """Charts of one model's last 24 hours. It changes nothing.

    Args:
        model: the model's name in the registry.
    """

    AUTO_FOCUS = "MeasureRows"
    LEAVE = "Close"
    CSS_PATH: ClassVar[CSSPathType | None] = ["pushed.tcss", "review.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "again", "Ask again", id="review.again", tooltip="Ask Prometheus for the 24 h again"),
    ]

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model
        self._review: Review | None = None
        self._asking = False
        self._facts: tuple[str, ...] = ()

    def body(self) -> ComposeResult:
        """The measures, a chart of the chosen one, its values at one time, and the anomalies."""
        yield Static(heading(), id="columns", markup=False)
        yield MeasureRows()
        yield DayChart()
        yield Static(id="looked", markup=False)
        with VerticalScroll(id="odd"):
            yield Static(id="oddities", markup=False)

    def begin(self) -> None:
        """Ask for the measures."""
        self.title_is("Dashboard review", self._model)
        self.watch(self.app, "now", self._show_age)
        self.action_again()

    def action_again(self) -> None:
        """Ask for the last 24 hours, unless a request is running. The shown data stays until the answer."""
        if self._asking:
            return
        self._asking = True
        if self._review is None:
            self.say("Asking Prometheus for 24 h of shadow and active, and checking for anomalies.")
        session = self.console.session
        self.work("review", lambda: session.soaks.review(self._model), self._show, self._failed)

    def _show(self, review: Review) -> None:
        self._asking = False
        self.say(review.problem, loud=True)
        if self._review is not None and all(chart.problem for chart in review.charts):
            return  # No answer: the earlier data stays, and its age shows how old it is.
        self._review = review
        self.query_one(MeasureRows).measures = measures(review.charts)
        self.query_one("#oddities", Static).update(Content("\n").join(self._oddities(review)))
        self._show_age(self.console.now)

    def _failed(self, error: ConsoleError) -> None:
        self._asking = False
        self.complain(error)

    def _oddities(self, review: Review) -> Iterator[Content]:
        if review.oddities:
            yield from (Content.assemble(("! ", "$verdict-bad bold"), visible(each)) for each in review.oddities)
        elif not review.problem:
            yield Content.styled(_NOTHING_ODD, "$quiet")

    def _show_age(self, now: datetime | None) -> None:
        if self._review is None or now is None:
            return
        asked = self._review.as_of
        facts = (self._model, f"24 h to {asked:%d %b %H:%M}Z", f"asked {age(asked, now)} ago")
        if facts != self._facts:
            self._facts = facts
            self.title_is("Dashboard review: shadow against active", *facts)

    # --- navigation
    # ----------------------------------------------------------------------------------------------------
    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Show another measure at the same time of day."""
        message.stop()
        self.query_one(DayChart).measure = self.query_one(MeasureRows).chosen
        self._show_looked()

    def on_measure_rows_looked(self, message: MeasureRows.Looked) -> None:
        """Show another time."""
        message.stop()
        chart = self.query_one(DayChart)
        if message.by:
            chart.look(message.by)
        else:
            chart.look_at_highest()
        self._show_looked()

    def on_resize(self) -> None:
        """Recompute the chosen time: a column covers another stretch of time at this width."""
        self.call_after_refresh(self._show_looked)

    def _show_looked(self) -> None:
        chart = self.query_one(DayChart)
        words = Content("")
        if chart.measure is not None and chart.measure.lines:
            words = look_words(chart.measure, chart.grid, chart.looked_at, glyphs_of(self.app))
        self.query_one("#looked", Static).update(words, layout=False)
        self.refresh_bindings()

    @property
    def copyable(self) -> str:
        """Return the anomalies as text, for the finding or for a colleague."""
        return "\n".join(self._review.oddities) if self._review else ""
