"""When to look for garbage: only among what comes and goes, and never while somebody waits for the first frame."""

import gc
import threading
from collections.abc import Callable

_DRAWN_S = 2.0
"""Seconds after the start in which the first frame is drawn; nearly all that was made by then stays."""
_IMPORTED_S = 10.0
"""Seconds after the start in which all that the views and their first looks need has long been imported."""


def collect_later() -> None:
    """Collect nothing now; later, leave out what is imported, which stays and takes long to look through."""
    gc.disable()
    _after(_DRAWN_S, gc.freeze)
    _after(_IMPORTED_S, _begin)


def _begin() -> None:
    gc.collect()  # of the first seconds' garbage, or it would be kept for good; what was frozen before is not looked at
    gc.freeze()
    gc.enable()


def _after(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
