"""A widget that stays still: it repaints only when what it would draw has changed."""

from __future__ import annotations

from abc import abstractmethod

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static

from ml.text import visible


class Still(Widget):
    """Draws `content`. Its values are plain variables; their watchers call `renew`."""

    _drawn: Content | None = None

    @abstractmethod
    def content(self) -> Content:
        """What to draw, by the values as they are now."""

    def renew(self, *, layout: bool = False) -> None:
        """Repaint if the content differs from what is drawn."""
        if self.is_mounted and (self._drawn is None or not self._drawn.is_same(self.content())):
            self.refresh(layout=layout)

    def render(self) -> Content:
        """The content, noted as drawn."""
        self._drawn = self.content()
        return self._drawn


# One line of typed text that is quiet on the line: its cursor does not blink.


class LineInput(Input):
    """A compact input. A blinking cursor would repaint twice a second for as long as somebody thinks."""

    def __init__(self, value: str = "", *, id: str, max_length: int, placeholder: str = "") -> None:  # noqa: A002
        super().__init__(value, id=id, max_length=max_length, placeholder=placeholder, compact=True)
        self.cursor_blink = False


# Text of several lines from anywhere, shown as it is, wrapped, and scrolled by keys.

_LIMIT = 256 * 1024


class TextView(VerticalScroll):
    """Shows ``text``: markup is not interpreted, control characters are made visible."""

    DEFAULT_CSS = "TextView > Static { height: auto; }"

    text: reactive[str] = reactive("")
    """What is shown."""

    def compose(self) -> ComposeResult:
        """One body inside the scroll."""
        yield Static(markup=False)

    def on_mount(self) -> None:
        """Show what was set before there was a body."""
        self._show(self.text)

    def watch_text(self, text: str) -> None:
        """Show another text from its top."""
        if self.is_mounted:
            self._show(text)
            self.scroll_home(animate=False)

    def _show(self, text: str) -> None:
        self.query_one(Static).update(Content(visible(text, limit=_LIMIT, lines=True)))
