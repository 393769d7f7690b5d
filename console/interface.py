"""Starting the interface: a terminal is needed, and whatever ends it becomes an exit code."""

from __future__ import annotations

import os
import sys

from console.session import Session
from ml.clock import SystemClock
from ml.errors import Usage


def run_interface(session: Session) -> int:
    """Run the interface until it is left; returns the exit code. Raises Usage without a terminal."""
    in_browser = "TEXTUAL_DRIVER" in os.environ  # set by textual-serve, see console.serve
    if not (in_browser or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise Usage("The interface needs a terminal.", "Use `mlconsole status`, or another verb; see mlconsole --help.")
    settings = session.settings
    # Imported here: a terminal is there and the configuration is sound.
    from console.app import ConsoleApp  # noqa: PLC0415
    from ml.records.drafts import Drafts  # noqa: PLC0415

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
        drafts=Drafts(settings.state / "drafts"),
    )
    code = app.run()
    if app.bug is not None:
        raise app.bug
    return code if isinstance(code, int) else (app.return_code or 0)
