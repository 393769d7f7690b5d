"""Text in columns: exactly as many cells as asked for, whatever the characters are."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from widgets.glyphs import Glyphs


def fit(text: str, width: int, glyphs: Glyphs) -> str:
    """The text padded to ``width`` cells, or cut to them with an ellipsis."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    if width <= len(glyphs.ellipsis):
        return set_cell_size(text, max(0, width))
    return set_cell_size(text, width - len(glyphs.ellipsis)) + glyphs.ellipsis
