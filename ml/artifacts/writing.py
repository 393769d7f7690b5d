"""Writer of an artifact directory: all of it or nothing, and never over another one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from ml.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, encode
from ml.clock import format_utc
from ml.contract import FEATURES
from ml.errors import Unavailable, Usage
from ml.text import visible


def manifest_document(
    digests: Mapping[str, str], *, created_at: datetime, git_sha: str | None, dataset_id: str, notes: str
) -> bytes:
    """A manifest ``v1.1`` that lists every file in ``digests`` (name to SHA-256)."""
    moment = format_utc(created_at)
    return encode(
        {
            "schema_version": "v1.1",
            "model_file": MODEL_FILE,
            "sha256": dict(sorted(digests.items())),
            "created_at": moment,
            "created_at_utc": moment,
            "git_sha": git_sha,
            "dataset_id": dataset_id,
            "feature_order": list(FEATURES),
            "notes": notes,
        }
    )


def golden_document(inputs: list[list[float]], outputs: list[list[float]]) -> bytes:
    """Golden vectors, one pair of rows to a line, so that a difference can be read in a diff."""
    rows = [f"    {row}" for row in inputs], [f"    {row}" for row in outputs]
    first, second = (",\n".join(part) for part in rows)
    return f'{{\n  "schema_version": "v1",\n  "inputs": [\n{first}\n  ],\n  "outputs": [\n{second}\n  ]\n}}\n'.encode()


def sha256(data: bytes) -> str:
    """SHA-256 of bytes in memory, in hex."""
    return hashlib.sha256(data).hexdigest()


def require_free(directory: Path) -> None:
    """Refuse a directory that holds anything already. Raises `ml.errors.Usage`."""
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise _taken(directory)


@contextlib.contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """A private directory beside the wanted one, renamed into place when the block ends well, else removed.

    Raises:
        Usage: the wanted directory is taken, also when that happens while the block runs.
        Unavailable: the file system refuses.
    """
    require_free(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise _unwritable(directory, error) from error
    try:
        yield workshop
        _sync(workshop)
        workshop.chmod(0o755)
        workshop.rename(directory)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise _taken(directory) from error
        raise _unwritable(directory, error) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def write_documents(workshop: Path, files: Mapping[str, bytes], manifest: bytes) -> None:
    """Write an artifact's small files and its manifest into a directory from `new_directory`."""
    for name, data in {**files, MANIFEST_FILE: manifest}.items():
        (workshop / name).write_bytes(data)


def _sync(workshop: Path) -> None:
    """Bring the files to the disk before the rename makes them visible under their name."""
    for path in (*workshop.iterdir(), workshop):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _taken(directory: Path) -> Usage:
    return Usage(f"{visible(str(directory))} exists already.", "Nothing was overwritten; choose another directory.")


def _unwritable(directory: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{visible(str(directory))} cannot be written: {error.strerror}.", "Correct that or choose another directory."
    )
