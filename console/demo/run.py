"""``mlconsole demo``: start the demo's system, run the console on it, and remove everything afterwards."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from console.demo import prometheus
from console.demo.children import held
from console.demo.scene import MOVES, Move
from console.demo.stack import HISTORY_HOURS, Stack, running_stack
from console.paths import state_directory
from ml.errors import Refused
from ml.text import json_text, whole

_CONSOLE_ENDS_S = 30.0
_WITHOUT_PROMETHEUS = (
    "Prometheus is not installed: the console runs, but without measurements its gates stay closed. "
    "Install it (Debian: sudo apt-get install prometheus; macOS: brew install prometheus) and start again."
)


def demo(*, directory: Path | None, keep: bool, console: bool) -> int:
    """Start the system, run the console on it (or wait for ^C), then stop and remove everything.

    Args:
        directory: where to build it; a new folder of our state directory without one.
        keep: leave the folder behind, for looking at it.
        console: run the interface; else print what a script needs as JSON and wait.

    Returns:
        The console's exit code.

    Raises:
        Refused: the folder holds something. Unavailable, TimedOut: a part does not come up.
        SystemExit: after ^C, SIGTERM or SIGHUP, when all is stopped and removed.
    """
    if not prometheus.installed():
        click.echo(_WITHOUT_PROMETHEUS, err=True)
    with lived_in(directory, keep=keep) as stack:
        return run_console(stack) if console else _wait(stack)


@contextmanager
def lived_in(
    directory: Path | None, *, keep: bool = False, moves: Sequence[Move] = MOVES, hours: int = HISTORY_HOURS
) -> Iterator[Stack]:
    """Run the system in a folder. The folder is removed afterwards, however the run ends.

    Raises:
        Refused: the folder holds something. Unavailable, TimedOut: a part does not come up.
    """
    root = directory or state_directory() / f"demo-{os.getpid()}"
    if root.exists() and any(root.iterdir()):
        raise Refused(f"{root} is not empty.", "Name a new folder: it is removed when the demo ends.")
    with _signals_end_us(), _removed(root, keep=keep), running_stack(root, _announce, moves, hours) as stack:
        yield stack


def run_console(stack: Stack) -> int:
    """Run the interface on the demo until it is left. Returns its exit code."""
    clone = stack.layout.clone
    click.echo(whole(f"  for a shell beside the console: . {shlex.quote(str(stack.layout.shell))}"), err=True)
    argv = held([sys.executable, "-m", "console", "--repo", clone], signal.SIGTERM)
    with subprocess.Popen(argv, cwd=clone, env=dict(stack.env)) as running:
        try:
            return running.wait()
        except BaseException:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(_CONSOLE_ENDS_S)
            running.kill()
            raise


def _announce(what: str, seconds: float | None) -> None:
    if seconds is None:
        click.echo(f"  {what} … ", err=True, nl=False)
    else:
        click.echo(f"{seconds:.1f} s", err=True)


def _wait(stack: Stack) -> int:
    click.echo(json_text(stack.document()))
    while True:
        signal.pause()


@contextmanager
def _removed(root: Path, *, keep: bool) -> Iterator[None]:
    try:
        yield
    finally:
        if keep:
            click.echo(whole(f"kept: {root}"), err=True)
        else:
            shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _signals_end_us() -> Iterator[None]:
    """Turn signals into `SystemExit` (128 + number), so that every ``finally`` block runs.

    SIGINT is included: a shell starts background jobs with SIGINT ignored, and Python would leave it so.
    """

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
