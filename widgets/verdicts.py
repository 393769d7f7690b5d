"""One visual language for verdicts: a word, a glyph, a style class and a colour per verdict (SPEC §10).

The word tells the state; glyph and colour only repeat it, so a monochrome terminal loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ml.verdict import Verdict

WORD_WIDTH = 7
"""Cells of the longest word; columns of verdicts are aligned to it."""


class Mark(NamedTuple):
    """How one verdict looks.

    ``style`` is the CSS class of a widget in that state, ``color`` the theme variable (with text style)
    for a span of content.
    """

    word: str
    glyph: str
    ascii_glyph: str
    style: str
    color: str

    def text(self, *, ascii_only: bool = False) -> str:
        """Glyph and word, such as ``✓ PASS``, padded so that marks below each other align."""
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
"""Every style class of a verdict, for widgets that swap one for another."""


def summary(verdicts: tuple[Verdict, ...]) -> str:
    """How many of each verdict that keeps a gate closed, worst first: ``1 FAIL · 2 NO DATA``; empty when none."""
    order = reversed(tuple(Verdict))
    counts = ((MARKS[verdict].word, verdicts.count(verdict)) for verdict in order if not verdict.opens)
    return " · ".join(f"{count} {word}" for word, count in counts if count)
