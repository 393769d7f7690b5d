"""SHA-256 of an artifact's files: streamed, in parallel over files, optionally copying what is hashed.

hashlib lets other threads run while it works, so that two cores take half the time of one. Memory stays
at one buffer per thread whatever the size.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ml.artifacts.survey import FileIdentity, Survey, opened_file
from ml.errors import Invalid, Unavailable
from ml.ports import Progress, Report
from ml.text import visible

_BUFFER = 1 << 20
"""On a quiet machine anything from 128 KiB to 4 MiB is as fast. Beside an interface that draws, each block waits twice
for the interpreter's lock: 256 KiB take a tenth longer than this, and more would leave a core's own cache.
"""
_ZEROS = bytes(_BUFFER)
_REPORT_EVERY_S = 0.1
_MIB = 1 << 20
_MAX_THREADS = 8


class FileDigest(NamedTuple):
    """A file's content by its SHA-256 in hex; ``size`` in bytes."""

    name: str
    sha256: str
    size: int


def digest_files(
    directory: int,
    files: Sequence[FileIdentity],
    *,
    step: str = "digests",
    report: Report | None = None,
    copy_to: Path | None = None,
) -> tuple[FileDigest, ...]:
    """Hash files of a directory (by descriptor), in the order given.

    Args:
        directory: descriptor of the directory.
        files: which files, as surveyed.
        step: the name under which progress is reported, in bytes, with the speed as its note.
        report: takes the progress, from any thread, about ten times a second.
        copy_to: an empty private directory that gets exactly the bytes that were hashed.

    Raises:
        Invalid: a file is not the one surveyed any more, or changed meanwhile.
        OSError: the copy cannot be written.
    """
    meter = _Meter(step, sum(file.size for file in files), report)

    def one(file: FileIdentity) -> FileDigest:
        with opened_file(directory, file) as source:
            return _stream(source, file, meter, None if copy_to is None else copy_to / file.name)

    # The largest first, so that no thread is left alone with it at the end.
    ordered = sorted(files, key=lambda file: -file.size)
    with ThreadPoolExecutor(max_workers=_threads(), thread_name_prefix="digest") as pool:
        found = {digest.name: digest for digest in pool.map(one, ordered)}
    meter.finish()
    return tuple(found[file.name] for file in files)


def _stream(source: int, file: FileIdentity, meter: _Meter, copy: Path | None) -> FileDigest:
    digest, buffer = hashlib.sha256(), bytearray(_BUFFER)
    view, done = memoryview(buffer), 0
    target = None if copy is None else os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
    try:
        while count := os.readv(source, [view]):
            digest.update(view[:count])
            if target is not None:
                _write(target, view[:count])
            done += count
            meter.add(count)
            if done > file.size:
                break
        if target is not None:
            os.ftruncate(target, done)
    finally:
        if target is not None:
            os.close(target)
    if done != file.size:
        raise Invalid(f"{visible(file.name)} changed while it was being verified.", "Verify again when it is at rest.")
    return FileDigest(file.name, digest.hexdigest(), done)


def _write(target: int, data: memoryview) -> None:
    """Write, but leave a hole where there are only zeros: a sparse file stays one, and costs no disk."""
    if data[0] == 0 and data.tobytes() == _ZEROS[: len(data)]:
        os.lseek(target, len(data), os.SEEK_CUR)
        return
    while data:
        data = data[os.write(target, data) :]


def _threads() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, _MAX_THREADS)


class _Meter:
    """Counts bytes from several threads, and reports seldom enough to cost nothing."""

    def __init__(self, step: str, total: int, report: Report | None) -> None:
        self._step, self._total, self._report = step, total, report
        self._done = 0
        self._started = self._reported = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Some more bytes were hashed."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._reported >= _REPORT_EVERY_S:
                self._reported = now
                self._send(now)

    def finish(self) -> None:
        """All of it was hashed."""
        self._send(time.monotonic())

    def _send(self, now: float) -> None:
        if self._report is not None:
            speed = self._done / _MIB / max(now - self._started, 1e-9)
            self._report(Progress(self._step, self._done, self._total, f"{speed:,.0f} MiB/s"))


# Private copies of an artifact's files, so that exactly the hashed bytes are loaded.
#
# A file in a folder that others can write to may change between its digest and its load, or its path may then
# lead to another file. So the bytes are hashed again while they are copied into a directory of our own, and
# onnxruntime gets only that copy.

_PREFIX = "mlconsole-artifact-"
_LEFT_BEHIND_S = 60
_ON_DISK = "/var/tmp"  # noqa: S108 - only ever through mkdtemp


@contextlib.contextmanager
def snapshot(
    directory: int, surveyed: Survey, digests: Sequence[FileDigest], *, scratch: Path, report: Report | None = None
) -> Iterator[Path]:
    """A private directory with copies of the files in ``digests``, gone when the block ends.

    Args:
        directory: descriptor of the artifact's directory.
        surveyed: what was found in it.
        digests: the files to copy, and the content that each must have.
        scratch: where the private directory is made; needs room for the files.
        report: takes the progress, in bytes.

    Raises:
        Invalid: a file's content is not what its digest says any more.
        Unavailable: the copy cannot be written.
    """
    _sweep(scratch)
    files = [file for wanted in digests if (file := surveyed.file(wanted.name))]
    try:
        private = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))
        claim = _claim(private)
    except OSError as error:
        raise _no_room(scratch, error) from error
    try:
        copied = _copy(directory, files, private, report)
        for wanted, got in zip(digests, copied, strict=True):
            if got != wanted:
                raise Invalid(f"{visible(wanted.name)} changed while it was being verified.", "Verify again.")
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)
        os.close(claim)


def default_scratch() -> Path:
    """Return the folder for large temporary files: ``TMPDIR``, else ``/var/tmp``. ``/tmp`` is often in memory."""
    named = os.environ.get("TMPDIR")
    if not named and os.access(_ON_DISK, os.W_OK | os.X_OK):
        return Path(_ON_DISK)
    return Path(tempfile.gettempdir())


def _copy(directory: int, files: Sequence[FileIdentity], private: Path, report: Report | None) -> list[FileDigest]:
    try:
        copied = digest_files(directory, files, step="copy", report=report, copy_to=private)
    except OSError as error:
        raise _no_room(private, error) from error
    return list(copied)


def _claim(private: Path) -> int:
    """Lock a private directory for as long as the descriptor is open; raises OSError when another has it."""
    descriptor = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(scratch: Path) -> None:
    """Remove the leftovers of killed processes: old, our own, and locked by no process."""
    for left in scratch.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = left.lstat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > _LEFT_BEHIND_S:
                os.close(_claim(left))
                shutil.rmtree(left, ignore_errors=True)


def _no_room(where: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The artifact cannot be copied to {visible(str(where))}: {error.strerror}.",
        "Make room there, or set TMPDIR to a directory that has it.",
    )
