"""A widget that stays still: it repaints only when what it would draw has changed."""

from __future__ import annotations

from abc import abstractmethod

from textual.content import Content
from textual.widget import Widget


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
