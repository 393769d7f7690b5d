"""What every file of an artifact was when it was let in, by the evidence of its first change (SPEC §3).

A pointer names the digest of the model file alone. External weights, manifest, train report and golden vectors are
pinned by the manifest and here, so that nobody can change them and the manifest together, unnoticed, later on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from ml.promotion.places import Places
from ml.promotion.repository import Reader
from ml.registry.history import action_of
from ml.registry.schema import Event
from ml.stage import Action


def pinned(
    repository: Reader, commit: str, places: Places, events: Iterable[Event], artifact_id: str
) -> Mapping[str, str]:
    """The SHA-256 of each file by its name; empty when no event's evidence tells, as in registries made by hand.

    Args:
        commit: where the evidence is read.
        events: the model's, oldest first; the first that pins the artifact counts. A withdrawal never does: the gate
            verifies no artifact for it, so that its evidence may say anything.
    """
    home = places.evidence(artifact_id)
    for event in events:
        said = (event.model_extra or {}).get("evidence")
        if event.artifact_id != artifact_id or not isinstance(said, dict) or action_of(event) == Action.WITHDRAW:
            continue
        folder = str(said.get("path"))
        document = repository.read(commit, f"{folder}/evidence.json") if _directly_in(folder, home) else None
        if document is not None and hashlib.sha256(document).hexdigest() == said.get("sha256"):
            digests = _digests(document)
            if digests:
                return digests
    return {}


def _directly_in(folder: str, home: str) -> bool:
    return str(PurePosixPath(folder).parent) == home and ".." not in PurePosixPath(folder).parts


def _digests(document: bytes) -> dict[str, str]:
    try:
        return {str(file["path"]): str(file["sha256"]) for file in json.loads(document).get("files", ())}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
