"""Unified diff: every line starts with its sign, is folded to the width, and is safe to print."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from rich.cells import chop_cells
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from ml.text import visible

_LIMIT = 256 * 1024


class LineKind(StrEnum):
    """Kinds of lines in a unified diff. Each value is the name of its style."""

    ADDED = "added"
    REMOVED = "removed"
    HUNK = "hunk"
    FILE = "file"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One printed line: its kind, its one-letter sign, and its text without the sign."""

    kind: LineKind
    sign: str
    text: str


_SIGNS = {"+": LineKind.ADDED, "-": LineKind.REMOVED, "@": LineKind.HUNK}


def diff_lines(diff: str) -> tuple[DiffLine, ...]:
    """Split a unified diff. Control characters are made visible, and tabs are expanded."""
    return tuple(_line(raw) for raw in visible(diff, limit=_LIMIT, lines=True).splitlines())


def _line(raw: str) -> DiffLine:
    if raw.startswith(("+++ ", "--- ", "diff ", "index ")):
        return DiffLine(LineKind.FILE, " ", raw)
    kind = _SIGNS.get(raw[:1], LineKind.CONTEXT)
    if kind is LineKind.HUNK:
        return DiffLine(kind, " ", raw)
    return DiffLine(kind, raw[:1] or " ", raw[1:])


def fold(lines: tuple[DiffLine, ...], width: int) -> tuple[DiffLine, ...]:
    """Fold lines to ``width`` cells, including sign and gap. Each piece keeps its sign, and a digest stays whole."""
    room = max(1, width - 2)
    return tuple(
        DiffLine(line.kind, line.sign, piece) for line in lines for piece in (chop_cells(line.text, room) or [""])
    )


class _Body(Widget):
    """The folded lines. Its height is their number."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"diff-view--{kind}" for kind in LineKind}
    DEFAULT_CSS = """
    _Body {
        height: auto;
        .diff-view--added { color: $verdict-good; text-style: bold; }
        .diff-view--removed { color: $verdict-bad; }
        .diff-view--hunk { color: $quiet; }
        .diff-view--file { color: $quiet; }
    }
    """

    lines: reactive[tuple[DiffLine, ...]] = reactive((), layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row per folded line."""
        return max(1, len(fold(self.lines, width)))

    def render(self) -> Content:
        """Draw all lines, each in the style of its kind."""
        rows = fold(self.lines, self.size.width)
        return Content("\n").join(Content.styled(f"{row.sign} {row.text}", f".diff-view--{row.kind}") for row in rows)


class DiffView(VerticalScroll):
    """Shows ``diff``, scrollable by keys; without a difference, a sentence says so."""

    diff: reactive[str] = reactive("")
    """The unified diff."""

    def compose(self) -> ComposeResult:
        """One scrolling body."""
        yield _Body()

    def on_mount(self) -> None:
        """Show a diff that was set before the body existed."""
        self._show(self.diff)

    def watch_diff(self, diff: str) -> None:
        """Show another diff from its top."""
        if self.is_mounted:
            self._show(diff)
            self.scroll_home(animate=False)

    def _show(self, diff: str) -> None:
        self.query_one(_Body).lines = diff_lines(diff) or diff_lines(" No difference.")
