"""Text of several lines from anywhere, shown as it is, wrapped, and scrolled by keys."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from ml.text import visible

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
