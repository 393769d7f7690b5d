"""Widget that repaints only when its content has changed."""

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
    """Draws `content`. Its values are plain variables, and their watchers call `renew`."""

    _drawn: Content | None = None

    @abstractmethod
    def content(self) -> Content:
        """Return the content for the current values."""

    def renew(self, *, layout: bool = False) -> None:
        """Repaint if the content has changed."""
        if self.is_mounted and (self._drawn is None or not self._drawn.is_same(self.content())):
            self.refresh(layout=layout)

    def render(self) -> Content:
        """Return the content, and remember it."""
        self._drawn = self.content()
        return self._drawn


# Text input without a blinking cursor, which would cost bytes on a slow line.


class LineInput(Input):
    """A compact input. A blinking cursor would repaint twice a second for as long as the input has the focus."""

    def __init__(self, value: str = "", *, id: str, max_length: int, placeholder: str = "") -> None:  # noqa: A002
        super().__init__(value, id=id, max_length=max_length, placeholder=placeholder, compact=True)
        self.cursor_blink = False


# Several lines of outside text, wrapped and scrolled by keys.

_LIMIT = 256 * 1024


class TextView(VerticalScroll):
    """Shows ``text``. Markup is not interpreted, and control characters are made visible."""

    DEFAULT_CSS = "TextView > Static { height: auto; }"

    text: reactive[str] = reactive("")
    """The text."""

    def compose(self) -> ComposeResult:
        """One scrolling body."""
        yield Static(markup=False)

    def on_mount(self) -> None:
        """Show a text that was set before the body existed."""
        self._show(self.text)

    def watch_text(self, text: str) -> None:
        """Show another text from its top."""
        if self.is_mounted:
            self._show(text)
            self.scroll_home(animate=False)

    def _show(self, text: str) -> None:
        self.query_one(Static).update(Content(visible(text, limit=_LIMIT, lines=True)))
