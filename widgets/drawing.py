"""Drawing characters of the widgets, and their ASCII versions for ``--ascii``.

The application stores the choice in its style class ``-ascii``, so style sheets and widgets read one source.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from textual.app import App
from textual.content import Content

from ml.ports import Progress
from ml.text import visible
from ml.verdict import Verdict


class Glyphs(NamedTuple):
    """One set of drawing characters. ``levels`` go from lowest to highest, for sparklines and charts."""

    ascii_only: bool
    levels: str
    block: str
    full: str
    empty: str
    over: str
    dot: str
    arrow: str
    rule: str
    limit: str
    pointer: str
    gap: str
    ellipsis: str
    less: str
    more: str
    up: str
    corner: str


UNICODE = Glyphs(False, "▁▂▃▄▅▆▇", "█", "━", "─", "▶", "·", "→", "│", "╌", "▸", " ", "…", "<", "≥", "▲", "└")
ASCII = Glyphs(True, "_.-:=+*", "#", "#", "-", "!", "-", "->", "|", "~", ">", " ", "..", "<", ">=", "^", "+")


def glyphs_of(app: App[object]) -> Glyphs:
    """Return the drawing characters of the running application."""
    return ASCII if app.has_class("-ascii") else UNICODE


# Bars and sparklines from plain characters.


def bar(share: float | None, width: int, glyphs: Glyphs) -> str:
    """Return a share from 0 to 1 as a bar. Above 1 the last cell marks the overflow. Blank when unknown."""
    if share is None or math.isnan(share):
        return " " * width
    if share > 1:
        return glyphs.full * (width - 1) + glyphs.over
    filled = max(0, round(share * width))
    return glyphs.full * filled + glyphs.empty * (width - filled)


def sparkline(values: Sequence[float | None], width: int, glyphs: Glyphs) -> str:
    """Return the newest ``width`` values, right-aligned, scaled to their own range, with a gap for a missing value."""
    shown = list(values[-width:])
    known = [value for value in shown if value is not None]
    if not known:
        return " " * width
    low, high = min(known), max(known)
    reach = (high - low) or 1.0
    top = len(glyphs.levels) - 1
    line = (glyphs.gap if value is None else glyphs.levels[round((value - low) / reach * top)] for value in shown)
    return "".join(line).rjust(width)


# Text in columns: exactly the requested number of cells, for any characters.


def fit(text: str, width: int, glyphs: Glyphs) -> str:
    """Pad the text to ``width`` cells, or cut it with an ellipsis."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    if width <= len(glyphs.ellipsis):
        return set_cell_size(text, max(0, width))
    return set_cell_size(text, width - len(glyphs.ellipsis)) + glyphs.ellipsis


# One line of content, cut with an ellipsis that the terminal can draw.


def cut(line: Content, width: int, glyphs: Glyphs) -> Content:
    """Cut the line to at most ``width`` cells. A cut is marked at its end."""
    if line.cell_length <= width:
        return line
    return line.truncate(max(0, width - len(glyphs.ellipsis))) + glyphs.ellipsis


def fit_line(lines: Iterable[Content], width: int, glyphs: Glyphs) -> Content:
    """Return the first line that fits into ``width`` cells, else the last one, cut.

    The lines say the same, from the longest to the shortest: each leaves out something that matters less.
    """
    line = Content("")
    for line in lines:
        if line.cell_length <= width:
            return line
    return cut(line, width, glyphs)


# Progress of a long action on one line: a bar and a rate where they are known, never a spinner.

_BAR = 10


def progress_words(progress: Progress) -> str:
    """Return a line such as ``digests ######---- 61 % 812 MiB/s``; name and note for a step without parts.

    The bar uses plain characters, because the line is also read aloud and copied.
    """
    step, note = visible(progress.step, limit=40), visible(progress.note, limit=120)
    if progress.total <= 1:
        return f"{step} {note}".rstrip()
    share = min(1.0, progress.done / progress.total)
    return f"{step} {bar(share, _BAR, ASCII)} {share * 100:.0f} % {note}".rstrip()


# Display of verdicts: a word, a glyph, a style class and a color per verdict (contract §10).
#
# The word carries the state. Glyph and color only repeat it, so a monochrome terminal shows everything.

WORD_WIDTH = 7
"""Cells of the longest word; columns of verdicts align to it."""


class Mark(NamedTuple):
    """Display of one verdict.

    ``style`` is the CSS class of a widget in that state, ``color`` the theme variable (with text style)
    for a span of content.
    """

    word: str
    glyph: str
    ascii_glyph: str
    style: str
    color: str

    def text(self, *, ascii_only: bool = False) -> str:
        """Return glyph and word, such as ``✓ PASS``, padded so that marks align."""
        return f"{self.ascii_glyph if ascii_only else self.glyph} {self.word:<{WORD_WIDTH}}"


MARKS: Mapping[Verdict, Mark] = MappingProxyType(
    {
        Verdict.PASS: Mark("PASS", "✓", "+", "-pass", "$verdict-good"),
        Verdict.WAIVED: Mark("WAIVED", "≈", "w", "-waived", "$verdict-good italic"),
        Verdict.WAIT: Mark("WAIT", "…", ".", "-wait", "$verdict-quiet"),
        Verdict.STALE: Mark("STALE", "~", "~", "-stale", "$verdict-quiet italic"),
        Verdict.NO_DATA: Mark("NO DATA", "?", "?", "-no-data", "$verdict-unknown"),
        Verdict.VACUOUS: Mark("VACUOUS", "○", "o", "-vacuous", "$verdict-unknown"),
        Verdict.ERROR: Mark("ERROR", "!", "!", "-error", "$verdict-bad"),
        Verdict.FAIL: Mark("FAIL", "✗", "x", "-fail", "$verdict-bad bold"),
    }
)

STYLES = frozenset(mark.style for mark in MARKS.values())
"""All style classes of verdicts, for widgets that replace one by another."""


def summary(verdicts: tuple[Verdict, ...]) -> str:
    """Count the verdicts that keep a gate closed, worst first: ``1 FAIL · 2 NO DATA``; empty when there are none."""
    order = reversed(tuple(Verdict))
    counts = ((MARKS[verdict].word, verdicts.count(verdict)) for verdict in order if not verdict.opens)
    return " · ".join(f"{count} {word}" for word, count in counts if count)
