"""The audit log: append-only JSON lines, fsynced, each chained to the one before by SHA-256 (contract §7).

A line is ``{"seq": n, "at": "…Z", "kind": "kill", …, "prev": HASH, "hash": HASH}``: ``hash`` is the SHA-256 of all that
stands before it on the line, ``prev`` the ``hash`` of the line before. A small file beside the log remembers its
last line, so that a cut tail is named as well. No key is involved: whoever may write the log may also write a whole
new one; copy it elsewhere if that matters.

The kill key writes here, so this module is made of the standard library's light parts only.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ml.clock import format_utc
from ml.errors import Unavailable
from ml.records.durable import sync_directory
from ml.text import visible

if TYPE_CHECKING:
    from pathlib import Path


# The lines of the audit log and their hash chain. Pure.

FIRST = "0" * 64
"""The value of ``prev`` on the first line."""
TORN = b" (torn)"
"""The mark after a line that a dying writer left unfinished, so that no reader takes it for a whole one."""
_MAX_LINE = 1 << 15
_SEAL = ',"hash":"'


class AuditLine(NamedTuple):
    """One whole line of the log. ``fields`` are the writer's values, such as ``by`` and ``reason``."""

    seq: int
    at: str
    kind: str
    fields: dict[str, Any]
    prev: str
    hash: str

    @property
    def sentence(self) -> str:
        """The line for a person: time, kind, author, and all other fields."""
        by, rest = self.fields.get("by", ""), self.told
        return visible(f"{self.at} {self.kind}{f' by {by}' if by else ''}{f': {rest}' if rest else ''}")

    @property
    def told(self) -> str:
        """The line's text for a person, without the writer's identity."""
        values = {name: value for name, value in self.fields.items() if name != "by"}
        return ", ".join(f"{name} {_words(value)}" for name, value in values.items() if value not in ("", None, [], {}))


class AuditFinding(NamedTuple):
    """Something about the chain: at which line of the file (from 1), and what, as a sentence."""

    line: int
    what: str


class AuditReport(NamedTuple):
    """The result of checking the chain: intact lines, faults, and oddities with an explanation."""

    lines: int
    findings: tuple[AuditFinding, ...]
    notes: tuple[AuditFinding, ...]

    @property
    def sound(self) -> bool:
        """True if nothing was cut or edited."""
        return not self.findings


def sealed(seq: int, at: str, kind: str, fields: dict[str, Any], prev: str) -> tuple[bytes, AuditLine]:
    """A new line: its bytes, newline included, and itself. Values too long for a line are cut, visibly."""
    text = _compact({"seq": seq, "at": at, "kind": kind, **fields, "prev": prev})
    if len(text) > _MAX_LINE:
        fields = {name: _cut(value) for name, value in fields.items()}
        text = _compact({"seq": seq, "at": at, "kind": kind, **fields, "prev": prev})
    body = text[:-1]
    seal = _digest(body)
    return f'{body}{_SEAL}{seal}"}}\n'.encode(), AuditLine(seq, at, kind, fields, prev, seal)


def parse(raw: bytes) -> AuditLine | None:
    """The line that some bytes hold, or ``None``. One without its newline was never finished."""
    if not raw.endswith(b"\n"):
        return None
    try:
        fields = json.loads(raw)
        seq, at, kind, prev, seal = [fields.pop(name) for name in ("seq", "at", "kind", "prev", "hash")]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    texts = all(isinstance(text, str) for text in (at, kind, prev, seal))
    return AuditLine(seq, at, kind, fields, prev, seal) if texts and isinstance(seq, int) else None


def verify(rows: Iterable[bytes], written_last: tuple[int, str] | None) -> AuditReport:
    """Walk the chain and name each place where it is cut, edited or torn.

    Args:
        rows: the file's lines, newlines included.
        written_last: number and hash of the line that was written last, where that is known.
    """
    findings: list[AuditFinding] = []
    notes: list[AuditFinding] = []
    last: AuditLine | None = None
    number = 0
    torn = b""
    for number, raw in enumerate(rows, start=1):
        line = parse(raw)
        if line is None:
            torn = raw
            findings.append(AuditFinding(number, f"Line {number} is no audit line ({len(raw)} bytes)."))
            continue
        if torn and torn.endswith(TORN + b"\n") and line.fields.get("torn") == len(torn) - len(TORN) - 1:
            findings.pop()
            notes.append(AuditFinding(number - 1, f"Line {number - 1} is torn: its writer died while writing it."))
        findings += _broken_links(number, line, raw, last)
        last, torn = line, b""
    if torn and not torn.endswith(b"\n"):
        findings[-1] = AuditFinding(number, f"Line {number}, the last, is torn: its writer died while writing it.")
    findings += _cut_end(number, last, written_last)
    return AuditReport(number, tuple(findings), tuple(notes))


def _broken_links(number: int, line: AuditLine, raw: bytes, last: AuditLine | None) -> list[AuditFinding]:
    if _digest(raw.decode("utf-8", "replace").rpartition(_SEAL)[0]) != line.hash:
        return [AuditFinding(number, f"Line {number} was edited: it does not match its own hash.")]
    expected = last.seq + 1 if last else 1
    if line.seq > expected:
        return [AuditFinding(number, f"{_lines(line.seq - expected)} cut before line {number}.")]
    if line.seq < expected or line.prev != (last.hash if last else FIRST):
        return [AuditFinding(number, f"Line {number} does not follow the line before it: one of them was replaced.")]
    return []


def _cut_end(number: int, last: AuditLine | None, written_last: tuple[int, str] | None) -> list[AuditFinding]:
    if written_last is None:
        return []
    seq, seal = written_last
    held = last.seq if last else 0
    if held < seq:
        return [AuditFinding(number, f"{_lines(seq - held)} cut after line {number}, at the end.")]
    if last and held == seq and last.hash != seal:
        return [AuditFinding(number, f"Line {number} is not the one that was written last: it was replaced.")]
    return []


