"""One line for what needs a person: the first problem in full, and how many there are."""

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


class ProblemLine(Widget):
    """Empty while nothing needs anybody."""

    DEFAULT_CSS = """
    ProblemLine { height: 1; text-wrap: nowrap; }
    """

    problems: reactive[tuple[Problem, ...]] = reactive(())

    def render(self) -> Content:
        """Where, what, and what to do."""
        if not self.problems:
            return Content("")
        ordered = sorted(self.problems, key=lambda problem: not problem.severe)
        first, glyphs = ordered[0], glyphs_of(self.app)
        color = "$verdict-bad" if first.severe else "$verdict-unknown"
        more = f"  (+{len(ordered) - 1} more)" if len(ordered) > 1 else ""
        where = f"{visible(first.where, limit=40)}: " if first.where else ""
        what = (visible(first.what), color)
        line = Content.assemble(("! " + where, f"{color} bold"), what, " ", visible(first.remedy))
        return cut(line, self.size.width - len(more), glyphs) + Content.assemble((more, "$quiet"))
