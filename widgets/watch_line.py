"""One quiet line for the hour after a promotion to active: what is watched, for how long yet, and that all is well."""

from __future__ import annotations

import math
from datetime import datetime

from textual.content import Content
from textual.reactive import var

from ml.board import WatchView
from ml.text import visible
from widgets.cut import cut
from widgets.glyphs import glyphs_of
from widgets.still import Still


class WatchLine(Still):
    """The watch that ends first of those in which nothing breaches; hidden while there is none."""

    DEFAULT_CSS = """
    WatchLine { height: 1; text-wrap: nowrap; display: none; }
    WatchLine.-on { display: block; }
    """

    watches: var[tuple[WatchView, ...]] = var(())
    unproven: var[frozenset[str]] = var(frozenset(), init=False)
    """Models of which it is not proven that what is live keeps its limits now."""
    now: var[datetime | None] = var(None)

    def watch_watches(self) -> None:
        """Appear and disappear with the watches."""
        self.set_class(bool(self._calm), "-on")
        self.renew()

    def watch_unproven(self) -> None:
        """A model is measured again, or is not any more."""
        self.renew()

    def watch_now(self) -> None:
        """Time passes."""
        self.renew()

    def content(self) -> Content:
        """Artifact, minutes left, keeper; in minutes, so that a quiet hour paints sixty times and not 3,600."""
        if self.now is None or not self._calm:
            return Content("")
        first, *others = self._calm
        # The screen's clock may be a second older than a watch that has just begun.
        rest = first.ends_at - max(self.now, first.began_at)
        left = max(0, math.ceil(rest.total_seconds() / 60))
        state = "not measured now" if first.model in self.unproven else "nothing breaches"
        line = Content.assemble(
            ("WATCH", "bold"),
            f" {visible(first.artifact_id, limit=80)}  {left}m left, {state}",
            (f"  kept by {visible(first.keeper, limit=60)}", "$quiet"),
            (f"  +{len(others)} more" if others else "", "$quiet"),
        )
        return cut(line, self.size.width, glyphs_of(self.app))

    @property
    def _calm(self) -> list[WatchView]:
        return sorted((each for each in self.watches if not each.breaching), key=lambda each: each.ends_at)