def _lines(count: int) -> str:
    return "One line was" if count == 1 else f"{count} lines were"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _compact(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), default=str)


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else _compact({"": value})
    return value if len(text) <= 1000 else f"{text[:1000]}…"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_words(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


__all__ = ["AuditFinding", "AuditLine", "AuditLog", "AuditReport"]

_TAIL = 1 << 16
_LOCK_S = 1.0
_NOT_A_FILE = (
    *(errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENOTDIR),
    *(errno.ENXIO, errno.ESPIPE, errno.EINVAL),
)
"""The system's errors for a link, a folder, a FIFO or a device at the log's path, or for a file at its folder's."""
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT


class AuditLog:
    """One log file, shared by every console on this machine; writers take turns under ``flock``."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = os.fspath(path)
        self._last = f"{self._path}.last"
        self._now = now

    def append(self, kind: str, **fields: Any) -> AuditLine:
        """Write one line and wait until the disk has it. On failure the log is unchanged.

        Raises:
            Unavailable: it could not be written, or another process held the log for a second.
        """
        try:
            os.makedirs(os.path.dirname(self._path) or ".", mode=0o700, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_APPEND | _OPEN, 0o600)
            try:
                _lock(handle)
                return self._append(handle, kind, fields)
            finally:
                os.close(handle)
        except OSError as error:
            raise Unavailable(
                f"The audit line could not be written: {error.strerror or error}.", _remedy(error, self._path)
            ) from error

    def append_change(self, told: Mapping[str, str], branch: str, commit: str, *, pushed: bool) -> AuditLine:
        """Write the line of a change that was committed: ``told`` names action, person, model, artifact and stage."""
        return self.append(
            told["action"],
            by=told["by"],
            model=told["model"],
            artifact_id=told["artifact_id"],
            to_stage=told["to_stage"],
            branch=branch,
            commit=commit,
            pushed=pushed,
        )

    def read(self) -> tuple[AuditLine, ...]:
        """Every whole line, oldest first; empty while there is no log. Lines that are none are `verify`'s matter.

        Raises:
            Unavailable: the file is there but cannot be read.
        """
        return tuple(line for raw in self._rows() if (line := parse(raw)))

    def sentences(self, limit: int = 200) -> tuple[str, ...]:
        """The newest lines, newest first, each as one readable sentence. Raises as `read`."""
        return tuple(line.sentence for line in reversed(self.read()[-limit:]))

    def verify(self) -> AuditReport:
        """Walk the chain and name each place where it is cut, edited or torn.

        Raises:
            Unavailable: the file is there but cannot be read.
        """
        return verify(self._rows(), self._written_last())

    def _append(self, handle: int, kind: str, fields: dict[str, Any]) -> AuditLine:
        size = os.fstat(handle).st_size
        last, torn = _tail(handle, size)
        if torn:
            fields = fields | {"torn": torn}
        at = format_utc(datetime.fromtimestamp(self._now(), UTC))
        seq, prev = (last.seq + 1, last.hash) if last else (1, FIRST)
        data, line = sealed(seq, at, kind, fields, prev)
        try:
            _write_all(handle, (TORN + b"\n" if torn else b"") + data)
            os.fsync(handle)
            if not size:
                sync_directory(os.path.dirname(self._path))
        except OSError:
            os.ftruncate(handle, size)
            raise
        self._remember(line)
        return line

    def _remember(self, line: AuditLine) -> None:
        """Note the last line beside the log. The log is what counts, so that a failure here is none."""
        try:
            handle = os.open(self._last, os.O_WRONLY | _OPEN, 0o600)
            try:
                os.pwrite(handle, f"{line.seq:020d} {line.hash}\n".encode(), 0)
            finally:
                os.close(handle)
        except OSError:
            return

    def _written_last(self) -> tuple[int, str] | None:
        try:
            with open(self._last, encoding="ascii") as file:
                seq, _, seal = file.read(120).strip().partition(" ")
            return int(seq), seal
        except (OSError, ValueError):
            return None

    def _rows(self) -> Iterator[bytes]:
        try:
            # Not blocking: a FIFO at this path must not hang the reader.
            handle = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise OSError(errno.EINVAL, "it is no regular file")
                yield from file
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(
                f"The audit log {visible(self._path)} cannot be read: {error.strerror}.", _remedy(error, self._path)
            ) from error


def _remedy(error: OSError, path: str) -> str:
    """Say how a person fixes this failure."""
    shown = visible(path)
    if isinstance(error, BlockingIOError):
        return "Another console holds it for long: look for one that is stopped, and try again."
    if error.errno in _NOT_A_FILE:
        return f"Move away what stands in the place of {shown}, a regular file in a folder, and keep it as evidence."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Correct the permissions of {shown} and of its folder."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"Make room on the disk of {shown}."
    if error.errno == errno.EROFS:
        return f"Make the disk of {shown} writable, or set XDG_STATE_HOME to a folder on another one."
    return f"Look at the disk of {shown}: copy the file away before you repair it."


def _lock(handle: int) -> None:
    """Take the log for this process, waiting briefly: a kill never hangs on a stopped neighbor."""
    ends = time.monotonic() + _LOCK_S
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.002)


def _tail(handle: int, size: int) -> tuple[AuditLine | None, int]:
    """The last whole line, and the length of an unfinished one after it."""
    begin = max(0, size - _TAIL)
    rows = os.pread(handle, size - begin, begin).split(b"\n")
    torn = len(rows.pop())
    last = next((line for row in reversed(rows) if (line := parse(row + b"\n"))), None)
    return last, torn


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
