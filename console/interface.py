"""Start of the interface: checks for a terminal, runs the application, and returns an exit code."""

from __future__ import annotations

import gc
import os
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

from console.first_look import look_ahead
from console.invocation import Invocation
from ml.clock import SystemClock
from ml.errors import Usage

if TYPE_CHECKING:
    from console.settings import Settings
    from ml.records.drafts import Drafts


_IMPORTED_S = 10.0
"""Seconds until everything that the views and their first polls need has been imported."""


def collect_later() -> None:
    """Collect no garbage while modules are imported, and never scan those modules afterwards.

    The first frame and a first F9 wait for imports, and each full scan holds up keys; `make bench` prints both.
    """
    gc.disable()
    timer = threading.Timer(_IMPORTED_S, _collect)
    timer.daemon = True
    timer.start()


def _collect() -> None:
    gc.collect()  # Otherwise the garbage of the first seconds would stay for good.
    gc.freeze()
    gc.enable()


def run_interface(invocation: Invocation) -> int:
    """Run the interface until it is left. Returns the exit code; raises Usage without a terminal."""
    in_browser = "TEXTUAL_DRIVER" in os.environ  # set by textual-serve, see console.serve
    if not (in_browser or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise Usage("The interface needs a terminal.", "Use `mlconsole status`, or another verb; see mlconsole --help.")
    settings = invocation.settings
    collect_later()
    names = look_ahead(invocation.session.glance)
    # Imported here: the terminal and the configuration are checked, and the registry is being read.
    from console.app import ConsoleApp  # noqa: PLC0415

    shown = settings.interface
    app = ConsoleApp(
        invocation.session,
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
