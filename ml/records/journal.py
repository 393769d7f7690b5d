"""The journal of writes: each intention is fsynced before the action, for the next start (contract §5).

One file per change, one JSON line per step. The file is locked while its process lives and removed when the change
is settled; what is left unlocked belongs to a process that died, and `ml.promotion.publish` finds out its result.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ml.errors import ConsoleError, Unavailable
from ml.records.durable import sync_directory

_NEWBORN_S = 60.0


@dataclass(frozen=True, slots=True)
class Left:
    """An entry of a dead process: its operation and all its notes, later ones over earlier ones."""

    path: Path
    kind: str
    step: str
    facts: Mapping[str, str]


class Entry:
    """One change under way. A typed error that leaves its ``with`` block settles it, because the caller reports it.

    Without such an error and without `done`, it is kept for the next start.
    """

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        self._path = path
        # Under another name until it is locked and has content, so that no process takes a new entry for a dead one.
        unborn = path.with_suffix(".new")
        self._file = os.open(unborn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.step("begin", **facts)
        os.replace(unborn, path)
        sync_directory(str(path.parent))

    def __enter__(self) -> Entry:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, ConsoleError):
            self.done()
        os.close(self._file)

    def step(self, name: str, **facts: str) -> None:
        """Record an intention durably. Raises Unavailable when that fails; then do not act."""
        line = json.dumps({"step": name, **facts}).encode() + b"\n"
        try:
            os.write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def done(self) -> None:
        """Settle the entry: nothing of it is open any more."""
        self._path.unlink(missing_ok=True)


class Journal:
    """The journal in one folder, which may be shared by several processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, kind: str, **facts: str) -> Entry:
        """Open an entry. Raises Unavailable when the folder cannot be written: then do nothing."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return Entry(self._folder / f"{time.time_ns():020}-{kind}-{secrets.token_hex(8)}.jsonl", facts)
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def left(self) -> Iterator[Left]:
        """The entries of dead processes, oldest first; each stays locked to us until the next is asked for."""
        for path in self._folder.glob("*.new"):
            with _claimed(path) as content:
                if content is not None and _aged(path):
                    path.unlink(missing_ok=True)
        for path in sorted(self._folder.glob("*.jsonl")):
            with _claimed(path) as content:
                if content:
                    yield _left(path, content)

    def settle(self, left: Left) -> None:
        """Remove an entry of a dead process, because its result is known."""
        left.path.unlink(missing_ok=True)


def _aged(path: Path) -> bool:
    """True if an entry without a beginning is too old to be a new one: its process died before it did anything."""
    return time.time() - path.stat().st_mtime > _NEWBORN_S


@contextmanager
def _claimed(path: Path) -> Iterator[bytes | None]:
    """The content of an entry that no living process holds, else ``None``."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file.read()


def _left(path: Path, content: bytes) -> Left:
    """Read an entry; a torn last line was being noted when the process died, so its step had not begun."""
    step = ""
    facts: dict[str, str] = {}
    for line in content.split(b"\n")[:-1]:
        noted = {key: str(value) for key, value in json.loads(line).items()}
        step = noted.pop("step", "")
        facts |= noted
    return Left(path, path.name.split("-")[1], step, facts)


def _unwritable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The journal {path} cannot be written: {error.strerror or error}, so nothing was done.",
        "Free space or correct its permissions, then repeat.",
    )
