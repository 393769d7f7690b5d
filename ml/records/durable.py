"""Durable files: always wholly old or wholly new, even after a power cut.

A reader that opens the path at any moment gets one whole version: the new bytes go to an exclusive temporary file
beside the target, are fsynced, and are renamed over it; then the directory is fsynced. Only ``os`` is imported:
the kill key writes through here.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MARK = ".part"


class NotAFile(OSError):
    """The target is a symbolic link, a directory, a FIFO or the like, which must not be replaced."""


class NotLasting(OSError):
    """The new content is in place, but the directory could not be fsynced: a power cut may bring the old one back."""


def replace_file(
    path: Path | str,
    data: bytes,
    *,
    mode: int = 0o600,
    folder_mode: int | None = None,
    lasting: bool = True,
    prepare: Callable[[int], None] | None = None,
) -> None:
    """Replace a file's content, or create it with its directory.

    Args:
        mode: permissions of the new file, whatever the umask says.
        folder_mode: permissions of each folder that has to be made, whatever the umask says; ``None`` leaves them to
            the umask. A folder that is there already keeps its own.
        lasting: fsync file and directory; without it, readers see the new content but a power cut may undo it.
        prepare: called with the new file's handle when its content is written, last before the rename. What it raises
            ends the replacement.

    Raises:
        NotLasting: the new content stands, but may not outlive a power cut.
        OSError: the old content stands and no temporary file is left.
    """
    target = os.fspath(path)
    directory, name = os.path.split(target)
    if folder_mode is None:
        os.makedirs(directory or ".", exist_ok=True)
    else:
        _make_folders(directory, folder_mode)
    require_file(target)
    part = os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(4).hex()}{_MARK}")
    try:
        _write_new(part, data, mode, lasting=lasting, prepare=prepare)
        os.rename(part, target)
    except BaseException:
        _unlink(part)
        raise
    if lasting:
        try:
            sync_directory(directory)
        except OSError as error:
            raise NotLasting(error.errno, error.strerror) from error


def _make_folders(directory: str, mode: int) -> None:
    """Make the folders that are missing, outermost first, each with exactly these permissions."""
    missing = []
    while directory and not os.path.isdir(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, mode)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise
        else:
            os.chmod(folder, mode)


def require_file(target: str) -> None:
    """Make sure that the target is a regular file or absent.

    Raises:
        NotAFile: something else does.
    """
    try:
        found = os.lstat(target).st_mode
    except FileNotFoundError:
        return
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO"}
    if not stat.S_ISREG(found):
        raise NotAFile(errno.EINVAL, f"it is {kinds.get(stat.S_IFMT(found), 'a device or socket')}, no regular file")


def sync_directory(directory: Path | str) -> None:
    """Make a rename or a creation in a directory outlive a power cut."""
    handle = os.open(os.fspath(directory) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(path: Path | str) -> int:
    """Remove temporary files that killed writers of this path left behind; how many there were."""
    directory, name = os.path.split(os.fspath(path))
    try:
        entries = os.listdir(directory or ".")
    except FileNotFoundError:
        return 0
    left = [entry for entry in entries if entry.startswith(f".{name}.") and entry.endswith(_MARK)]
    dead = [entry for entry in left if not _alive(entry.removeprefix(f".{name}.").partition(".")[0])]
    for entry in dead:
        _unlink(os.path.join(directory, entry))
    return len(dead)


def _write_new(part: str, data: bytes, mode: int, *, lasting: bool, prepare: Callable[[int], None] | None) -> None:
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(handle, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        if lasting:
            os.fsync(handle)
        if prepare is not None:
            prepare(handle)
    finally:
        os.close(handle)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
