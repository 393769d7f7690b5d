"""Keeps a paste that never ends from swallowing the keyboard (FAULTS, terminal)."""

from __future__ import annotations

import time
from collections.abc import Callable

_START, _END = "\x1b[200~", "\x1b[201~"
LONGEST = 65_536
"""Characters of one paste that are passed on; nothing that is pasted here is longer."""
PATIENCE_S = 1.0
"""A paste is over when nothing came for so long, whether or not the terminal said so."""


class PasteGuard:
    """Watches input on its way to the key parser, and closes a bracketed paste that is too long or was cut off."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._pasting = False
        self._length = 0
        self._last = 0.0
        self._kept = ""

    def feed(self, text: str) -> str:
        """Input as it may be parsed."""
        self._last = self._monotonic()
        text, self._kept = _whole(self._kept + text)
        out: list[str] = []
        while text:
            text = self._pasted(text, out) if self._pasting else self._typed(text, out)
        return "".join(out)

    def tick(self) -> str:
        """Called when there is no input for the moment: the end of a paste that was never closed, or nothing."""
        kept, self._kept = self._kept, ""
        if self._pasting and self._monotonic() - self._last > PATIENCE_S:
            self._pasting = False
            return kept + _END
        return kept

    def _typed(self, text: str, out: list[str]) -> str:
        before, start, after = text.partition(_START)
        out.append(before + start)
        self._pasting, self._length = bool(start), 0
        return after

    def _pasted(self, text: str, out: list[str]) -> str:
        inside, end, after = text.partition(_END)
        out.append(inside[: LONGEST - self._length])
        self._length = min(LONGEST, self._length + len(inside))
        if end:
            out.append(end)
            self._pasting = False
        return after


def _whole(text: str) -> tuple[str, str]:
    """Split off the beginning of a paste mark at the very end, which the next input may complete."""
    for length in range(min(len(_START) - 1, len(text)), 1, -1):
        tail = text[-length:]
        if _START.startswith(tail) or _END.startswith(tail):
            return text[:-length], tail
    return text, ""
