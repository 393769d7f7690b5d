"""The gate (contract §8): judges a proposed change from the trees of base and head alone, on any machine.

CI, the server's hook and `ml.promotion.land` call the same function. A range may hold ordinary commits and at most one
commit that changes the registry or its rules; that one is judged by the rules of ``base``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ml.clock import Clock
from ml.errors import Refused, Unavailable, Usage
from ml.policy import policy_or_complaint
from ml.promotion.clone import Clone
from ml.promotion.gate import authority
from ml.promotion.gate.authority import timely
from ml.promotion.gate.case import Case, Move, refused
from ml.promotion.gate.evidence import Verifies, artifact, blob_id, bound, evidence, folder_of, same_slice
from ml.promotion.gate.guard import Guard, artifact_folders
from ml.promotion.gate.landing import Ground, Landing, carried, landing
from ml.promotion.gate.scope import rules_content, rules_role, rules_scope, scope
from ml.promotion.gate.transition import attested, changed_model, made_again, transition
from ml.promotion.lfs import LargeFiles
from ml.promotion.paths import CONFIG_PATH, Places, artifact_base_of, registry_path
from ml.promotion.received import Received, parse_updates, receive
from ml.promotion.repository import History, Objects, Reader, Refs, Repository, Signatures
from ml.registry.codec import Document, RegistryInvalid, parse
from ml.slo.source import Metrics
from ml.stage import Action
from ml.text import visible
from ml.verdict import Code, Gate, Verdict, finding

if TYPE_CHECKING:
    from ml.artifacts.verification import Verification
    from ml.contract import Contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The gate's inputs and tools.

    ``places`` and ``artifact_base`` apply where the base's console.toml and its policy say nothing. ``approvals`` is
    false where a branch is only offered, not landed: nobody can have approved it yet. ``merging``: head need not
    contain the base, because a merge or a rebase will land it. ``now`` is the judge's clock, ``None`` where its clock
    is no witness, as in a review of old history. ``source`` answers recorded questions again, ``None`` where the gate
    has no Prometheus of its own. ``server`` is the remote that must have an artifact's files in Git LFS; empty where
    the judged repository is the server itself.
    """

    verifier: Verifies
    places: Places
    artifact_base: str = "."
    approvals: bool = True
    merging: bool = False
    now: datetime | None = None
    source: Metrics | None = None
    server: str = ""


def judge(repository: Reader, base: str, head: str, bench: Bench) -> tuple[Gate, ...]:
    """Judge everything between two commits; all gates must open for it to be legal.

    Raises:
        Unavailable: a commit is not in this repository. Invalid: an object of it is damaged.
    """
    with repository.objects.held() as objects:
        judges = (repository.history, repository.refs, repository.signatures)
        reader = _Held(objects, *judges, repository.clone, repository.lfs)
        judged = _Base(reader, base, bench)
        found = landing(judged.ground, head, landed=bench.approvals and not bench.merging)
        return (found,) if isinstance(found, Gate) else tuple(_judged(judged, found))


def why_no_approval(repository: Reader, base: str, slot: tuple[str, str], note: str, bench: Bench) -> str:
    """One clause about why a commit is no approval by an operator of the base's policy; empty when it is one.

    Args:
        slot: the two last parts of its ref's name, the commit that it approves and a name of its own.
        note: the commit that the ref would be at.
    """
    rules = _Base(repository, base, bench)
    electorate = authority.Electorate(rules.policy, repository.objects.read(base, rules.places.signers))
    return authority.why_no_approval(repository, slot, note, electorate, bench.now)


@dataclass(frozen=True, slots=True)
class _Held:
    """A `Reader` that gets all objects through one process."""

    objects: Objects
    history: History
    refs: Refs
    signatures: Signatures
    clone: Clone
    lfs: LargeFiles


