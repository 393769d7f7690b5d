"""The origin of a rollback's pointer: what is proven of it besides what an activation's event holds (SPEC §14).

Histories in the runbook's words keep no pointers. Then the facts come from where nobody but the gate let them in: the
registry of the commit that made the artifact active, and the artifact's own manifest beside its model.
"""

from __future__ import annotations

from collections.abc import Iterator

from ml.artifacts.features import feature_order_hash
from ml.artifacts.manifest import MANIFEST_FILE, parse_manifest
from ml.clock import parse_utc
from ml.errors import Invalid
from ml.promotion.gate.case import Case, Move
from ml.promotion.repository import Reader
from ml.registry.codec import RegistryInvalid, parse
from ml.registry.history import activation_pointer, known_pointer
from ml.registry.paths import located, plain_directory
from ml.registry.pointers import spelled
from ml.registry.schema import Pointer
from ml.stage import Action

_MOST_COMMITS = 500
_SIGNATURE = frozenset({"promoted_at_utc", "actor", "source"})
"""What a rollback writes anew into every pointer."""


def attested(repository: Reader, case: Case, move: Move) -> Pointer | None:
    """The part of a rollback's pointer that is proven; ``None`` where the activation's event holds all of it."""
    said = move.event.pointer
    if move.action is not Action.ROLLBACK or said is None:
        return None
    known = activation_pointer(move.past, move.artifact_id)
    held = spelled(known) if known else {}
    wanted = {key: value for key, value in spelled(said).items() if key not in _SIGNATURE and held.get(key) != value}
    if known and not wanted:
        return None
    folder = known_pointer(move.past, move.artifact_id).artifact_dir
    proven: dict[str, object] = {"artifact_id": move.artifact_id, "artifact_dir": folder}
    for facts in _sources(repository, case, said):
        proven |= {key: value for key, value in wanted.items() if facts.get(key) == value}
        if wanted.keys() <= proven.keys():
            break
    return Pointer.model_validate(proven)


def _sources(repository: Reader, case: Case, said: Pointer) -> Iterator[dict[str, object]]:
    yield _by_manifest(repository, case, said)
    for commit in repository.commits_touching(case.parent.sha, case.places.registry, _MOST_COMMITS):
        try:
            document = parse(repository.read(commit.sha, case.places.registry) or b"")
        except RegistryInvalid:
            continue
        for model in document.registry.models.values():
            if model.active and model.active.artifact_id == said.artifact_id:
                facts = spelled(model.active)
                if plain_directory(model.active.artifact_dir) == plain_directory(said.artifact_dir):
                    facts["artifact_dir"] = said.artifact_dir
                yield facts


def _by_manifest(repository: Reader, case: Case, said: Pointer) -> dict[str, object]:
    """What the artifact says of itself where the convention puts it; the digest is compared with the file later on."""
    folder = located(said.artifact_dir, case.artifact_base)
    raw = repository.read(case.parent.sha, f"{folder}/{MANIFEST_FILE}")
    try:
        manifest = parse_manifest(raw) if raw is not None else None
    except Invalid:
        manifest = None
    if manifest is None:
        return {}
    facts = Pointer(
        artifact_id=said.artifact_id,
        artifact_dir=said.artifact_dir,
        model_sha256=manifest.sha256.get(manifest.model_file),
        git_sha=manifest.git_sha,
        dataset_id=manifest.dataset_id,
        created_at_utc=parse_utc(manifest.created_at_utc) if manifest.created_at_utc else None,
        notes=manifest.notes,
        feature_order_hash=feature_order_hash(manifest.feature_order),
    )
    return {key: value for key, value in spelled(facts).items() if key != "artifact_dir"}
