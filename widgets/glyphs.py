"""Characters that widgets draw with, and their ``--ascii`` twins.

The application carries the choice as its style class ``-ascii``, so style sheets and widgets read one source.
"""

from __future__ import annotations

from typing import NamedTuple

from textual.app import App


class Glyphs(NamedTuple):
    """One set of drawing characters. ``levels`` run from lowest to highest, for sparklines and charts."""

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
    """The drawing characters of the running application."""
    return ASCII if app.has_class("-ascii") else UNICODE
