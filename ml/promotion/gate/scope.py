"""Which files a registry change may touch: its own, and nothing else rides along (SPEC §8). Pure."""

from __future__ import annotations

from pathlib import PurePosixPath

from ml.promotion.gate.case import Case, Move, passed, refused
from ml.promotion.repository import REGULAR_FILE, PathChange
from ml.registry.paths import located
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Gate

_CAPSULE = frozenset({"evidence.json", "pr_body.md", "review.svg"})


def scope(case: Case, move: Move) -> Gate:
    """The commit touches the registry, this model's archive, one new evidence folder, and a newly staged artifact."""
    folder = evidence_folder(case, move)
    fresh = _fresh_artifact(case, move) if move.action is Action.STAGE else ""
    for change in case.paths:
        why = _stray(case, move, change, folder, fresh)
        if why:
            return refused("scope", f"{visible(change.path)} {why}")
    return passed("scope", f"{len(case.paths)} files, all of them this change's own")


def _stray(case: Case, move: Move, change: PathChange, folder: str, fresh: str) -> str:
    """Why a changed path is none of the change's own: one clause, empty where it is."""
    in_capsule = _in_capsule(change.path, folder)
    in_fresh = bool(fresh) and change.path.startswith(f"{fresh}/")
    ours = change.path in (case.places.registry, case.places.archive(move.name)) or in_capsule or in_fresh
    reasons = (
        (not change.deleted and change.new_mode != REGULAR_FILE, f"is no regular file (mode {change.new_mode})"),
        (in_capsule and not change.added, "replaces evidence that was there before"),
        (case.named.artifact(change.path), "belongs to an artifact that the registry names, and must not change"),
        (case.guard.rule(change.path), "is one of the rules; a change cannot bring its own rules"),
        (not ours, "has no part in this change and must not ride along"),
        (in_fresh and change.deleted, "is deleted by the change that stages it"),
    )
    return next((why for wrong, why in reasons if wrong), "")


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
