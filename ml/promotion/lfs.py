"""Git LFS: pointers in the place of large files, and the stores that hold the files themselves.

A pointer names its file by SHA-256, the digest that a manifest and the registry name too. So a resolved file is
verified exactly as a committed one. Stores are laid out as ``objects/aa/bb/<oid>``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from ml.errors import Unavailable
from ml.text import visible

MAX_POINTER = 1024
"""A pointer is smaller than this, in bytes."""

_FORM = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]*)\n")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class LfsPointer:
    """A pointer: the SHA-256 of the file in hex, and its size in bytes."""

    oid: str
    size: int

    @property
    def content(self) -> bytes:
        """The pointer as git-lfs writes it."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.oid}\nsize {self.size}\n".encode()

    @property
    def place(self) -> PurePosixPath:
        """The path of the file in a store."""
        return PurePosixPath("objects", self.oid[:2], self.oid[2:4], self.oid)


def pointer_to(content: bytes) -> LfsPointer:
    """The pointer to some content."""
    return LfsPointer(hashlib.sha256(content).hexdigest(), len(content))


def read_pointer(content: bytes) -> LfsPointer | None:
    """Read a pointer, or return ``None``. One with an extension is none: its file is not what was committed."""
    found = _FORM.fullmatch(content) if len(content) < MAX_POINTER else None
    return LfsPointer(found[1].decode(), int(found[2])) if found else None


class LargeFiles(Protocol):
    """Git LFS in one repository (implemented by `ml.adapters.git_lfs`)."""

    def store(self) -> Path:
        """The folder of this repository's own store. It may not exist."""
        ...

    def keep(self, content: bytes) -> None:
        """Put a file into this repository's own store. Raises Unavailable when it cannot be written."""
        ...

    def require_program(self) -> None:
        """Raise Refused where git-lfs is not installed."""
        ...

    def served(self, remote: str, commit: str, paths: Sequence[str]) -> AbstractContextManager[Path]:
        """A store that holds what the server has of some paths of a commit.

        Without a ``remote`` this repository is the server, and the store is its own. A remote on this machine has its
        store beside its objects. From any other the files are fetched into a private folder, gone when the block ends.

        Raises:
            Unavailable: git-lfs is not installed, or the server does not answer.
        """
        ...


def pointers(directory: Path) -> Iterator[tuple[Path, LfsPointer]]:
    """Every pointer among the regular files of an exported directory, at any depth. Links are not followed."""
    for folder, _, names in os.walk(directory):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file() or path.stat().st_size >= MAX_POINTER:
                continue
            found = read_pointer(path.read_bytes())
            if found:
                yield path, found


def resolve(directory: Path, store: Path, only: Collection[str] | None = None) -> tuple[str, ...]:
    """Put the files of a store in the place of their pointers; the names of those that the store does not hold.

    A file with other bytes than the pointer says is treated as missing. ``only`` are the paths below the directory to
    look at; ``None``: all.

    Raises:
        Unavailable: the disk is full or cannot be written.
    """
    missing = []
    for path, pointer in pointers(directory):
        if only is not None and path.relative_to(directory).as_posix() not in only:
            continue
        source = store / pointer.place
        whole = source.is_file() and not source.is_symlink() and source.stat().st_size == pointer.size
        if not (whole and _copied(source, path, pointer.oid)):
            missing.append(path.name)
    return tuple(missing)


Attributes = Callable[[str, Sequence[str]], Mapping[str, Mapping[str, str]]]
"""The git attributes of some paths of a commit."""


def restore(directory: Path, commit: str, files: LargeFiles, attributes: Attributes) -> None:
    """Resolve the pointers of an exported commit by the repository's own store, as a checkout would.

    A pointer without ``filter=lfs`` stays one, because a checkout leaves it. Without pointers, nothing is asked.
    """
    found = [path.relative_to(directory).as_posix() for path, _ in pointers(directory)]
    if found:
        given = attributes(commit, found)
        resolve(directory, files.store(), [path for path in found if given.get(path, {}).get("filter") == "lfs"])


def _copied(source: Path, target: Path, oid: str) -> bool:
    """Copy a file over a pointer, if it has the digest; the mode of the pointer stays."""
    beside = target.with_name(f"{target.name}.mlconsole-part")
    digest = hashlib.sha256()
    try:
        with source.open("rb") as reading, beside.open("xb") as writing:
            while chunk := reading.read(_CHUNK):
                digest.update(chunk)
                writing.write(chunk)
        good = digest.hexdigest() == oid
        if good:
            shutil.copymode(target, beside)
            beside.replace(target)
    except OSError as error:
        why = f"{visible(target.name)} cannot be copied from the LFS store: {error.strerror}."
        raise Unavailable(why, "Make room, or correct the permissions.") from error
    finally:
        beside.unlink(missing_ok=True)
    return good
