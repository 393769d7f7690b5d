"""Lists of past events in columns: a model's history, and the lines of the audit log."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import var

from ml.board import HistoryRow
from ml.text import visible
from widgets.columns import fit
from widgets.glyphs import Glyphs, glyphs_of
from widgets.row_list import RowList

_ACTION, _HOP, _ARTIFACT, _BY = 9, 15, 24, 22


class HistoryList(RowList):
    """The ``events`` that hold the letters of ``pattern``, newest first."""

    events: var[tuple[HistoryRow, ...]] = var((), init=False)
    pattern: var[str] = var("", init=False)

    @property
    def chosen(self) -> HistoryRow | None:
        """The event under the cursor."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    def watch_events(self) -> None:
        """Draw what differs."""
        self._arrange()

    def watch_pattern(self) -> None:
        """Show what matches."""
        self._arrange()

    def row(self, index: int) -> Content:
        """One event."""
        return Content(self.lead(index)) + event_line(self._shown[index], glyphs_of(self.app))

    def _arrange(self) -> None:
        self._shown = tuple(event for event in self.events if self.pattern.lower() in event_text(event).lower())
        self.count = len(self._shown)
        self.renew()
        self.post_message(self.Moved(self, self.cursor))


class LogList(RowList):
    """The ``lines`` that hold ``pattern``, newest first."""

    lines: var[tuple[str, ...]] = var((), init=False)
    pattern: var[str] = var("", init=False)

    @property
    def chosen(self) -> str:
        """The line under the cursor."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else ""

    def watch_lines(self) -> None:
        """Draw what differs."""
        self._arrange()

    def watch_pattern(self) -> None:
        """Show what matches."""
        self._arrange()

    def row(self, index: int) -> Content:
        """One line."""
        return Content(self.lead(index) + visible(self._shown[index]))

    def _arrange(self) -> None:
        self._shown = tuple(line for line in self.lines if self.pattern.lower() in line.lower())
        self.count = len(self._shown)
        self.renew()
        self.post_message(self.Moved(self, self.cursor))


def event_line(event: HistoryRow, glyphs: Glyphs) -> Content:
    """When, what, from where to where, which artifact, by whom, and why."""
    hop = f"{event.from_stage or '-'}{glyphs.arrow}{event.to_stage}"
    when = f"{event.at:%Y-%m-%d %H:%M}Z" if event.at is not None else "unknown time"
    loud = event.action == "rollback"
    return Content.assemble(
        (f"{when:<17} ", "$quiet"),
        (fit(visible(event.action, limit=20), _ACTION, glyphs), "$verdict-bad bold" if loud else "bold"),
        f" {fit(visible(hop, limit=40), _HOP, glyphs)} ",
        fit(visible(event.artifact_id, limit=80), _ARTIFACT, glyphs),
        " ",
        (fit(visible(event.by, limit=80), _BY, glyphs), "$quiet"),
        " ",
        visible(event.reason),
    )


def event_text(event: HistoryRow) -> str:
    """One event as plain text, for the filter and the clipboard."""
    when = f"{event.at:%Y-%m-%dT%H:%M:%SZ}" if event.at is not None else "-"
    return " ".join((when, event.action, event.from_stage, event.to_stage, event.artifact_id, event.by, event.reason))
