"""Early read of the registry's names for the first frame, while the interface is still being imported."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.board import Glance


def look_ahead(read: Callable[[], Glance]) -> Future[Glance]:
    """Start reading the names on a daemon thread, which does not delay the exit."""
    names: Future[Glance] = Future()

    def run() -> None:
        try:
            names.set_result(read())
        except Exception as error:  # noqa: BLE001 whoever waits for the names must hear of a bug of ours
            names.set_exception(error)

    threading.Thread(target=run, name="first look", daemon=True).start()
    return names
