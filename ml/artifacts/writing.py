"""Writer of an artifact directory: all of it or nothing, and never over another one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ml.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, encode
from ml.clock import format_utc
from ml.contract import FAMILIES, REGIME, Contract
from ml.errors import Unavailable, Usage
from ml.text import visible


def manifest_document(
    digests: Mapping[str, str],
    *,
    created_at: datetime,
    git_sha: str | None,
    dataset_id: str,
    notes: str,
    contract: Contract = REGIME,
) -> bytes:
    """A manifest ``v1.1`` that lists every file in ``digests`` (name to SHA-256).

    It states the features that the contract names, and no others. It states the contract itself where that is not one
    of the runbook's, so that an engine without the policy can follow it.
    """
    moment = format_utc(created_at)
    document: dict[str, object] = {
        "schema_version": "v1.1",
        "model_file": MODEL_FILE,
        "sha256": dict(sorted(digests.items())),
        "created_at": moment,
        "created_at_utc": moment,
        "git_sha": git_sha,
        "dataset_id": dataset_id,
    }
    if contract.features:
        document["feature_order"] = list(contract.features)
    document["notes"] = notes
    if contract not in FAMILIES.values():
        document["contract"] = replace(contract, left_open=()).document()
    return encode(document)


Rows = Sequence[Sequence[float | str]]


def golden_document(inputs: Rows, outputs: Rows) -> bytes:
    """Golden vectors, one pair of rows to a line, so that a difference can be read in a diff."""
    first, second = (_rows(part, 4) for part in (inputs, outputs))
    return f'{{\n  "schema_version": "v1",\n  "inputs": {first},\n  "outputs": {second}\n}}\n'.encode()


def named_golden_document(inputs: Mapping[str, Rows], outputs: Mapping[str, Rows]) -> bytes:
    """Golden vectors by the names of inputs and outputs, for a model with several of them."""
    first, second = (
        ",\n".join(f"    {json.dumps(name)}: {_rows(rows, 6)}" for name, rows in part.items())
        for part in (inputs, outputs)
    )
    head = '{\n  "schema_version": "v2",\n  "inputs": {\n'
    return f'{head}{first}\n  }},\n  "outputs": {{\n{second}\n  }}\n}}\n'.encode()


def _rows(rows: Rows, indent: int) -> str:
    lines = ",\n".join(f"{' ' * indent}{json.dumps(list(row))}" for row in rows)
    return f"[\n{lines}\n{' ' * (indent - 2)}]"


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
