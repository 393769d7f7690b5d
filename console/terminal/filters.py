"""The last door before the terminal: every line of every widget, whoever wrote it (contract §14, Textual).

Text from outside is made visible where it enters (`ml.text.visible`). Should a widget of ours or of a library
forget that, this filter still lets no control, bidirectional or invisible character through.
"""

from __future__ import annotations

from functools import lru_cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from ml.text import visible


class VisibleFilter(LineFilter):
    """Replaces characters that a terminal would act on, cell for cell, so that columns stay aligned."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line, harmless."""
        if all(text.isascii() and text.isprintable() for text, _, _ in segments):
            return segments
        return [segment if segment.control else Segment(harmless(segment.text), segment.style) for segment in segments]


def harmless(text: str) -> str:
    """The text with every acting character replaced by as many marks as it has cells, which may be none."""
    return "".join(map(_harmless, text))


@lru_cache(maxsize=4096)
def _harmless(char: str) -> str:
    return char if visible(char) == char else "\ufffd" * max(0, get_character_cell_size(char))


class AsciiFilter(LineFilter):
    """Draws with ASCII only, cell for cell: our own signs by likeness, everything else as a question mark."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line in ASCII."""
        if all(text.isascii() for text, _, _ in segments):
            return segments
        return [segment if segment.control else Segment(to_ascii(segment.text), segment.style) for segment in segments]


def to_ascii(text: str) -> str:
    """The text with every other character replaced by as many ASCII ones as it has cells."""
    return "".join(map(_ascii, text))


_LIKE = {
    "…": ".", "·": "-", "→": ">", "←": "<", "≥": ">", "≤": "<", "×": "x", "│": "|", "─": "-", "–": "-", "—": "-",
    "▸": ">", "•": "*", "●": "*", "○": "o", "✓": "+", "✗": "x", "≈": "~", "“": '"', "”": '"', "’": "'",
}  # fmt: skip


@lru_cache(maxsize=4096)
def _ascii(char: str) -> str:
    if char.isascii():
        return char
    return _LIKE.get(char) or "?" * max(0, get_character_cell_size(char))
