"""Ages as they are shown: coarse, so that a calm board stays still, and never younger than they are."""

from __future__ import annotations

import math
from datetime import datetime

from ml.clock import span

_STEPS = ((60, 5), (600, 10), (3_600, 60))
"""Below so many seconds, ages are shown in steps of so many."""


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was, rounded up: ``5s``, ``3m40s``, ``12m``, ``18h22m``; a dash for never.

    A moment after ``now`` (a clock that is off) is shown as ``future``, because an age would hide it.
    """
    if moment is None:
        return "-"
    seconds = (now - moment).total_seconds()
    if seconds < -1:
        return "future"
    for below, step in _STEPS:
        if seconds < below:
            seconds = max(1, math.ceil(seconds / step)) * step
            break
    return span(seconds).removesuffix("00s") if seconds >= 600 else span(seconds)
