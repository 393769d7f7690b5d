"""How far a long action is, in one line: a real bar and a rate where there is one, never a spinner."""

from __future__ import annotations

from ml.ports import Progress
from ml.text import visible
from widgets.bars import bar
from widgets.glyphs import ASCII

_BAR = 10


def progress_words(progress: Progress) -> str:
    """``digests ######---- 61 % 812 MiB/s``; a step without parts is its name and its note.

    The bar is of plain characters, because the line is also read out and copied.
    """
    step, note = visible(progress.step, limit=40), visible(progress.note, limit=120)
    if progress.total <= 1:
        return f"{step} {note}".rstrip()
    share = min(1.0, progress.done / progress.total)
    return f"{step} {bar(share, _BAR, ASCII)} {share * 100:.0f} % {note}".rstrip()
