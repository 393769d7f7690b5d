"""The local stack: a living system on this machine, made of real parts, for newcomers, tests and drills."""

from __future__ import annotations

from pathlib import Path


def run_demo(*, directory: Path | None = None, keep: bool = False, console: bool = True) -> int:
    """Run the demo to its end (`console.demo.run.demo`)."""
    # Imported here: the demo's child processes are modules of this package and need none of it.
    from console.demo.run import demo  # noqa: PLC0415

    return demo(directory=directory, keep=keep, console=console)
