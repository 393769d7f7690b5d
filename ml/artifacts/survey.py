"""A safe listing of an artifact directory: it follows no link and opens no special file.

Everything goes through one descriptor of the directory, so that a path swapped meanwhile changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml.errors import Invalid
from ml.text import visible

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
