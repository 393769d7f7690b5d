"""Starting the interface: a terminal is needed, and whatever ends it becomes an exit code."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from console.first_look import look_ahead
from console.garbage import collect_later
from console.session import Session
from ml.clock import SystemClock
from ml.errors import Usage

if TYPE_CHECKING:
    from console.config import Settings
    from ml.records.drafts import Drafts


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
