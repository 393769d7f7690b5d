"""Small files that operators and drills write while the engine runs: kill switch and injected faults.

Each is looked at per snapshot. Writers replace files by rename, so that a look sees a whole old or new file.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

KILL_VARIABLE = "ML_KILL_SWITCH"

Identity = tuple[int, int, int] | None


def identity(path: Path | None) -> Identity:
    """Return values that change when a file is replaced or rewritten; ``None`` while there is no such file."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class KillInput:
    """The kill switch as an engine reads it, from the environment or from the env file.

    With ``at_start`` the environment is read once, when the process starts, and nothing afterwards: that is how most
    deployed engines behave, and why a kill also needs an actuator that restarts them.
    """

    def __init__(self, file: Path | None, *, at_start: bool) -> None:
        self._file = file
        self._frozen = _environment_says() if at_start else None

    def engaged(self) -> bool:
        """The switch now. A file that is there but cannot be read counts as engaged: it fails safe."""
        if self._frozen is not None:
            return self._frozen
        return _environment_says() or (self._file is not None and _file_says(self._file))


def _environment_says() -> bool:
    return os.environ.get(KILL_VARIABLE) == "1"


def _file_says(path: Path) -> bool:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    assigned = f"{KILL_VARIABLE}=".encode()
    values = [line.removeprefix(assigned) for line in lines if line.startswith(assigned)]
    return values[-1:] == [b"1"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of a drill: milliseconds added to each inference, and the share of inferences that fail."""

    latency_ms: float = 0.0
    error_rate: float = 0.0


class FaultInput:
    """The drill's fault file, parsed again only when it was replaced. A broken file injects nothing."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen: Identity = None
        self._fault = Fault()

    def now(self) -> Fault:
        """The fault in force for this snapshot."""
        current = identity(self._file)
        if current != self._seen:
            self._seen = current
            self._fault = _fault(self._file) if self._file and current else Fault()
        return self._fault


def _fault(path: Path) -> Fault:
    try:
        document = json.loads(path.read_bytes())
        return Fault(max(0.0, float(document.get("latency_ms", 0))), float(document.get("error_rate", 0)))
    except (OSError, ValueError, TypeError, AttributeError):
        return Fault()
