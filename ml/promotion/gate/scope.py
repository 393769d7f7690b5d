"""The files that a registry change may touch: only its own (contract §8). Pure."""

from __future__ import annotations

from pathlib import PurePosixPath

from ml.errors import ConsoleError
from ml.policy import parse_policy
from ml.promotion.gate.case import Case, Move, passed, refused
from ml.promotion.paths import registry_path
from ml.promotion.repository import REGULAR_FILE, Objects, PathChange
from ml.registry.schema import REGISTRY_PATH, located
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Gate, Verdict

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
    """Say why a changed path is not part of the change: one clause, empty where it is."""
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
    """Return the event's evidence folder if it lies where evidence belongs; else empty."""
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


# Changes of the rules, which must come alone, by people that the base's rules name (`ml.promotion.gate.guard`).


def rules_scope(case: Case) -> Gate:
    """A commit that changes rules changes nothing else; the first ones may come with the first, empty registry."""
    kept = {case.places.policy, case.places.signers, case.places.registry}
    for change in case.paths:
        shown = visible(change.path)
        place = case.guard.misplaced(change.path)
        if place:
            return refused("scope", f"{shown} would take the place of {visible(place)} on some disk")
        first = case.before is None and change.path == case.places.registry
        if not first and not case.guard.rule(change.path):
            return refused("scope", f"{shown} changes together with the rules; a change cannot bring its own rules")
        if change.new_mode != REGULAR_FILE and (change.path in kept or not change.deleted):
            return refused("scope", f"{shown} is deleted or no regular file")
    return passed("scope", "only the rules are changed")


def rules_content(objects: Objects, case: Case) -> Gate:
    """The new rules can be read, a first registry puts nothing into a stage, and an old one stays where it is."""
    try:
        parse_policy(objects.read(case.commit.sha, case.places.policy))
        path = registry_path(objects.read(case.commit.sha, case.places.config))
    except ConsoleError as error:
        return refused("policy", error.cause)
    if case.before is None and case.after is not None:
        for name, model in case.after.registry.models.items():
            if model.history or any(model.pointer(stage) for stage in Stage):
                return refused("policy", f"a first registry is empty, and this one has a life of {visible(name)} in it")
    touched = any(change.path == case.places.config for change in case.paths)
    if touched and case.before is not None and (path or REGISTRY_PATH) != case.places.registry:
        why = f"registry.path would lead away from {visible(case.places.registry)}, to a registry that nobody judged"
        return refused("policy", why)
    return passed("policy", "the new rules can be read")


def rules_role(case: Case) -> Gate:
    """Check that an operator changes the rules. While the base names none, anybody may propose the first ones."""
    who = case.commit.author.email
    verdict = case.policy.is_operator(who)
    if verdict is Verdict.FAIL:
        return refused("role", f"{visible(who)} is no operator, and only operators change the rules")
    return passed("role", visible(who) if verdict is Verdict.PASS else "the base names no operators yet")