class _Base:
    """The base, read once: the place of its registry, its rules, and its contents."""

    def __init__(self, repository: Reader, commit: str, bench: Bench) -> None:
        self.repository, self.commit, self.bench = repository, commit, bench
        self._read: dict[str, tuple[Document | None, str]] = {}
        config = repository.objects.read(commit, CONFIG_PATH)
        self.places = Places(_or_nothing(registry_path, config) or bench.places.registry)
        rules = repository.objects.read(commit, self.places.policy)
        self.policy, self.complaint = policy_or_complaint(rules)
        configured = _or_nothing(artifact_base_of, config) or bench.artifact_base
        self.artifact_base = self.policy.artifact_base(configured)
        document = self.registry(commit)
        archives = self._archives(document) if document else ()
        self.ground = Ground(
            repository,
            commit,
            Guard(
                self.places,
                artifact_folders(document, self.artifact_base, archives),
                artifact_base=self.artifact_base,
                rules=document is not None or rules is not None,
            ),
            self.registry,
        )

    def registry(self, commit: str) -> Document | None:
        """The registry of a commit, ``None`` where there is none that can be read."""
        return self.read(commit)[0]

    def read(self, commit: str) -> tuple[Document | None, str]:
        """The registry of a commit, and why it cannot be read."""
        if commit not in self._read:
            raw = self.repository.objects.read(commit, self.places.registry)
            known = next((found for found in self._read.values() if found[0] and found[0].raw == raw), None)
            self._read[commit] = known or _registry(raw)
        return self._read[commit]

    def _archives(self, document: Document) -> Iterator[tuple[str, bytes]]:
        for entry in self.repository.objects.tree(self.commit, self.places.archives):
            name = PurePosixPath(entry.path).stem
            if name in document.registry.models:
                yield name, self.repository.objects.content(entry)


def _or_nothing(find: Callable[[bytes | None], str], config: bytes | None) -> str:
    """Return the base's console.toml; a broken one must block neither rollback nor repair."""
    try:
        return find(config)
    except Usage:
        return ""


def _registry(raw: bytes | None) -> tuple[Document | None, str]:
    if raw is None:
        return None, ""
    try:
        return parse(raw), ""
    except RegistryInvalid as error:
        return None, error.cause


def _judged(base: _Base, found: Landing) -> Iterator[Gate]:
    repository, places, commit, parent = base.repository, base.places, found.change, found.parent
    before, worn = base.read(parent.sha)
    after, broken = base.read(commit.sha)
    if worn or broken or (after is None and before is not None):
        yield refused("registry", worn or broken or "the registry is deleted")
        return
    case = Case(
        places=places,
        base=base.commit,
        commit=commit,
        parent=parent,
        paths=found.paths,
        policy=base.policy,
        signers=repository.objects.read(base.commit, places.signers),
        artifact_base=base.artifact_base,
        before=before,
        after=after,
        guard=found.guard,
        named=base.ground.guard,
    )
    if before is None or any(found.guard.rule(change.path) for change in found.paths):
        yield from _rules(base, case, found)
    else:
        yield from _change(base, case, found)


def _rules(base: _Base, case: Case, found: Landing) -> Iterator[Gate]:
    repository, bench = base.repository, base.bench
    by = case.commit.author.email
    signature = authority.signature_of(
        repository.signatures, case.commit.sha, case.signers, bench.now, case.policy.person(by)
    )
    yield rules_scope(case)
    yield rules_content(repository.objects, case)
    yield carried(found, base.commit, case.places.registry, _not_remade)
    yield rules_role(case)
    yield authority.clock(case, bench.now)
    yield timely(case, bench.now)
    yield authority.signed(case.policy, signature, by, remade=authority.remade(case.commit))
    if bench.approvals:
        yield authority.approved(repository, case, signature, by, now=bench.now)


def _not_remade(anchor: str) -> str:
    raise Refused(f"The registry is another on {anchor[:12]}.", "Make the change of the rules anew.")


def _change(base: _Base, case: Case, found: Landing) -> Iterator[Gate]:
    """Judge the change, the cheap rules first: no model is loaded for a change that is already refused."""
    repository, bench = base.repository, base.bench
    misplaced = next((change.path for change in case.paths if case.guard.misplaced(change.path)), "")
    if misplaced:
        place = case.guard.misplaced(misplaced)
        yield refused("scope", f"{visible(misplaced)} would take the place of {visible(place)} on some disk")
        return
    name, why = changed_model(case)
    if why:
        yield refused("transition", why)
        return
    archive = case.places.archive(name)
    before, after = (repository.objects.read(commit.sha, archive) or b"" for commit in (case.parent, case.commit))
    gate, move = transition(case, name, (before, after), partial(attested, repository, case))
    yield gate
    if move is None:
        return
    if base.complaint and move.action in (Action.STAGE, Action.PROMOTE):
        yield refused("policy", base.complaint)
        return
    standing = (
        carried(
            found,
            base.commit,
            case.places.registry,
            partial(_remade, base, case, move),
            artifact=folder_of(case, move),
        ),
        *_standing(repository, case, move, bench),
    )
    yield from standing
    if any(not gate.verdict.opens for gate in standing):
        why = "not looked at, because the change is refused already"
        yield finding(Verdict.NO_DATA, Code.NOT_REACHED, why).gate("evidence")
        return
    yield from evidence(repository.objects, case, move, bench.source)
    yield artifact(repository, case, move, bench.verifier, bench.server)


