"""Artifacts of a commit, verified in a private folder and remembered by their blobs; artifacts of a folder."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ml.artifacts.build import Origin, build_artifact, infer_contract
from ml.artifacts.compare import Comparison, compare
from ml.artifacts.protocol import Signature
from ml.artifacts.verification import Verification
from ml.artifacts.verify import Verifier
from ml.clock import Clock
from ml.contract import Contract
from ml.errors import Unavailable
from ml.policy import Policy, parse_policy
from ml.ports import Progress, Report
from ml.promotion.lfs import restore
from ml.promotion.repository import Repository, TreeEntry
from ml.registry.doctor import Finding, examine, repair_diff, repairable
from ml.registry.history import chronological
from ml.registry.schema import ARTIFACTS_PATH, Pointer
from ml.session.context import Context, require_write
from ml.session.registries import Base
from ml.session.standings import altered_at_checkout
from ml.stage import Stage
from ml.verdict import Check, Verdict, worst

if TYPE_CHECKING:
    from ml.registry.schema import Model


_MOST_REMEMBERED = 64


class Named(Protocol):
    """The names of an artifact in a commit, from a pointer of the registry or from a target."""

    @property
    def artifact_id(self) -> str: ...  # noqa: D102

    @property
    def artifact_dir(self) -> str: ...  # noqa: D102

    @property
    def model_sha256(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of an artifact's directory in a commit. Equal content has equal verifications by one runtime."""

    entries: tuple[TreeEntry, ...]
    expected: str
    runtime: str
    contract: Contract | None


class CommitArtifacts:
    """Verifies artifacts from git's objects, so that an operator's working tree never counts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._known: dict[_Content, Verification] = {}

    def verify(
        self,
        commit: str,
        path: str,
        expect_sha256: str | None,
        report: Report | None = None,
        *,
        contract: Contract | None = None,
    ) -> Verification:
        """Verify an artifact of a commit, by its path from the root. An absent one fails its layout check.

        ``contract`` is the one of its model, ``None`` if that is not known.

        Raises:
            Unavailable: the commit is not here, or the sandbox cannot be built.
        """
        from ml.artifacts.cache import runtime_version  # noqa: PLC0415 - the first frame verifies nothing

        tree = self._context.repository.objects.tree(commit, path)
        content = _Content(tree, expect_sha256 or "", runtime_version(), contract)
        with self._lock:
            known = self._known.get(content)
        if known is not None:
            return known
        with self.exported(commit, (path,)) as (directory,):
            found = self._context.verifier().verify(
                directory, report=report, expect_sha256=expect_sha256, contract=contract
            )
        if found.valid:
            # A failure may be the machine's: it is looked at again.
            self._remember(content, found)
        return found

    def standing(
        self, base: Base, past: Model, named: Named, report: Report | None = None, *, contract: Contract | None
    ) -> Verification:
        """Verify a pointer's artifact in the base: its digest, every file that evidence pinned, and its contract.

        Args:
            base: the commit, and the policy that rules there.
            past: the pointer's model with its archived events.
            named: the pointer, or a target made of it.
            report: takes the progress.
            contract: the contract of the model, by the base's policy.

        Raises:
            Unavailable: the commit is not here, or the sandbox cannot be built.
        """
        from ml.promotion.evidence import pinned  # noqa: PLC0415 - the first frame verifies nothing

        path, digest = base.located(named.artifact_dir), named.model_sha256 or None
        found = self.verify(base.commit, path, digest, report, contract=contract)
        places, events = self._context.place.places, chronological(past)
        return found.pinned(pinned(self._context.repository.objects, base.commit, places, events, named.artifact_id))

    @contextmanager
    def exported(self, commit: str, paths: Sequence[str]) -> Iterator[tuple[Path, ...]]:
        """Private copies of some artifacts of a commit, by their paths from the root, gone when the block ends."""
        with tempfile.TemporaryDirectory(prefix="mlconsole-verify-") as folder:
            repository = self._context.repository
            repository.objects.export(commit, Path(folder), paths)
            restore(Path(folder), commit, repository.lfs, repository.clone.attributes)
            yield tuple(Path(folder) / path for path in paths)

    def latency(
        self, base: Base, model: str, candidate_dir: str, active_dir: str, report: Report | None = None
    ) -> Check:
        """Time an artifact against the active one, in turns in one sandbox. Raises Unavailable without a sandbox."""
        ratio, contract = base.policy.checks.max_latency_ratio, base.policy.contract(model)
        with self.exported(base.commit, (base.located(candidate_dir), base.located(active_dir))) as (candidate, active):
            return (
                self._context.verifier()
                .latency(candidate, active, max_ratio=ratio, report=report, contract=contract)
                .check
            )

    def _remember(self, content: _Content, found: Verification) -> None:
        with self._lock:
            while len(self._known) >= _MOST_REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[content] = found


# The check of the whole registry and of every artifact that a stage names.


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCheck:
    """The doctor's findings, each artifact's verification, and a repair as a diff that a person must apply."""

    as_of: datetime
    verdict: Verdict
    why: str
    findings: tuple[Finding, ...]
    artifacts: tuple[Verification, ...]
    repair: str


def check_registry(
    base: Base, artifacts: CommitArtifacts, repository: Repository, now: datetime, report: Report | None
) -> RegistryCheck:
    """Examine one base, and verify as many artifacts at a time as there are cores.

    Raises what the repository and the sandbox raise.
    """
    findings = (*examine(base.document, archives=base.archives), *altered_at_checkout(base, repository))
    pointers = _pointers(base)
    verified = _verified(base, artifacts, pointers, report)
    severe = sum(finding.severe for finding in findings)
    bad = sum(not item.verdict.opens for item in verified)
    verdict = worst([Verdict.FAIL if severe else Verdict.PASS, *(item.verdict for item in verified)])
    return RegistryCheck(
        as_of=now,
        verdict=verdict,
        why=f"{len(base.document.registry.models)} models, {severe} problems, {len(findings) - severe} oddities, "
        f"{len(verified)} artifacts of which {bad} do not verify.",
        findings=findings,
        artifacts=tuple(verified),
        repair=repair_diff(base.document, models=repairable(findings)),
    )


def _verified(
    base: Base, artifacts: CommitArtifacts, pointers: Sequence[tuple[str, Pointer]], report: Report | None
) -> tuple[Verification, ...]:
    """Verify artifacts side by side, in the order of their pointers."""
    ended, counting = 0, threading.Lock()

    def verify(named: tuple[str, Pointer]) -> Verification:
        nonlocal ended
        name, pointer = named
        contract = base.policy.contract(name)
        found = artifacts.standing(base, base.whole(name), pointer, contract=contract)
        with counting:
            ended += 1
            if report:
                report(Progress(f"verify {pointer.artifact_id}", ended, len(pointers)))
        return found

    pool = ThreadPoolExecutor(_cores(), thread_name_prefix="check")
    try:
        return tuple(pool.map(verify, pointers))
    finally:
        # After an error or an interruption, what has not begun shall not begin.
        pool.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pointers(base: Base) -> tuple[tuple[str, Pointer], ...]:
    """Each artifact that any stage names, once per contract, with its model."""
    found: dict[tuple[str, str | None, Contract | None], tuple[str, Pointer]] = {}
    for name, model in base.document.registry.models.items():
        for stage in Stage:
            pointer = model.pointer(stage)
            if pointer is not None:
                key = (pointer.artifact_dir, pointer.model_sha256, base.policy.contract(name))
                found.setdefault(key, (name, pointer))
    return tuple(found.values())


# Artifacts of a folder: a working tree, or a folder outside any repository, as on a trainer's machine.


def default_policy() -> Policy:
    """The runbook's policy, for artifacts outside a repository."""
    return parse_policy(None)


