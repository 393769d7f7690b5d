"""Last filter before the terminal: it applies to every line of every widget (contract §14, Textual).

`ml.text.visible` makes text from outside harmless where it enters. If a widget of ours or of a library forgets that,
this filter still stops control, bidirectional and invisible characters.
"""

from __future__ import annotations

from functools import lru_cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from ml.text import visible


class VisibleFilter(LineFilter):
    """Replaces characters that a terminal would act on, cell by cell, so that columns stay aligned."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line, harmless."""
        if all(text.isascii() and text.isprintable() for text, _, _ in segments):
            return segments
        return [segment if segment.control else Segment(harmless(segment.text), segment.style) for segment in segments]


def harmless(text: str) -> str:
    """Replace every character that a terminal would act on by marks of the same width, which may be zero."""
    return "".join(map(_harmless, text))


@lru_cache(maxsize=4096)
def _harmless(char: str) -> str:
    return char if visible(char) == char else "\ufffd" * max(0, get_character_cell_size(char))


class AsciiFilter(LineFilter):
    """Draws with ASCII only, cell by cell: our own signs get similar ones, everything else a question mark."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line in ASCII."""
        if all(text.isascii() for text, _, _ in segments):
            return segments
        return [segment if segment.control else Segment(to_ascii(segment.text), segment.style) for segment in segments]


def to_ascii(text: str) -> str:
    """Replace every non-ASCII character by ASCII characters of the same width."""
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
