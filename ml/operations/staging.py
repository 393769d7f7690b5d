"""An artifact directory of the working tree, read for staging: exactly the bytes that were verified."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ml.artifacts.features import feature_order_hash
from ml.artifacts.manifest import MANIFEST_FILE, parse_manifest
from ml.artifacts.verification import Verification
from ml.clock import parse_utc
from ml.errors import Invalid, Refused, Unavailable
from ml.registry.schema import Pointer
from ml.text import visible


@dataclass(frozen=True, slots=True)
class StagedArtifact:
    """What goes into the commit: the pointer for the registry, and the files with paths from the repository root."""

    pointer: Pointer
    files: tuple[tuple[str, bytes], ...]
    verification: Verification


def read_artifact(directory: Path, root: Path, artifact_base: str, verification: Verification) -> StagedArtifact:
    """Read what a verification has just hashed.

    Raises:
        Invalid: it does not verify, or a file is not any more what was verified.
        Refused: no pointer can name it, because it is not below ``artifact_base``.
        Unavailable: a file cannot be read.
    """
    below = root / artifact_base
    if not directory.is_relative_to(below):
        raise Refused(
            f"{visible(directory.name)} is not below {visible(artifact_base)}, which pointers are relative to.",
            "Copy the artifact there first.",
        )
    amiss = verification.amiss
    if amiss:
        why = f"{verification.artifact_id} does not verify: {amiss.name} is {amiss.verdict}: {amiss.why}"
        raise Invalid(why, "Build it anew.")
    contents = {file.name: _read(directory / file.name, file.sha256) for file in verification.files}
    path = directory.relative_to(root).as_posix()
    artifact_dir = directory.relative_to(below).as_posix()
    pointer = pointer_of(directory.name, artifact_dir, verification.model_sha256, contents[MANIFEST_FILE])
    files = tuple((f"{path}/{name}", content) for name, content in sorted(contents.items()))
    return StagedArtifact(pointer, files, verification)


def _read(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        why = f"{visible(path.name)} cannot be read: {error.strerror}."
        raise Unavailable(why, "Correct its permissions.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Invalid(f"{visible(path.name)} changed while it was being staged.", "Stage it again.")
    return content


def pointer_of(artifact_id: str, artifact_dir: str, model_sha256: str, manifest_bytes: bytes) -> Pointer:
    """A pointer as complete as an artifact's own manifest can make it. Raises Invalid for a broken manifest."""
    manifest = parse_manifest(manifest_bytes)
    return Pointer(
        artifact_id=artifact_id,
        artifact_dir=artifact_dir,
        model_sha256=model_sha256,
        git_sha=manifest.git_sha,
        dataset_id=manifest.dataset_id,
        created_at_utc=parse_utc(manifest.created_at_utc) if manifest.created_at_utc else None,
        notes=manifest.notes,
        feature_order_hash=feature_order_hash(manifest.feature_order),
    )
