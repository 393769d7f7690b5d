"""The second view: the soak of the shadow artifact, window by window, against what it still needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.types import CSSPathType
from textual.widgets import Static

from console.screens.view import ViewScreen
from ml.text import visible
from widgets.bars import bar
from widgets.gate_list import GateList
from widgets.glyphs import Glyphs, glyphs_of
from widgets.latency_chart import LatencyChart
from widgets.soak_tape import Grid, SoakTapes, look_words
from widgets.stage_pane import hours
from widgets.verdicts import MARKS

if TYPE_CHECKING:
    from datetime import datetime

    from ml.board import SoakReport

_BAR = 20


class SoakScreen(ViewScreen):
    """Progress, tapes, the chart of the chosen tape, and the gates that the soak answers."""

    NAME = "soak"
    CSS_PATH: ClassVar[CSSPathType | None] = "soak.tcss"
    AUTO_FOCUS = "SoakTapes"

    def body(self) -> ComposeResult:
        """Summary, tapes, what is looked at, chart, gates."""
        yield Static(id="summary", markup=False)
        yield SoakTapes(id="tapes")
        yield Static(id="looked", markup=False)
        yield LatencyChart()
        yield GateList(id="gates")

    def on_mount(self) -> None:
        """Follow the soak."""
        self.follow("soak", self._show)
        self.follow("model", lambda _: self._show(self.console.soak))

    def _show(self, report: SoakReport | None) -> None:
        glyphs = glyphs_of(self.app)
        self.query_one("#summary", Static).update(
            Content("\n").join(summary_lines(report, glyphs)) if report is not None else self._nothing(),
            layout=False,
        )
        self.query_one(SoakTapes).report = report
        self.query_one(LatencyChart).report = report
        self.query_one(GateList).gates = report.gates if report is not None else ()

    def _nothing(self) -> Content:
        model = self.console.model
        if model is None or model.shadow.artifact_id is None:
            return Content.assemble(("No artifact is in shadow, so nothing soaks.", "$quiet"))
        return Content.assemble((f"asking for the soak of {visible(model.shadow.artifact_id)} …", "$quiet"))

    def on_soak_tapes_looked(self, event: SoakTapes.Looked) -> None:
        """Say what is at the column, and draw the tape's values."""
        event.stop()
        tapes, words = event.tapes, Content("")
        if tapes.tape is not None and tapes.report is not None:
            grid = Grid.of(tapes.report, tapes.width)
            words = look_words(tapes.tape, grid, tapes.looked_at, glyphs_of(self.app))
        self.query_one("#looked", Static).update(words, layout=False)
        self.query_one(LatencyChart).tape = tapes.tape

    def focus_list(self) -> None:
        """The tapes."""
        self.query_one(SoakTapes).focus()

    def chosen_text(self) -> str:
        """Every query that was run."""
        return "\n".join(self.console.soak.queries) if self.console.soak is not None else ""


def summary_lines(report: SoakReport, glyphs: Glyphs) -> tuple[Content, ...]:
    """Whose soak it is, how far it is, and what it still needs."""
    dot = f" {glyphs.dot} "
    mark = MARKS[report.verdict]
    share = report.elapsed_s / report.required_s if report.required_s else None
    eligible = f"{dot}eligible {_moment(report.eligible_at, report.as_of)}" if report.eligible_at is not None else ""
    breaches = f"{report.breaches} breach" + ("" if report.breaches == 1 else "es")
    return (
        Content.assemble(
            ("SOAK ", "bold"),
            (visible(report.artifact_id, limit=80), "bold"),
            dot,
            (mark.text(ascii_only=glyphs.ascii_only).rstrip(), mark.color),
            " ",
            visible(report.why),
        ),
        Content.assemble(
            f"{hours(report.elapsed_s)} of {hours(report.required_s)} ",
            (bar(None if share is None else min(share, 1.0), _BAR, glyphs), mark.color),
            f" coverage {report.coverage * 100:.1f} %{dot}{breaches}{eligible}",
        ),
    )


def _moment(moment: datetime, now: datetime) -> str:
    return f"{moment:%H:%M}Z" if moment.date() == now.date() else f"{moment:%d %b %H:%M}Z"
