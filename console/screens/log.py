"""The fourth view: the audit log of this machine, newest first."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.types import CSSPathType
from textual.widgets import Static

from console.screens.view import ViewScreen
from ml.text import visible
from widgets.event_list import LogList
from widgets.glyphs import glyphs_of
from widgets.row_list import RowList


class LogScreen(ViewScreen):
    """One line per kill, release, promotion, rollback and landing; the chosen one in full below."""

    NAME = "log"
    CSS_PATH: ClassVar[CSSPathType | None] = "log.tcss"
    AUTO_FOCUS = "LogList"

    def body(self) -> ComposeResult:
        """Heading, lines, detail."""
        yield Static(id="heading", markup=False)
        yield LogList(id="lines")
        yield Static(id="detail", markup=False)

    def on_mount(self) -> None:
        """Follow the log."""
        self.follow("log_lines", self._show)

    def _show(self, lines: tuple[str, ...] | None) -> None:
        words = "reading …" if lines is None else f"{len(lines)} newest, hash-chained" if lines else "empty so far"
        self.query_one("#heading", Static).update(
            Content.assemble(("AUDIT LOG", "bold"), f" {glyphs_of(self.app).dot} ", (words, "$quiet")),
            layout=False,
        )
        self.query_one(LogList).lines = lines or ()

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """Show the chosen line in full."""
        event.stop()
        self.query_one("#detail", Static).update(Content(visible(self.query_one(LogList).chosen)), layout=False)

    def filtered(self, pattern: str) -> None:
        """Show only the lines that match."""
        self.query_one(LogList).pattern = pattern

    def focus_list(self) -> None:
        """The lines."""
        self.query_one(LogList).focus()

    def chosen_text(self) -> str:
        """The chosen line."""
        return self.query_one(LogList).chosen
