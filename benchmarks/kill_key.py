"""From the kill key on a terminal to a durable kill file, on a bad night, against one fsynced rename.

The bad night: Prometheus takes connections and never answers, git is locked, and a verification runs all the time.
Both end when the fsynced file stands under its name. The directory's fsync follows in both; it cannot be seen from
outside. That the kill is recorded as well is waited for before the next press.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.interface import Session
from benchmarks.measure import Result, seconds
from console.demo.layout import Layout
from console.demo.repository import make_repositories
from console.demo.scene import ARTIFACTS
from ml.adapters.processes import run as start
from ml.registry.paths import ARTIFACTS_PATH

_PRESSES = 200
_ALLOWED_MS = 20.0
_F9 = "\x1b[20~"
_APART_S = 0.75
"""Presses that follow each other faster are one key, held (`console.killing.HELD_S`)."""
_PATIENCE_S = 10.0
_LOCKS = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock")


def run(presses: int = _PRESSES) -> tuple[Result, ...]:
    """Press and rename in turns."""
    with _bad_night() as (layout, environ):
        session = Session("console", "--repo", str(layout.clone), cwd=layout.clone, env=environ)
        try:
            pairs = [(_press(session, layout), _rename(layout.root / "run" / "floor")) for _ in range(presses)]
        finally:
            session.close()
    ours, floor = (statistics.quantiles(times, n=100)[98] * 1000 for times in zip(*pairs, strict=True))
    what = f"key press → durable kill file on a bad night, 99th of 100 in {presses}"
    against = f"one fsynced rename ({floor:.1f} ms) + {_ALLOWED_MS:g} ms"
    return (Result(what, against, ours, floor + _ALLOWED_MS, 1.0),)


def _press(session: Session, layout: Layout) -> float:
    """Seconds from the key until the kill file stands; when the kill is recorded too, the file is taken away again."""
    session.rest(_APART_S)
    before, begun = _recorded(layout), time.perf_counter()
    session.type(_F9)
    took = _until(layout.kill_file.exists) - begun
    _until(lambda: _recorded(layout) > before)
    assert "ML_KILL_SWITCH=1" in layout.kill_file.read_text()
    layout.kill_file.unlink()
    return took


def _until(holds: Callable[[], bool]) -> float:
    """When it first held."""
    ends = time.perf_counter() + _PATIENCE_S
    while not holds():
        assert time.perf_counter() < ends, "the kill key did not kill"
        time.sleep(0.0002)
    return time.perf_counter()


def _recorded(layout: Layout) -> int:
    return sum(path.stat().st_size for path in layout.state.glob("mlconsole/*/audit.jsonl"))


def _rename(target: Path) -> float:
    def replace() -> None:
        part = target.with_suffix(".part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(handle, b"ML_KILL_SWITCH=1\n")
        os.fsync(handle)
        os.close(handle)
        os.rename(part, target)

    return seconds(replace)


@contextmanager
def _bad_night() -> Iterator[tuple[Layout, dict[str, str]]]:
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as deaf:
        layout = Layout(Path(folder))
        layout.make()
        make_repositories(layout, datetime.now(UTC), f"http://127.0.0.1:{deaf.getsockname()[1]}")
        for name in _LOCKS:
            (layout.clone / ".git" / name).touch()
        environ = os.environ | {"XDG_STATE_HOME": str(layout.state), "PYTHONPATH": os.pathsep.join(sys.path)}
        morning = threading.Event()
        verifier = threading.Thread(target=_verify_until, args=(morning, layout, environ))
        verifier.start()
        try:
            yield layout, environ
        finally:
            morning.set()
            verifier.join()
            shutil.rmtree(layout.state, ignore_errors=True)


def _verify_until(morning: threading.Event, layout: Layout, environ: dict[str, str]) -> None:
    argv = [sys.executable, "-m", "console", "verify", f"{ARTIFACTS_PATH}/{ARTIFACTS[0]}"]
    while not morning.is_set():
        ended = start(argv, deadline_s=60, cwd=layout.clone, env=environ)
        assert ended.code == 0, ended.err
