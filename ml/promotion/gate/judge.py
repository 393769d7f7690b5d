"""The gate of SPEC §8: judges a proposed change from the trees of base and head alone, wherever it runs.

CI, the server's hook and `ml.promotion.land` call the same function. A range may hold ordinary commits and at most one
commit that changes the registry or its rules; that one is judged by the rules of ``base``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ml.errors import Usage
from ml.policy import Policy, parse_policy
from ml.promotion.gate import authority, signing
from ml.promotion.gate.artifact import Verifies, artifact
from ml.promotion.gate.case import Case, Move, passed, refused
from ml.promotion.gate.evidence import evidence
from ml.promotion.gate.rules import rules_content, rules_role, rules_scope
from ml.promotion.gate.scope import artifact_folders, scope, touched_artifact
from ml.promotion.gate.transition import changed_model, transition
from ml.promotion.places import Places
from ml.promotion.repository import CommitInfo, PathChange, Reader
from ml.registry.codec import Document, RegistryInvalid, parse
from ml.stage import Action
from ml.text import visible
from ml.verdict import Code, Gate, Verdict, finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the gate judges with.

    ``artifact_base`` is what pointers are relative to as long as the base's policy says nothing about it.
    ``approvals`` is false where a branch is only offered, not landed: nobody can have approved it yet. ``now`` is the
    judge's clock, ``None`` where its clock is no witness, as in a review of old history.
    """

    verifier: Verifies
    places: Places
    artifact_base: str = "."
    approvals: bool = True
    now: datetime | None = None


def judge(repository: Reader, base: str, head: str, bench: Bench) -> tuple[Gate, ...]:
    """Judge everything between two commits; all gates must open for it to be legal.

    Raises:
        Unavailable: a commit is not in this repository. Invalid: an object of it is damaged.
    """
    found = _proposed(repository, base, head, bench)
    return (found,) if isinstance(found, Gate) else tuple(_judged(repository, base, found, bench))


@dataclass(frozen=True, slots=True)
class _Proposed:
    commit: CommitInfo
    paths: tuple[PathChange, ...]


def _proposed(repository: Reader, base: str, head: str, bench: Bench) -> _Proposed | Gate:
    """The one commit of a range that there is something to judge about; or the gate that decides without one."""
    if not repository.is_ancestor(base, head):
        return refused("ancestry", "the change does not build on the base, so it would take commits away from it")
    policy, _ = _policy(repository, base, bench.places)
    named = artifact_folders(_registry(repository, base, bench.places)[0], policy.artifact_base(bench.artifact_base))
    governed: list[_Proposed] = []
    for step in repository.first_parents(base, head):
        paths = repository.changes(step.parents[0], step.sha)
        spoiled = touched_artifact(paths, named)
        if any(bench.places.governs(change.path) for change in paths):
            governed.append(_Proposed(step, paths))
        elif spoiled:
            return refused("artifact", f"{visible(spoiled)} belongs to an artifact that the registry names")
    if not governed:
        return passed("scope", "nothing that the gate governs is changed")
    if len(governed) > 1:
        return refused("scope", f"{len(governed)} changes of the registry at once; land them one by one")
    step, paths = governed[0].commit, governed[0].paths
    commit = _change_commit(repository, step)
    if commit is None:
        return refused("scope", "a merge commit changes the registry; only the change itself may")
    return _Proposed(commit, paths)


def _change_commit(repository: Reader, step: CommitInfo) -> CommitInfo | None:
    """The change itself: the step, or what a merge brings in unaltered from a branch of one commit on the same base."""
    if len(step.parents) == 1:
        return step
    if len(step.parents) != 2:
        return None
    merged = repository.commit(step.parents[1])
    adds_nothing = merged.tree == step.tree and merged.parents == (step.parents[0],)
    return merged if adds_nothing else None


def _registry(repository: Reader, commit: str, places: Places) -> tuple[Document | None, str]:
    raw = repository.read(commit, places.registry)
    if raw is None:
        return None, ""
    try:
        return parse(raw), ""
    except RegistryInvalid as error:
        return None, error.cause


def _policy(repository: Reader, base: str, places: Places) -> tuple[Policy, str]:
    """The base's policy, or the defaults and a complaint: a broken one must hold up neither rollback nor repair."""
    try:
        return parse_policy(repository.read(base, places.policy)), ""
    except Usage as error:
        return Policy(), error.cause


def _judged(repository: Reader, base: str, proposed: _Proposed, bench: Bench) -> Iterator[Gate]:
    places, commit, paths = bench.places, proposed.commit, proposed.paths
    parent = repository.commit(commit.parents[0])
    policy, complaint = _policy(repository, base, places)
    before, worn = _registry(repository, parent.sha, places)
    after, broken = _registry(repository, commit.sha, places)
    if worn or broken or (after is None and before is not None):
        yield refused("registry", worn or broken or "the registry is deleted")
        return
    case = Case(
        places=places,
        base=base,
        commit=commit,
        parent=parent,
        paths=paths,
        policy=policy,
        signers=repository.read(base, places.signers),
        artifact_base=policy.artifact_base(bench.artifact_base),
        before=before,
        after=after,
    )
    rules = {places.policy, places.signers} & {change.path for change in paths}
    if rules or before is None:
        yield from _rules(repository, case, bench)
    else:
        yield from _change(repository, case, bench, complaint)


def _rules(repository: Reader, case: Case, bench: Bench) -> Iterator[Gate]:
    by = case.commit.author.email
    signature = signing.signature_of(repository, case.commit.sha, case.signers)
    yield rules_scope(case)
    yield rules_content(repository, case)
    yield rules_role(case)
    yield authority.clock(case, bench.now)
    yield signing.signed(case.policy, signature, by)
    if bench.approvals:
        yield signing.approved(repository, case, signature, by)


def _change(repository: Reader, case: Case, bench: Bench, complaint: str) -> Iterator[Gate]:
    """What is cheap to judge comes first: nobody's model is loaded for a change that is refused already."""
    name, why = changed_model(case)
    if why:
        yield refused("transition", why)
        return
    archive = case.places.archive(name)
    before, after = (repository.read(commit.sha, archive) or b"" for commit in (case.parent, case.commit))
    gate, move = transition(case, name, (before, after))
    yield gate
    if move is None:
        return
    if complaint and move.action in (Action.STAGE, Action.PROMOTE):
        yield refused("policy", complaint)
        return
    standing = tuple(_standing(repository, case, move, bench))
    yield from standing
    if any(not gate.verdict.opens for gate in standing):
        why = "not looked at, because the change is refused already"
        yield finding(Verdict.NO_DATA, Code.NOT_REACHED, why).gate("evidence")
        return
    yield from evidence(repository, case, move)
    yield artifact(repository, case, move, bench.verifier)


def _standing(repository: Reader, case: Case, move: Move, bench: Bench) -> Iterator[Gate]:
    """Who does what, and whether they may."""
    yield scope(case, move)
    yield authority.author(case, move)
    yield authority.clock(case, bench.now)
    yield authority.role(case, move)
    yield authority.freeze(case, move)
    yield authority.waivers(case, move)
    yield authority.acknowledged(case, move, repository.blob_id(case.parent.sha, case.places.registry))
    exempt = signing.exemption(move.action)
    signature = signing.signature_of(repository, case.commit.sha, case.signers)
    yield signing.signed(case.policy, signature, move.by, exempt=exempt)
    if bench.approvals:
        alone = exempt or ("" if authority.affects_trading(move) else "only a change of active needs one")
        yield signing.approved(repository, case, signature, move.by, exempt=alone)
