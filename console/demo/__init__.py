"""The demo: a complete system of real parts on this machine, for newcomers, tests and drills."""

from __future__ import annotations

from pathlib import Path


def run_demo(*, directory: Path | None = None, keep: bool = False, console: bool = True) -> int:
    """Run the demo until it ends (see `console.demo.run.demo`)."""
    # Imported here: the demo's child processes are modules of this package and do not need it.
    from console.demo.run import demo  # noqa: PLC0415

    return demo(directory=directory, keep=keep, console=console)
