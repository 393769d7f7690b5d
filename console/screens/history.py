"""History view: every promotion, rollback and withdrawal of the model, and the open changes. Also the log view."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.types import CSSPathType
from textual.widgets import Static

from console.screens.view import ViewScreen
from ml.text import visible
from widgets.drawing import glyphs_of
from widgets.event_list import BranchLines, HistoryList, LogList, event_text
from widgets.row_list import RowList

if TYPE_CHECKING:
    from datetime import datetime

    from ml.board import Board, HistoryRow


class HistoryScreen(ViewScreen):
    """History of a model: events, newest first, the chosen one in full, open branches, condemned artifacts."""

    NAME = "history"
    CSS_PATH: ClassVar[CSSPathType | None] = "history.tcss"
    AUTO_FOCUS = "HistoryList"

    def body(self) -> ComposeResult:
        """Heading, events, detail, and branches."""
        yield Static(id="heading", markup=False)
        yield HistoryList(id="events")
        yield Static(id="detail", markup=False)
        yield BranchLines(most=4)

    def on_mount(self) -> None:
        """Follow the history and the board."""
        self.follow("history", self._show_history)
        self.follow("board", self._show_board)
        self.follow("now", self._show_now)
        self.follow("model", lambda _: self._show_history(self.console.history))

    def _show_history(self, rows: tuple[HistoryRow, ...] | None) -> None:
        name = visible(self.console.model_name, limit=80)
        board = self.console.board
        number = "cannot be read" if board is not None and board.registry.problem else "reading …"
        if rows is not None:
            number = f"{len(rows)} event{'' if len(rows) == 1 else 's'}, newest first"
        self.query_one("#heading", Static).update(
            Content.assemble(("HISTORY ", "bold"), (name, "bold"), f" {glyphs_of(self.app).dot} ", (number, "$quiet")),
            layout=False,
        )
        self.query_one(HistoryList).events = rows or ()

    def _show_board(self, board: Board | None) -> None:
        self.query_one(BranchLines).branches = board.registry.branches if board is not None else ()
        if self.console.history is None:
            self._show_history(None)

    def _show_now(self, now: datetime) -> None:
        self.query_one(BranchLines).now = now

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """Show the chosen event in full."""
        event.stop()
        chosen = self.query_one(HistoryList).chosen
        words = Content("")
        if chosen is not None:
            condemned = self.console.model.condemned if self.console.model is not None else ()
            mark = " (condemned by a rollback)" if chosen.artifact_id in condemned else ""
            words = Content.assemble(
                (visible(chosen.artifact_id), "bold"), mark, f" by {visible(chosen.by)}\n", visible(chosen.reason)
            )
        self.query_one("#detail", Static).update(words, layout=False)

    def filtered(self, pattern: str) -> None:
        """Show only the events that match."""
        self.query_one(HistoryList).pattern = pattern

    def focus_list(self) -> None:
        """The events."""
        self.query_one(HistoryList).focus()

    def chosen_text(self) -> str:
        """Return the chosen event."""
        chosen = self.query_one(HistoryList).chosen
        return event_text(chosen) if chosen is not None else ""


# Log view: the audit log of this machine, newest first.


class LogScreen(ViewScreen):
    """One line per kill, release, promotion, rollback and landing, and the chosen one in full."""

    NAME = "log"
    CSS_PATH: ClassVar[CSSPathType | None] = "log.tcss"
    AUTO_FOCUS = "LogList"

    def body(self) -> ComposeResult:
        """Heading, lines, and detail."""
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
        """Return the chosen line."""
        return self.query_one(LogList).chosen
