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
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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


# A safe listing of an artifact directory: it follows no link and opens no special file.
#
# Everything goes through one descriptor of the directory, so that a path swapped meanwhile changes nothing.

MAX_FILES = 256
MAX_BYTES = 3 << 30
"""The sandbox's address space never allows more."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_LFS_MAX = 1024


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """One regular file as the file system knows it; equal identities mean the same unchanged file.

    Sizes are in bytes, times in nanoseconds since 1970.
    """

    name: str
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, name: str, found: os.stat_result) -> FileIdentity:
        """The identity behind a stat result."""
        return cls(name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class Survey:
    """The regular files of a directory, by name, and one sentence per entry that does not belong in an artifact.

    ``taken_ns`` is the wall clock before the first look, in nanoseconds since 1970.
    """

    taken_ns: int
    files: tuple[FileIdentity, ...]
    faults: tuple[str, ...]

    def file(self, name: str) -> FileIdentity | None:
        """The file of that name, if it is there and regular."""
        return next((entry for entry in self.files if entry.name == name), None)


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[int]:
    """A descriptor of the directory itself, never of something that a link points to.

    Raises:
        Invalid: there is no such directory, or it is a link.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        shown = visible(str(directory))
        what = "is a symbolic link" if directory.is_symlink() else f"cannot be opened: {error.strerror}"
        raise Invalid(f"The artifact directory {shown} {what}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def survey(directory: int) -> Survey:
    """List a directory (by descriptor) and judge what each entry is, by lstat alone."""
    taken_ns = time.time_ns()
    files: list[FileIdentity] = []
    faults: list[str] = []
    with os.scandir(directory) as entries:
        for count, entry in enumerate(entries, start=1):
            if count > MAX_FILES:
                faults.append(f"it holds more than {MAX_FILES} entries")
                break
            found = entry.stat(follow_symlinks=False)
            fault = _fault(found)
            if fault:
                faults.append(f"{visible(entry.name, limit=120)} is {fault}")
            else:
                files.append(FileIdentity.of(entry.name, found))
    faults += [
        f"{visible(file.name)} is a Git LFS pointer, not the file; `git lfs pull` brings it"
        for file in files
        if _is_lfs(directory, file)
    ]
    total = sum(file.size for file in files)
    if total > MAX_BYTES:
        faults.append(f"its files hold {total:,} bytes, more than the {MAX_BYTES:,} that a model may take in memory")
    return Survey(taken_ns, tuple(sorted(files, key=lambda file: file.name)), tuple(sorted(faults)))


@contextlib.contextmanager
def opened_file(directory: int, file: FileIdentity) -> Iterator[int]:
    """A descriptor of exactly the surveyed file, checked again when the block ends.

    Raises:
        Invalid: another file lies there by now, or it changed while it was open.
    """
    try:
        descriptor = os.open(file.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        raise Invalid(f"{visible(file.name)} cannot be read: {error.strerror}.") from error
    try:
        _require_same(descriptor, file)
        yield descriptor
        _require_same(descriptor, file)
    finally:
        os.close(descriptor)


def read_small(directory: int, file: FileIdentity, limit: int) -> bytes:
    """The whole content of a small file. Raises `Invalid` when it holds more than ``limit`` bytes."""
    if file.size > limit:
        raise Invalid(f"{visible(file.name)} holds {file.size:,} bytes; at most {limit:,} are read.")
    with opened_file(directory, file) as descriptor, open(descriptor, "rb", closefd=False) as stream:
        return stream.read(limit + 1)


def _fault(found: os.stat_result) -> str:
    kind = next((word for test, word in _KINDS if test(found.st_mode)), "")
    if kind:
        return kind
    return f"one of {found.st_nlink} hard links to a file" if found.st_nlink != 1 else ""


_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _is_lfs(directory: int, file: FileIdentity) -> bool:
    if not len(_LFS_POINTER) <= file.size <= _LFS_MAX:
        return False
    with contextlib.suppress(Invalid):
        return read_small(directory, file, _LFS_MAX).startswith(_LFS_POINTER)
    return False


def _require_same(descriptor: int, file: FileIdentity) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or FileIdentity.of(file.name, found) != file:
        raise Invalid(f"{visible(file.name)} changed while it was being verified.", "Verify again when it is at rest.")
