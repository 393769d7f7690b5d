"""Measure ``mlconsole status --short``, the whole process, beside a running console, against an empty Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Result, in_turns
from console.config import load
from console.demo.layout import Layout
from console.demo.repository import make_repositories
from console.snapshot import FILE
from ml.adapters.processes import run as start

_ROUNDS = 25
_START_S = 60.0


def run() -> tuple[Result, ...]:
    """Measure on the demo's registry. Every answer must come from the watcher's board and say how old that is."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        layout.make()
        make_repositories(layout, datetime.now(UTC), "")
        environ = os.environ | {"HOME": folder, "XDG_STATE_HOME": folder}
        program = str(Path(sys.executable).with_name("mlconsole"))

        def prompt() -> None:
            ended = start((program, "status", "--short"), deadline_s=30, cwd=layout.clone, env=environ)
            assert ended.out.rstrip().endswith(b" ago"), ended

        def empty() -> None:
            assert start((sys.executable, "-c", "pass"), deadline_s=30, cwd=layout.clone, env=environ).code == 0

        with _watched(program, layout.clone, environ):
            ours, floor = in_turns(prompt, empty, _ROUNDS)
    return (Result("mlconsole status --short while somebody watches", "python -c pass", ours, floor, 5.0),)


@contextmanager
def _watched(program: str, clone: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Run ``status --watch`` until the block ends."""
    snapshot = load(repo=str(clone), environ=environ).root
    process = subprocess.Popen(
        [program, "status", "--watch"],
        cwd=clone,
        env=dict(environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ends = time.monotonic() + _START_S
        while not list(Path(environ["XDG_STATE_HOME"]).glob(f"mlconsole/{snapshot.name}-*/{FILE}")):
            assert time.monotonic() < ends, "nobody kept a snapshot"
            time.sleep(0.05)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