def no_revision() -> None:
    """No commit, for artifacts outside a repository."""


@dataclass(frozen=True, slots=True)
class FolderArtifacts:
    """Verifies, compares and builds artifact directories below ``folder``.

    ``policy`` has the latency ratio of a comparison; ``revision`` is the commit that a manifest names.
    """

    folder: Path
    verifier: Callable[[], Verifier]
    clock: Clock
    read_only: bool = False
    policy: Callable[[], Policy] = default_policy
    revision: Callable[[], str | None] = no_revision

    def contract(self, model: str, artifact_id: str = "") -> Contract | None:
        """The contract of a model, or else of the one that an artifact's id names; ``None`` where neither has one."""
        policy = self._rules()
        return policy.contract(model) if model else policy.contract_of_artifact(artifact_id)

    def verify(self, artifact_dir: str, report: Report | None = None, *, model: str = "") -> Verification:
        """Verify one artifact directory in a sandbox, by the contract of ``model`` or of the one that its id names."""
        directory = self.folder / artifact_dir
        contract = self.contract(model, directory.name)
        return self.verifier().verify(directory, report=report, contract=contract)

    def compare(self, a: str, b: str, report: Report | None = None) -> Comparison:
        """Two artifacts side by side, each named by directory or id."""
        policy, left, right = self._rules(), self._directory(a), self._directory(b)
        ratio = policy.checks.max_latency_ratio
        contracts = {policy.contract_of_artifact(one.name) for one in (left, right)}
        contract = contracts.pop() if len(contracts) == 1 else None
        return compare(self.verifier(), left, right, max_ratio=ratio, report=report, contract=contract)

    def build(
        self,
        model_file: Path,
        out_dir: Path,
        *,
        dataset_id: str,
        notes: str,
        report: Report | None = None,
        model: str = "",
    ) -> Verification:
        """Make an artifact directory from a model that someone else trained, and verify it.

        It must keep the contract of ``model``, or of the model that the directory's name says. Raises Refused in a
        read-only session.
        """
        require_write(read_only=self.read_only)
        origin = Origin(dataset_id=dataset_id, notes=notes, git_sha=self.revision())
        paths, contract = (self.folder / model_file, self.folder / out_dir), self.contract(model, out_dir.name)
        now = self.clock.now()
        return build_artifact(self.verifier(), *paths, origin, now=now, report=report, contract=contract)

    def infer(self, model_file: Path) -> Signature:
        """Read the inputs and outputs of a model file in the sandbox."""
        return infer_contract(self.verifier(), self.folder / model_file)

    def _rules(self) -> Policy:
        """The policy; the runbook's while there is no base, because directories can be judged without one."""
        try:
            return self.policy()
        except Unavailable:
            return default_policy()

    def _directory(self, named: str) -> Path:
        directory, by_id = self.folder / named, self.folder / ARTIFACTS_PATH / named
        return by_id if by_id.is_dir() and not directory.is_dir() else directory