def _remade(base: _Base, case: Case, move: Move, anchor: str) -> str:
    """Return the blob id of the registry if our own planner made the change on another state of the base."""
    document = base.registry(anchor)
    if not same_slice(document, case.before, move.name):
        raise Refused(
            f"{visible(move.name)} was changed on {anchor[:12]} after this change was made", "Make it anew on the base."
        )
    remade = made_again(document, move, attested(base.repository, case, move))
    return blob_id(remade.raw, len(case.commit.sha))


def _standing(repository: Reader, case: Case, move: Move, bench: Bench) -> Iterator[Gate]:
    """Check the author, the role and the approvals."""
    yield scope(case, move)
    yield authority.author(case, move)
    yield authority.clock(case, bench.now)
    yield timely(case, bench.now, move)
    yield authority.role(case, move)
    yield authority.freeze(case, move, bench.now)
    yield authority.waivers(case, move)
    yield authority.acknowledged(case, move, bound(repository.objects, case, move, move.written.get("ack")))
    exempt = authority.exemption(move.action)
    by = case.policy.person(move.by)
    signature = authority.signature_of(repository.signatures, case.commit.sha, case.signers, bench.now, by)
    remade = authority.remade(case.commit)
    yield authority.signed(case.policy, signature, move.by, exempt=exempt, remade=remade)
    if bench.approvals:
        alone = exempt or ("" if authority.affects_trading(move) else "only a change of active needs one")
        yield authority.approved(repository, case, signature, move.by, exempt=alone, now=bench.now)


# The gate as one machine runs it: with its own clock, its own verifier, and its own Prometheus where it has one.


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRunner:
    """Runs the gate on one repository.

    ``places`` and ``artifact_base`` apply where the base says nothing. ``verifier`` makes the verifier, once there is
    an artifact to verify. ``source`` answers recorded questions again; ``None`` without one. ``server`` is the remote
    that must have artifacts in Git LFS; empty in the server's own repository.
    """

    repository: Repository
    places: Places
    artifact_base: str
    verifier: Callable[[], Verifies]
    clock: Clock
    source: Metrics | None = None
    server: str = ""

    def judge(self, base: str, head: str, *, offered: bool = False, merging: bool = False) -> tuple[Gate, ...]:
        """The gate of contract §8 over two commits, by this machine's clock.

        An ``offered`` branch needs no approvals yet; one for ``merging`` may have been made on an older base.
        """
        if self.repository.clone.shallow():
            raise Unavailable(
                "This clone is shallow: it holds only the newest commits, so that no change can be judged in it.",
                "Run `git fetch --unshallow`; in CI, check out with fetch-depth: 0.",
            )
        return judge(self.repository, base, head, self._bench(offered=offered, merging=merging))

    def receive(self, told: bytes, branch: str) -> tuple[Received, ...]:
        """Judge the input of a server's ``pre-receive`` hook. Raises Usage when it is something else."""
        return receive(parse_updates(told), self.repository, branch, self.judge, self._why_no_approval)

    def _why_no_approval(self, base: str, slot: tuple[str, str], note: str) -> str:
        return why_no_approval(self.repository, base, slot, note, self._bench())

    def _bench(self, *, offered: bool = False, merging: bool = False) -> Bench:
        return Bench(
            verifier=_OnFirstUse(self.verifier),
            places=self.places,
            artifact_base=self.artifact_base,
            approvals=not offered,
            merging=merging,
            now=self.clock.now(),
            source=self.source,
            server=self.server,
        )


@dataclass(frozen=True, slots=True)
class _OnFirstUse:
    """A verifier that is made, and imported, with the first artifact: a refused change never gets so far."""

    make: Callable[[], Verifies]

    def verify(
        self, directory: Path, *, expect_sha256: str | None = None, contract: Contract | None = None
    ) -> Verification:
        """All checks of one directory; the model must have the expected digest and keep the contract."""
        return self.make().verify(directory, expect_sha256=expect_sha256, contract=contract)
