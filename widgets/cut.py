"""Shortening one line of content, with the ellipsis that the terminal can draw."""

from __future__ import annotations

from textual.content import Content

from widgets.glyphs import Glyphs


def cut(line: Content, width: int, glyphs: Glyphs) -> Content:
    """The line in at most ``width`` cells; a cut is marked at its end."""
    if line.cell_length <= width:
        return line
    return line.truncate(max(0, width - len(glyphs.ellipsis))) + glyphs.ellipsis
