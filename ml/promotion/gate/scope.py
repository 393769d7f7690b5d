"""Which files a registry change may touch: its own, and nothing else rides along (SPEC §8). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from ml.promotion.gate.case import Case, Move, passed, refused
from ml.promotion.repository import REGULAR_FILE, PathChange
from ml.registry.codec import Document
from ml.registry.paths import located
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Gate

_CAPSULE = frozenset({"evidence.json", "pr_body.md", "review.svg"})


def artifact_folders(document: Document | None, artifact_base: str) -> frozenset[str]:
    """Every artifact directory that the registry names, in a stage or in its history."""
    models = document.registry.models.values() if document else ()
    pointers = [model.pointer(stage) for model in models for stage in Stage]
    pointers += [event.pointer for model in models for event in model.history]
    return frozenset(located(pointer.artifact_dir, artifact_base) for pointer in pointers if pointer)


def touched_artifact(paths: Iterable[PathChange], folders: Iterable[str]) -> str:
    """The first changed path that lies in a named artifact, empty when there is none."""
    below = tuple(f"{folder}/" for folder in folders)
    return next((change.path for change in paths if change.path.startswith(below)), "") if below else ""


def scope(case: Case, move: Move) -> Gate:
    """The commit touches the registry, this model's archive, one new evidence folder, and a newly staged artifact."""
    folder = evidence_folder(case, move)
    ours = {case.places.registry, case.places.archive(move.name)}
    named = artifact_folders(case.before, case.artifact_base)
    fresh = _fresh_artifact(case, move) if move.action is Action.STAGE else ""
    for change in case.paths:
        shown = visible(change.path)
        if not change.deleted and change.new_mode != REGULAR_FILE:
            return refused("scope", f"{shown} is no regular file (mode {change.new_mode})")
        if change.path in ours:
            continue
        if _in_capsule(change.path, folder):
            if not change.added:
                return refused("scope", f"{shown} replaces evidence that was there before")
            continue
        spoiled = touched_artifact([change], named)
        if spoiled:
            return refused("scope", f"{shown} belongs to an artifact that the registry names, and must not change")
        if not (fresh and change.path.startswith(f"{fresh}/")):
            return refused("scope", f"{shown} has no part in this change and must not ride along")
        if change.deleted:
            return refused("scope", f"{shown} is deleted by the change that stages it")
    return passed("scope", f"{len(case.paths)} files, all of them this change's own")


def evidence_folder(case: Case, move: Move) -> str:
    """Where the event says that its evidence is, if that is a place for it; else empty."""
    said = move.written.get("evidence")
    path = said.get("path") if isinstance(said, dict) else None
    if path is None:
        path = _capsule_by_body(case, move)
    home = PurePosixPath(case.places.evidence(move.artifact_id))
    folder = PurePosixPath(str(path))
    return str(folder) if folder.parent == home and folder.name.endswith(f"-{move.action}") else ""


def _capsule_by_body(case: Case, move: Move) -> str:
    """The folder of a change without evidence, which holds only its pull request's text."""
    bodies = [change.path for change in case.paths if change.path.endswith("/pr_body.md")]
    return str(PurePosixPath(bodies[0]).parent) if len(bodies) == 1 else ""


def _in_capsule(path: str, folder: str) -> bool:
    return bool(folder) and str(PurePosixPath(path).parent) == folder and PurePosixPath(path).name in _CAPSULE


def _fresh_artifact(case: Case, move: Move) -> str:
    pointer = move.after.pointer(Stage.STAGING)
    folder = located(pointer.artifact_dir, case.artifact_base) if pointer else ""
    return folder if PurePosixPath(folder).name == move.artifact_id else ""
