"""Measure the time from the kill key to a durable kill file, on a disturbed machine, against one fsynced rename.

In every scene Prometheus takes connections and never answers, git is locked, and a verification runs all the time;
each scene but the first adds one fault more. The consoles are pressed in turns with the rename, so that what disturbs
one disturbs all. Both sides end when the fsynced file stands under its name. The directory's fsync follows in both; it
cannot be seen from outside.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.interface import Session
from benchmarks.measure import Result, seconds
from console.demo.layout import Layout
from console.demo.repository import make_repositories
from console.demo.scene import ARTIFACTS
from ml.adapters.processes import run as start
from ml.records.audit import AuditLog
from ml.registry.schema import ARTIFACTS_PATH, REGISTRY_PATH

_PRESSES = 200
_ALLOWED_MS = 20.0
_F9 = "\x1b[20~"
_APART_S = 0.75
"""Presses that follow each other faster are one key, held (`console.f9.HELD_S`)."""
_PATIENCE_S = 10.0
_THAWED_S = 0.15
"""The quiet time that shows that a continued console has its terminal back. Earlier keys are lost."""
_LOCKS = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock")
_SICK = "benchmarks.sick_console"


class _Night:
    """One console on a clone of its own, and what its key did."""

    def __init__(self, name: str, folder: Path, metrics: str, *module: str, broken_registry: bool = False) -> None:
        self.name = name
        self.layout = Layout(folder)
        self.layout.make()
        make_repositories(self.layout, datetime.now(UTC), metrics)
        if broken_registry:
            _break_registry(self.layout)
        for lock in _LOCKS:
            (self.layout.clone / ".git" / lock).touch()
        self.environ = os.environ | {
            "XDG_STATE_HOME": str(self.layout.state),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self._frozen = "freeze" in module
        self._recordable = 0 if "full" in module else sys.maxsize
        self._session = Session(*module, "--repo", str(self.layout.clone), cwd=self.layout.clone, env=self.environ)
        self._stopped(self._frozen)
        self._killed_at = 0.0
        self.took: list[float] = []

    def press(self) -> None:
        """Take the kill file of the last press away, press, and wait until it is there again."""
        # From the last kill, not from the last press: that one may have been taken late.
        self._session.rest(max(0.01, self._killed_at + _APART_S - time.perf_counter()))
        self._stopped(False)
        self.layout.kill_file.unlink(missing_ok=True)
        pressed_at = time.perf_counter()
        self._session.type(_F9)
        self._killed_at = _until(self.layout.kill_file.exists, self.name)
        self.took.append(self._killed_at - pressed_at)
        assert "ML_KILL_SWITCH=1" in self.layout.kill_file.read_text()
        # A loop that spins would take a core from the others while they are measured.
        self._stopped(self._frozen)

    def recorded(self) -> int:
        """Kills that the audit log knows of."""
        logs = self.layout.state.glob("mlconsole/*/audit.jsonl")
        return sum(line.kind == "kill" for path in logs for line in AuditLog(path).read())

    def close(self) -> None:
        """End the console once it has written its records. A frozen event loop ignores SIGTERM."""
        self._stopped(False)
        _until(lambda: self.recorded() >= min(len(self.took), self._recordable), self.name)
        if self._frozen:
            os.kill(self._session.pid, signal.SIGKILL)
        self._session.close()

    def _stopped(self, stopped: bool) -> None:
        if self._frozen:
            os.killpg(self._session.pid, signal.SIGSTOP if stopped else signal.SIGCONT)
            if not stopped:
                self._session.read_until_quiet(_PATIENCE_S, _THAWED_S)


def run(presses: int = _PRESSES) -> tuple[Result, ...]:
    """Press and rename in turns."""
    floors: list[float] = []
    with _nights() as (folder, nights):
        for _ in range(presses):
            floors.append(_rename(folder / "floor"))
            for night in nights:
                night.press()
        for night in nights:
            night.close()
        floor = _p99_ms(floors)
        return tuple(_result(night, floor, presses) for night in nights)


def _result(night: _Night, floor: float, presses: int) -> Result:
    what = f"key press → durable kill file, {night.name}; 99th of 100 in {presses}"
    against = f"one fsynced rename ({floor:.1f} ms) + {_ALLOWED_MS:g} ms"
    return Result(what, against, _p99_ms(night.took), floor + _ALLOWED_MS, 1.0)


def _p99_ms(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98] * 1000


@contextmanager
def _nights() -> Iterator[tuple[Path, tuple[_Night, ...]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        metrics = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        console = "console"
        nights = (
            _Night("a bad night", folder / "bad", metrics, console),
            _Night("the registry broken too", folder / "broken", metrics, console, broken_registry=True),
            _Night("a full disk for all but the kill file", folder / "full", metrics, _SICK, "full"),
            _Night("the event loop frozen", folder / "frozen", metrics, _SICK, "freeze"),
        )
        morning = threading.Event()
        verifier = threading.Thread(target=_verify_until, args=(morning, nights[0]))
        verifier.start()
        try:
            yield folder, nights
        finally:
            morning.set()
            verifier.join()
            for night in nights:
                shutil.rmtree(night.layout.state, ignore_errors=True)


def _break_registry(layout: Layout) -> None:
    (layout.clone / REGISTRY_PATH).write_text('{"schema_version": "v1", "models": {"a": {"active": 1, "active": 2')
    for words in (("commit", "-qam", "Broken"), ("update-ref", "refs/remotes/origin/main", "HEAD")):
        ended = start(["git", *words], deadline_s=30, cwd=layout.clone)
        assert ended.code == 0, ended.err


def _verify_until(morning: threading.Event, night: _Night) -> None:
    argv = [sys.executable, "-m", "console", "verify", f"{ARTIFACTS_PATH}/{ARTIFACTS[0]}"]
    while not morning.is_set():
        ended = start(argv, deadline_s=60, cwd=night.layout.clone, env=night.environ)
        assert ended.code == 0, ended.err


def _until(holds: Callable[[], bool], scene: str) -> float:
    """Wait for a condition and return the time at which it first held."""
    ends = time.perf_counter() + _PATIENCE_S
    while not holds():
        assert time.perf_counter() < ends, f"{scene}: the kill key did not kill"
        time.sleep(0.0002)
    return time.perf_counter()


def _rename(target: Path) -> float:
    def replace() -> None:
        part = target.with_suffix(".part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(handle, b"ML_KILL_SWITCH=1\n")
        os.fsync(handle)
        os.close(handle)
        os.rename(part, target)

    return seconds(replace)
