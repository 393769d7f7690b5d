"""Starting the interface: a terminal is needed, and whatever ends it becomes an exit code."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from console.first_look import look_ahead
from console.session import Session
from ml.clock import SystemClock
from ml.errors import Usage

if TYPE_CHECKING:
    from console.config import Settings
    from ml.records.drafts import Drafts


# When to look for garbage: only among what comes and goes, and never while somebody waits for the first frame.

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


def run_interface(session: Session) -> int:
    """Run the interface until it is left; returns the exit code. Raises Usage without a terminal."""
    in_browser = "TEXTUAL_DRIVER" in os.environ  # set by textual-serve, see console.serve
    if not (in_browser or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise Usage("The interface needs a terminal.", "Use `mlconsole status`, or another verb; see mlconsole --help.")
    settings = session.settings
    collect_later()
    names = look_ahead(session.operations.glance)
    # Imported here: a terminal is there, the configuration is sound, and the registry is being read.
    from console.app import ConsoleApp  # noqa: PLC0415

    shown = settings.interface
    app = ConsoleApp(
        session.operations,
        SystemClock(),
        theme=shown.theme,
        keymap=shown.keymap,
        ascii_only=shown.ascii,
        read_only=settings.read_only,
        kill_key=settings.kill_allowed,
        poll_seconds=settings.prometheus.poll_seconds,
        fetch_seconds=settings.registry.fetch_seconds,
        environment=settings.environment.name,
        production=settings.environment.production,
        drafts=partial(_drafts, settings),
        names=names,
    )
    code = app.run()
    if app.bug is not None:
        raise app.bug
    return code if isinstance(code, int) else (app.return_code or 0)


def _drafts(settings: Settings) -> Drafts:
    from ml.records.drafts import Drafts  # noqa: PLC0415 with the first wizard

    return Drafts(settings.state / "drafts")
