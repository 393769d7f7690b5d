"""One line of how far something is: a bar that fills, a rate, and nothing from outside that a terminal would obey."""

from __future__ import annotations

import pytest

from ml.ports import Progress
from widgets.drawing import progress_words

GIB = 1 << 30


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("digests", 0, GIB, "0 MiB/s"), "digests ---------- 0 % 0 MiB/s"),
        (Progress("digests", GIB // 2, GIB, "812 MiB/s"), "digests #####----- 50 % 812 MiB/s"),
        (Progress("copy", GIB, GIB), "copy ########## 100 %"),
        (Progress("copy", GIB + 1, GIB), "copy ########## 100 %"),
        (Progress("load", 1, 1, "PASS"), "load PASS"),
        (Progress("load", 0, 1, "in the sandbox"), "load in the sandbox"),
        (Progress("read back", 0, 0), "read back"),
        (Progress("di\x1bgests", 1, 4, "\u202eevil"), "di␛gests ##-------- 25 % \\u{202e}evil"),
    ],
)
def test_the_line_says_how_far_it_is(progress: Progress, words: str) -> None:
    assert progress_words(progress) == words
