"""One loud line on every view while a model that has just become active breaches: what to press, which, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import var

from ml.text import visible
from widgets.cut import cut
from widgets.glyphs import glyphs_of
from widgets.still import Still

if TYPE_CHECKING:
    from ml.board import WatchView


class WatchBanner(Still):
    """Hidden while nothing breaches. The model that is looked at comes first, because `r` rolls that one back."""

    DEFAULT_CSS = """
    WatchBanner { height: 1; padding: 0 1; text-wrap: nowrap; display: none; }
    WatchBanner.-on { display: block; }
    """

    watches: var[tuple[WatchView, ...]] = var(())
    chosen: var[str] = var("")
    """The model that is looked at."""
    may_roll_back: var[bool] = var(True)

    def on_mount(self) -> None:
        """Take the one alarm style that every screen shares."""
        self.add_class("alarm")

    def watch_watches(self) -> None:
        """Appear and disappear with the breaches."""
        self.set_class(bool(self._breaching), "-on")
        self.renew()

    def watch_chosen(self) -> None:
        """Another model, another key."""
        self.renew()

    def watch_may_roll_back(self) -> None:
        """A session may turn out to be read-only."""
        self.renew()

    def content(self) -> Content:
        """The key before the reason, because a narrow terminal cuts from the right."""
        if not self._breaching:
            return Content("")
        first, *others = self._breaching
        glyphs = glyphs_of(self.app)
        words = [f"BREACH {visible(first.model, limit=40)}", self._way(first), *map(visible, first.breaching)]
        words += [f"+{len(others)} more"] if others else []
        return cut(Content(f" {glyphs.dot} ".join(filter(None, words))), self.size.width, glyphs)

    def _way(self, watch: WatchView) -> str:
        if not self.may_roll_back:
            return ""
        return "r rolls back" if watch.model == self.chosen else "choose it with [ or ], then r rolls back"

    @property
    def _breaching(self) -> list[WatchView]:
        breaching = [each for each in self.watches if each.breaching]
        return sorted(breaching, key=lambda each: (each.model != self.chosen, each.began_at))
