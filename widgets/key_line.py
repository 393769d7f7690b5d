"""The footer: at most eight keys, and which view is open."""

from __future__ import annotations

from typing import NamedTuple

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from widgets.cut import cut
from widgets.glyphs import glyphs_of

MOST_KEYS = 8

_ALWAYS = 3
"""So many keys at the end stay on a narrow terminal, whatever goes: the way out, the kill key, the help."""


class KeyHint(NamedTuple):
    """One key with its label. ``here``: it leads to where we are; ``loud``: it must be found in an emergency."""

    key: str
    label: str
    here: bool = False
    loud: bool = False


class KeyLine(Widget):
    """Shows ``keys`` in their order."""

    DEFAULT_CSS = """
    KeyLine { height: 1; dock: bottom; text-wrap: nowrap; }
    """

    keys: reactive[tuple[KeyHint, ...]] = reactive(())

    def render(self) -> Content:
        """Key and label, key and label."""
        parts = [_hint(hint) for hint in self.keys[:MOST_KEYS]]
        line = Content("  ").join(parts)
        while line.cell_length > self.size.width and len(parts) > _ALWAYS:
            del parts[-_ALWAYS - 1]
            line = Content("  ").join(parts)
        return cut(line, self.size.width, glyphs_of(self.app))


def _hint(hint: KeyHint) -> Content:
    if hint.here:
        return Content.assemble((f"{hint.key} {hint.label}", "bold reverse"))
    return Content.assemble((hint.key, "$verdict-bad bold" if hint.loud else "$primary bold"), " ", hint.label)
