"""Bars and sparklines out of plain characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from widgets.glyphs import Glyphs


def bar(share: float | None, width: int, glyphs: Glyphs) -> str:
    """A share, 0 to 1, as a bar; above 1 the last cell says that it goes on. Blank when unknown."""
    if share is None or math.isnan(share):
        return " " * width
    if share > 1:
        return glyphs.full * (width - 1) + glyphs.over
    filled = max(0, round(share * width))
    return glyphs.full * filled + glyphs.empty * (width - filled)


def sparkline(values: Sequence[float | None], width: int, glyphs: Glyphs) -> str:
    """The newest ``width`` values, right-aligned, scaled between their own extremes; a gap where there is none."""
    shown = list(values[-width:])
    known = [value for value in shown if value is not None]
    if not known:
        return " " * width
    low, high = min(known), max(known)
    reach = (high - low) or 1.0
    top = len(glyphs.levels) - 1
    line = (glyphs.gap if value is None else glyphs.levels[round((value - low) / reach * top)] for value in shown)
    return "".join(line).rjust(width)
