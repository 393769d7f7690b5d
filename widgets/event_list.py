"""Lists of past events in columns: a model's history, and the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from textual.content import Content
from textual.reactive import var

from ml.board import HistoryRow, OpenBranch
from ml.clock import age
from ml.text import visible
from widgets.drawing import Glyphs, cut, fit, fit_line, glyphs_of
from widgets.quiet_widget import Still
from widgets.row_list import RowList

_ACTION, _STEP, _ARTIFACT, _BY = 9, 15, 24, 22


class HistoryList(RowList):
    """The ``events`` that match ``pattern``, newest first. Letters must occur in the same order."""

    events: var[tuple[HistoryRow, ...]] = var((), init=False)
    pattern: var[str] = var("", init=False)

    @property
    def chosen(self) -> HistoryRow | None:
        """The event under the cursor."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    def watch_events(self) -> None:
        """Repaint rows that changed."""
        self._arrange()

    def watch_pattern(self) -> None:
        """Show the matching events."""
        self._arrange()

    def row(self, index: int) -> Content:
        """Return one event's row."""
        return Content(self.lead(index)) + event_line(self._shown[index], glyphs_of(self.app))

    def _arrange(self) -> None:
        self._shown = tuple(event for event in self.events if self.pattern.lower() in event_text(event).lower())
        self.count = len(self._shown)
        self.renew()
        self.post_message(self.Moved(self, self.cursor))


class LogList(RowList):
    """The ``lines`` that match ``pattern``, newest first."""

    lines: var[tuple[str, ...]] = var((), init=False)
    pattern: var[str] = var("", init=False)

    @property
    def chosen(self) -> str:
        """The line under the cursor."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else ""

    def watch_lines(self) -> None:
        """Repaint rows that changed."""
        self._arrange()

    def watch_pattern(self) -> None:
        """Show the matching lines."""
        self._arrange()

    def row(self, index: int) -> Content:
        """Return one line's row."""
        return Content(self.lead(index) + visible(self._shown[index]))

    def _arrange(self) -> None:
        self._shown = tuple(line for line in self.lines if self.pattern.lower() in line.lower())
        self.count = len(self._shown)
        self.renew()
        self.post_message(self.Moved(self, self.cursor))


def event_line(event: HistoryRow, glyphs: Glyphs) -> Content:
    """Time, kind, stages, artifact, person, and reason of an event."""
    step = f"{event.from_stage or '-'}{glyphs.arrow}{event.to_stage}"
    when = f"{event.at:%Y-%m-%d %H:%M}Z" if event.at is not None else "unknown time"
    loud = event.action == "rollback"
    return Content.assemble(
        (f"{when:<17} ", "$quiet"),
        (fit(visible(event.action, limit=20), _ACTION, glyphs), "$verdict-bad bold" if loud else "bold"),
        f" {fit(visible(step, limit=40), _STEP, glyphs)} ",
        fit(visible(event.artifact_id, limit=80), _ARTIFACT, glyphs),
        " ",
        (fit(visible(event.by, limit=80), _BY, glyphs), "$quiet"),
        " ",
        visible(event.reason),
    )


def event_text(event: HistoryRow) -> str:
    """Return one event as plain text, for the filter and the clipboard."""
    when = f"{event.at:%Y-%m-%dT%H:%M:%SZ}" if event.at is not None else "-"
    return " ".join((when, event.action, event.from_stage, event.to_stage, event.artifact_id, event.by, event.reason))


# Changes that have not landed yet, one line each.


_LOCAL = ("local only, `mlconsole push` sends it", "local only: `mlconsole push`")


class BranchLines(Still):
    """Up to ``most`` of ``branches`` below a heading; a single one beside it. Hidden while there are none."""

    DEFAULT_CSS = """
    BranchLines { height: auto; text-wrap: nowrap; }
    """

    branches: var[tuple[OpenBranch, ...]] = var(())
    now: var[datetime | None] = var(None)

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def watch_branches(self, branches: tuple[OpenBranch, ...]) -> None:
        """Hide the widget while no change is open."""
        self.display = bool(branches)
        self.renew(layout=True)

    def watch_now(self) -> None:
        """Update the ages."""
        self.renew()

    def content(self) -> Content:
        """Heading and branches. A narrow terminal loses blanks, then the age, but not the author."""
        if self.now is None or not self.branches:
            return Content("")
        glyphs = glyphs_of(self.app)
        more = len(self.branches) - self._most
        head = Content.assemble(("OPEN CHANGES", "bold"), (f" +{more} more" if more > 0 else "", "$quiet"))
        if self._most == 1:
            short = Content.assemble(("OPEN", "bold"), (f" +{more}" if more > 0 else "", "$quiet"))
            long, *others = _branch_lines(self.branches[0], self.now, glyphs)
            return fit_line((head + long, *(short + line for line in (long, *others))), self.size.width, glyphs)
        head += Content.styled("  key 5 opens them", "$quiet")
        shown = self.branches[: self._most]
        lines = [fit_line(_branch_lines(branch, self.now, glyphs), self.size.width, glyphs) for branch in shown]
        return Content("\n").join([cut(head, self.size.width, glyphs), *lines])


def _branch_lines(branch: OpenBranch, now: datetime, glyphs: Glyphs) -> Iterator[Content]:
    """Yield a branch's effect, whether the remote has it, its age and its author, from the longest form on.

    The author goes last, and only for a branch of this clone: its command matters more.
    """
    color = "$quiet" if branch.pushed else "$verdict-unknown"
    long, short = ("pushed",) * 2 if branch.pushed else _LOCAL
    what = f"{visible(branch.action, limit=20)} {visible(branch.artifact_id, limit=80)}"
    what += f" {glyphs.arrow} {visible(branch.to_stage, limit=20)}"
    old, by = age(branch.at, now), f"by {visible(branch.by, limit=60)}"
    yield Content.assemble(f"  {what}  ", (long, color), (f"  {old} ago {by}", "$quiet"))
    for rest in (f" {old} {by}", f" {by}", *(() if branch.pushed else (f" {old}", ""))):
        yield Content.assemble(f" {what} ", (short, color), (rest, "$quiet"))
