"""Values as a bar chart of several rows: one column each, from zero up, with a limit drawn where no bar covers it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from widgets.glyphs import Glyphs


@dataclass(frozen=True, slots=True)
class Bars:
    """What a chart draws: the value of each column, ``None`` where there is none, up to ``top``.

    ``mark`` is the column that is looked at, -1 for none: a line stands in it above its bar. ``gap`` stands where
    nothing was measured.
    """

    values: Sequence[float | None]
    top: float
    height: int
    limit: float | None = None
    mark: int = -1
    gap: str = " "

    @property
    def step(self) -> float:
        """The value of one whole row."""
        return self.top / max(1, self.height)

    @property
    def limit_row(self) -> int:
        """The row that the limit lies in, counted from the bottom; -1 where it is not on the scale."""
        if self.limit is None or self.limit > self.top:
            return -1
        return min(int(self.limit / self.step), self.height - 1)

    def row(self, y: int, glyphs: Glyphs) -> Content:
        """One row, ``y`` counted from the bottom."""
        return Content.assemble(*(self._cell(column, y, glyphs) for column in range(len(self.values)))).simplify()

    def _cell(self, column: int, y: int, glyphs: Glyphs) -> tuple[str, str]:
        glyph, color = self._look(self.values[column], y, glyphs)
        if column == self.mark and glyph in (" ", glyphs.limit):
            return glyphs.rule, "bold"
        return glyph, f"{color} bold" if column == self.mark else color

    def _look(self, value: float | None, y: int, glyphs: Glyphs) -> tuple[str, str]:
        filled = 0.0 if value is None else value / self.step - y
        if filled <= 0:
            if value is None and y == 0 and self.gap != " ":
                return self.gap, "$verdict-unknown"
            return (glyphs.limit, "$verdict-bad") if y == self.limit_row else (" ", "")
        level = math.ceil(filled * (len(glyphs.levels) + 1)) - 1
        glyph = glyphs.levels[level] if level < len(glyphs.levels) else glyphs.block
        return glyph, self._color(value, top=filled <= 1)

    def _color(self, value: float | None, *, top: bool) -> str:
        """Loud from the limit on; else only the top of a bar stands out."""
        if value is not None and self.limit is not None and value >= self.limit:
            return "$verdict-bad"
        return "$verdict-good" if top else "$frame"


def highest(values: Sequence[float | None]) -> float | None:
    """The highest of some values; ``None`` where none is a number."""
    return max((value for value in values if value is not None and math.isfinite(value)), default=None)
