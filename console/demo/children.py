"""Long-running processes of the demo. Each starts in its own session and is ended by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from console.demo import leash
from ml.errors import TimedOut, Unavailable
from ml.text import visible

_PATIENCE_S = 5.0
_POLL_S = 0.02
_TAIL = 2_000


class Children:
    """All processes of one demo. On Linux they also die with the thread that started them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> int:
        """Start a program, with its output in ``NAME.log``. Returns its process id, which is also its session id."""
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                held(argv, signal.SIGKILL),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env=dict(env),
                start_new_session=True,
            )
        self._running[name] = child
        return child.pid

    def log(self, name: str) -> Path:
        """Return the path of a program's log."""
        return self._logs / f"{name}.log"

    def pids(self) -> tuple[int, ...]:
        """Return the process ids of all programs that were not stopped."""
        return tuple(child.pid for child in self._running.values())

    def wait_until(self, name: str, ready: Callable[[], bool], deadline_s: float) -> None:
        """Wait until a program is ready.

        Raises:
            Unavailable: it ended. TimedOut: it is not ready by the deadline. Both quote the end of its log.
        """
        deadline = time.monotonic() + deadline_s
        while not ready():
            if _exited(self._running[name]):
                raise Unavailable(f"{name} ended at once: {self._tail(name)}", f"Read {self.log(name)}.")
            if time.monotonic() > deadline:
                raise TimedOut(f"{name} was not ready after {deadline_s:.0f} s: {self._tail(name)}", "Try again.")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Stop all programs and their children: SIGTERM first, then SIGKILL. Returns when none is left."""
        for child in self._running.values():
            _signal_session(child, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline and not all(map(_exited, self._running.values())):
            time.sleep(_POLL_S)
        for child in self._running.values():
            _signal_session(child, signal.SIGKILL)
            child.wait()
        self._running.clear()

    def _tail(self, name: str) -> str:
        text = self.log(name).read_bytes()[-_TAIL:].decode("utf-8", "replace").strip()
        return visible(text.rpartition("\n")[2]) or "it said nothing"


def held(argv: Sequence[str | Path], number: signal.Signals) -> list[str]:
    """Return the argv of a program that gets a signal when this process dies (see `console.demo.leash`)."""
    return [
        sys.executable,
        "-I",
        "-S",
        leash.__file__,
        str(number.value),
        str(os.getpid()),
        *(str(part) for part in argv),
    ]


def _exited(child: subprocess.Popen[bytes]) -> bool:
    """Return True when a child has ended. It is not reaped, so no other process can get its session id."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_session(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
