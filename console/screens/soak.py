"""Soak view: the shadow artifact's soak, window by window, against its requirements."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.types import CSSPathType
from textual.widgets import Static

from console.polling import VIEW_S
from console.screens.view import ViewScreen
from ml.board import Cell, SourceState
from ml.clock import age, clock_time, hours
from ml.judgement import soak_of
from ml.text import visible
from ml.verdict import Verdict
from widgets.checklist import GateList
from widgets.day_chart import LatencyChart
from widgets.drawing import MARKS, Glyphs, bar, glyphs_of
from widgets.soak_tape import SoakTapes, look_words

if TYPE_CHECKING:
    from datetime import datetime

    from ml.board import SoakReport

_BAR, _BAR_FROM = 20, 100
_NOT_CONFIGURED = "No Prometheus is configured, so no soak can be judged. Set prometheus.url in console.toml."


class SoakScreen(ViewScreen):
    """Progress, tapes, a chart of the chosen tape, and the gates that the soak decides."""

    NAME = "soak"
    CSS_PATH: ClassVar[CSSPathType | None] = "soak.tcss"
    AUTO_FOCUS = "SoakTapes"

    def __init__(self) -> None:
        super().__init__()
        self._said: Content | None = None
        self._judged: SoakReport | None = None

    def body(self) -> ComposeResult:
        """Summary, tapes, chosen window, chart, and gates."""
        yield Static(id="summary", markup=False)
        yield SoakTapes(id="tapes")
        yield Static(id="looked", markup=False)
        yield Static(id="silenced", markup=False)
        yield LatencyChart()
        yield GateList(id="gates")

    def on_mount(self) -> None:
        """Follow the soak."""
        self.follow("soak", self._show)
        self.follow("model", lambda _: self._show_summary())
        self.follow("board", lambda _: self._show_summary())
        self.follow("now", lambda _: self._show_summary())

    def _show(self, report: SoakReport | None) -> None:
        self._judged = self._best(report)
        self._show_gates()
        self._show_summary()
        self.query_one(SoakTapes).report = self._judged
        self.query_one(LatencyChart).report = self._judged
        self._show_silences(report)

    @property
    def _report(self) -> SoakReport | None:
        """Return the report to show now: not an outdated one, and never with better verdicts than the model's gates."""
        report, now = self.console.soak, self.console.now
        return soak_of(report, self.console.model, now) if report is not None and now is not None else None

    def _show_gates(self) -> None:
        report = self._report
        gates = report.gates if report is not None else ()
        shown = self.query_one(GateList)
        if shown.gates != gates:
            shown.gates = gates

    def _best(self, report: SoakReport | None) -> SoakReport | None:
        """Return the report for the tapes. While the source is silent, the earlier data stays."""
        before = self._judged
        if report is None or before is None or report.verdict is not Verdict.ERROR or has_windows(report):
            return report
        return before if (before.model, before.model_sha256) == (report.model, report.model_sha256) else report

    def _show_summary(self) -> None:
        """Show the summary. It is called every second, so it repaints only on a difference."""
        report, now = self._report, self.console.now
        self._show_gates()
        glyphs = glyphs_of(self.app)
        if report is None or now is None:
            words = self._nothing()
        elif report.verdict is Verdict.ERROR and not has_windows(report):
            words = Content("\n").join(silent_lines(report, self._judged, now, glyphs))
        else:
            words = Content("\n").join(summary_lines(report, now, self.size.width, glyphs))
        if self._said is None or not self._said.is_same(words):
            self._said = words
            self.query_one("#summary", Static).update(words, layout=False)

    def _show_silences(self, report: SoakReport | None) -> None:
        """List silenced alerts with author and end. On call, a silenced alert looks like a quiet one."""
        words = "\n".join(map(visible, report.silences)) if report is not None else ""
        shown = self.query_one("#silenced", Static)
        if shown.content != words:
            shown.update(words)
            shown.display = bool(words)

    def _nothing(self) -> Content:
        model, board = self.console.model, self.console.board
        if board is not None and board.registry.problem:
            return Content.styled("No soak is judged as long as the registry cannot be read.", "$verdict-unknown")
        if model is None or model.shadow.artifact_id is None:
            return Content.styled("No artifact is in shadow, so nothing soaks.", "$quiet")
        if board is not None and board.prometheus.state is SourceState.NONE:
            return Content.styled(_NOT_CONFIGURED, "$verdict-unknown")
        asking = f"asking for the soak of {visible(model.shadow.artifact_id)} …"
        silent = f"\n{visible(board.prometheus.why)}" if board is not None and board.prometheus.why else ""
        return Content.assemble((asking, "$quiet"), (silent, "$verdict-unknown"))

    def on_soak_tapes_looked(self, event: SoakTapes.Looked) -> None:
        """Describe the chosen window, and draw the tape's values."""
        event.stop()
        tapes, words = event.tapes, Content("")
        if tapes.tape is not None:
            words = look_words(tapes.tape, tapes.looked_at, glyphs_of(self.app), self.console.now)
        self.query_one("#looked", Static).update(words, layout=False)
        self.query_one(LatencyChart).tape = tapes.tape

    def focus_list(self) -> None:
        """The tapes."""
        self.query_one(SoakTapes).focus()

    def chosen_text(self) -> str:
        """Return every query of the soak."""
        return "\n".join(self.console.soak.queries) if self.console.soak is not None else ""


def has_windows(report: SoakReport) -> bool:
    """Return True when a report has data for any window. A source that fails midway leaves windows without data."""
    return any(set(tape.cells) - {Cell.NO_DATA} for tape in report.tapes)


def silent_lines(report: SoakReport, judged: SoakReport | None, now: datetime, glyphs: Glyphs) -> tuple[Content, ...]:
    """Return lines for a soak that could not be judged: the reason, the age of the drawn data, and the next attempt."""
    dot = f" {glyphs.dot} "
    drawn = ""
    if judged is not None and has_windows(judged):
        drawn = f"{dot}the tape is {age(judged.as_of, now)} old"
    return (
        _headline(report, glyphs),
        Content(f"asked {age(report.as_of, now)} ago, again every {VIEW_S:.0f} s, F5 now{drawn}"),
    )


def summary_lines(report: SoakReport, now: datetime, width: int, glyphs: Glyphs) -> tuple[Content, ...]:
    """Return artifact, progress, missing requirements, and the age of the data."""
    dot = f" {glyphs.dot} "
    share = report.elapsed_s / report.required_s if report.required_s else None
    drawn = bar(None if share is None else min(share, 1.0), _BAR, glyphs) + " " if width >= _BAR_FROM else ""
    eligible = f"{dot}eligible {clock_time(report.eligible_at, now)}" if report.eligible_at is not None else ""
    breaches = f"{report.breaches} breach" + ("" if report.breaches == 1 else "es")
    return (
        _headline(report, glyphs),
        Content.assemble(
            f"{hours(report.elapsed_s)} of {hours(report.required_s)} ",
            (drawn, MARKS[report.verdict].color),
            f"coverage {report.coverage * 100:.1f} %{dot}{breaches}{eligible}",
            (f"{dot}{age(report.as_of, now)} ago", "$quiet"),
        ),
    )


def _headline(report: SoakReport, glyphs: Glyphs) -> Content:
    mark = MARKS[report.verdict]
    return Content.assemble(
        ("SOAK ", "bold"),
        (visible(report.artifact_id, limit=80), "bold"),
        f" {glyphs.dot} ",
        (mark.text(ascii_only=glyphs.ascii_only).rstrip(), mark.color),
        " ",
        visible(report.why),
    )
