"""When to look for garbage: only among what comes and goes, and never while somebody waits for the first frame."""

import gc
import threading

_IMPORTED_S = 10.0
"""Seconds after the start in which all that the views and their first looks need has long been imported."""


def collect_later() -> None:
    """Collect nothing now; later, leave out everything imported by then, which stays and takes long to look through."""

    def begin() -> None:
        gc.freeze()
        gc.enable()

    gc.disable()
    timer = threading.Timer(_IMPORTED_S, begin)
    timer.daemon = True
    timer.start()
