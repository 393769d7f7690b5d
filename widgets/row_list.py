"""List of one-line rows. Its cost depends on the visible rows only, for ten rows or thousands."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from widgets.drawing import cut, glyphs_of


class RowList(ScrollView, can_focus=True):
    """Shows ``count`` rows. A subclass draws each with `row`; ``cursor`` is the chosen one.

    A row is requested when it becomes visible. `renew` requests the visible rows again and repaints those that differ.
    """

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="list.up", tooltip="Choose the row above"),
        Binding("down,j", "move(1)", "Down", show=False, id="list.down", tooltip="Choose the row below"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="list.page_up", tooltip="One page up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="list.page_down", tooltip="One page down"),
        Binding("home,g", "jump(0)", "First", show=False, id="list.first", tooltip="Choose the first row"),
        Binding("end,G", "jump(-1)", "Last", show=False, id="list.last", tooltip="Choose the last row"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row--cursor"}
    DEFAULT_CSS = """
    RowList {
        height: auto;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        scrollbar-color: $frame;
        scrollbar-color-hover: $frame-focus;
        scrollbar-color-active: $frame-focus;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
        &:focus .row--cursor { background: $row-cursor; text-style: bold; }
        &:focus:ansi .row--cursor { text-style: bold reverse; }
    }
    """

    count: var[int] = var(0, init=False)
    """The number of rows."""
    cursor: var[int] = var(0, init=False)
    """Index of the chosen row."""

    class Moved(Message):
        """Another row was chosen."""

        def __init__(self, row_list: RowList, index: int) -> None:
            super().__init__()
            self.row_list = row_list
            self.index = index

        @property
        def control(self) -> RowList:
            """The list."""
            return self.row_list

    @property
    def width(self) -> int:
        """Cells of a row, without the scrollbar if there is one."""
        return self.scrollable_content_region.width

    @abstractmethod
    def row(self, index: int) -> Content:
        """Return one row. It is cut at the right when it is too long."""

    def lead(self, index: int) -> str:
        """Return a row's start: a pointer for the chosen row, so that it shows without color."""
        return f"{glyphs_of(self.app).pointer if index == self.cursor else ' '} "

    def renew(self) -> None:
        """Repaint visible rows that changed."""
        top = self.scroll_offset.y
        for y in range(top, min(self.count, top + self.size.height)):
            if (drawn := self._drawn.get(y)) is None or not drawn.is_same(self._row(y)):
                self.refresh_line(y)

    # --- choice --------------------------------------------------------------------------------------------------
    def validate_count(self, count: int) -> int:
        """Keep the count at zero or above."""
        return max(0, count)

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor inside the list."""
        return max(0, min(cursor, self.count - 1))

    def watch_count(self, before: int, count: int) -> None:
        """Set the new height, and keep the cursor inside."""
        self.virtual_size = Size(0, count)
        self.cursor = self.validate_cursor(self.cursor)
        self.refresh(layout=before != count)

    def watch_cursor(self, before: int, now: int) -> None:
        """Show the chosen row."""
        self.refresh_line(before)
        self.refresh_line(now)
        self._reveal(now)
        self.post_message(self.Moved(self, now))

    def action_move(self, by: int) -> None:
        """Choose a row further up or down."""
        self.cursor += by

    def action_page(self, by: int) -> None:
        """Choose a row one page away."""
        self.cursor += by * max(1, self.size.height - 1)

    def action_jump(self, to: int) -> None:
        """Choose the first or the last row."""
        self.cursor = to if to >= 0 else self.count - 1

    def on_click(self, event: events.Click) -> None:
        """Choose the row under the mouse."""
        self.cursor = int(event.y) + self.scroll_offset.y

    def _reveal(self, index: int) -> None:
        top, height = self.scroll_offset.y, self.size.height
        if index < top:
            self.scroll_to(y=index, animate=False)
        elif height and index >= top + height:
            self.scroll_to(y=index - height + 1, animate=False)

    # --- drawing -------------------------------------------------------------------------------------------------
    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, classes=classes)
        self._drawn: dict[int, Content] = {}

    def render_line(self, y: int) -> Strip:
        """Return one line of the visible part."""
        index = y + self.scroll_offset.y
        width = self.width
        base = self.visual_style
        if index >= self.count:
            return Strip.blank(width, base.rich_style)
        if len(self._drawn) > 4 * max(1, self.size.height):
            self._drawn.clear()
        line = self._drawn[index] = self._row(index)
        style = base + self.get_visual_style("row--cursor") if index == self.cursor else base
        (strip,) = Visual.to_strips(self, line, width, 1, style, pad=True)
        return strip

    def _row(self, index: int) -> Content:
        return cut(self.row(index), self.width, glyphs_of(self.app))
