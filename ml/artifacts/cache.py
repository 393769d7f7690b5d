"""A cache of passed verifications, keyed by the files' content and never by their names (contract §3).

A verification holds for one runtime and for files with the same SHA-256 (hashed again), device, inode, size,
modification time and change time, to the nanosecond. The cache saves the run in the sandbox, not the hashing. A file
that was modified just before the verification could change again within the same clock tick without a trace, so such a
verification is not kept. (Git's index has the same race.)
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ml.artifacts.digests import FileDigest, Survey
from ml.artifacts.probe import Limits
from ml.artifacts.verification import Verification
from ml.contract import InForce
from ml.text import visible
from ml.verdict import Verdict

_MOST = 256
_MAX_BYTES = 8 << 20
_SETTLED_NS = 2_000_000_000
_FORMAT = 4
_Entries = TypeAdapter(dict[str, Verification])


@dataclass(frozen=True, slots=True)
class Terms:
    """The conditions that a verification holds for: the limits of the sandbox, and the contract in force."""

    limits: Limits
    governed: InForce


class VerificationCache:
    """Passed verifications in one private file; a damaged or missing file is an empty cache.

    Who can write the file can make an artifact look verified, so it belongs in the operator's own state
    directory. An artifact that enters the registry is always verified again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def recall(
        self, directory: Path, surveyed: Survey, digests: Sequence[FileDigest], terms: Terms
    ) -> Verification | None:
        """The verification of exactly these files with exactly this content, or ``None``."""
        found = self._read().get(_key(surveyed, digests, terms))
        return None if found is None else replace(found, artifact_id=visible(directory.name))

    def remember(self, surveyed: Survey, terms: Terms, verification: Verification) -> None:
        """Keep a verification that passed, once its files have been at rest; failing to write is no failure."""
        newest = max((max(file.modified_ns, file.changed_ns) for file in surveyed.files), default=0)
        if verification.verdict is not Verdict.PASS or surveyed.taken_ns - newest < _SETTLED_NS:
            return
        entries, key = self._read(), _key(surveyed, verification.files, terms)
        entries.pop(key, None)
        entries[key] = verification
        with contextlib.suppress(OSError):
            self._write(dict(list(entries.items())[-_MOST:]))

    def _read(self) -> dict[str, Verification]:
        try:
            if self._file.stat().st_size > _MAX_BYTES:
                return {}
            return _Entries.validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return {}

    def _write(self, entries: dict[str, Verification]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix=f".{self._file.name}.")
        try:
            with open(descriptor, "wb") as stream:
                stream.write(_Entries.dump_json(entries))
            os.replace(name, self._file)
        except OSError:
            os.unlink(name)
            raise


def _key(surveyed: Survey, digests: Sequence[FileDigest], terms: Terms) -> str:
    identity = [astuple(file) for file in surveyed.files]
    whole = [_FORMAT, runtime_version(), astuple(terms.limits), _contract(terms.governed), identity, sorted(digests)]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def _contract(governed: InForce) -> list[object]:
    return [governed.source, governed.contradicted, governed.contract.document()]


def runtime_version() -> str:
    """The version of onnxruntime that is installed now, under a running console too; empty without one."""
    try:
        return importlib.metadata.version("onnxruntime")
    except importlib.metadata.PackageNotFoundError:
        return ""
