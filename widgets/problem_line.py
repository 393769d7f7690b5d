"""One line for what needs a person: the first problem, and how many there are; a broken registry's in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ml.text import visible
from widgets.cut import cut
from widgets.glyphs import glyphs_of

if TYPE_CHECKING:
    from ml.board import Problem

REGISTRY = "registry"
"""Where the problem is that makes a session read-only."""


class ProblemLine(Widget):
    """Empty while nothing needs anybody."""

    DEFAULT_CSS = """
    ProblemLine { height: 1; text-wrap: nowrap; }
    ProblemLine.-whole { height: auto; max-height: 8; text-wrap: wrap; }
    """

    problems: reactive[tuple[Problem, ...]] = reactive(())

    def watch_problems(self) -> None:
        """Give the registry's own problem as many lines as it needs: its field path is the last thing to cut."""
        before, whole = self.has_class("-whole"), bool(self.problems) and self._ordered()[0].where == REGISTRY
        self.set_class(whole, "-whole")
        if before or whole:
            self.refresh(layout=True)

    def _ordered(self) -> list[Problem]:
        return sorted(self.problems, key=lambda problem: (problem.where != REGISTRY, not problem.severe))

    def render(self) -> Content:
        """Where, what, and what to do."""
        if not self.problems:
            return Content("")
        ordered = self._ordered()
        first, glyphs = ordered[0], glyphs_of(self.app)
        color = "$verdict-bad" if first.severe else "$verdict-unknown"
        more = f"  (+{len(ordered) - 1} more)" if len(ordered) > 1 else ""
        where = f"{visible(first.where, limit=40)}: " if first.where else ""
        what = (visible(first.what), color)
        line = Content.assemble(("! " + where, f"{color} bold"), what, " ", visible(first.remedy))
        if self.has_class("-whole"):
            return line + Content.assemble((more, "$quiet"))
        return cut(line, self.size.width - len(more), glyphs) + Content.assemble((more, "$quiet"))
