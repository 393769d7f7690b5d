"""Artifacts of a commit, verified in a private folder and remembered by their blobs; artifacts of a folder."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ml.artifacts.build import Origin, build_artifact
from ml.artifacts.compare import Comparison, compare
from ml.artifacts.verification import Verification
from ml.artifacts.verify import Verifier
from ml.clock import Clock
from ml.errors import Unavailable
from ml.policy import Policy, parse_policy
from ml.ports import Progress, Report
from ml.promotion.lfs import restore
from ml.promotion.repository import Repository, TreeEntry
from ml.registry.doctor import Finding, examine, repair_diff
from ml.registry.history import chronological
from ml.registry.schema import ARTIFACTS_PATH, Pointer
from ml.session.boards import altered_at_checkout
from ml.session.context import Context, require_write
from ml.session.registries import Base
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


class CommitArtifacts:
    """Verifies artifacts from git's objects, so that an operator's working tree never counts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._known: dict[_Content, Verification] = {}

    def verify(self, commit: str, path: str, expect_sha256: str | None, report: Report | None = None) -> Verification:
        """Verify an artifact of a commit, by its path from the root. An absent one fails its layout check.

        Raises:
            Unavailable: the commit is not here, or the sandbox cannot be built.
        """
        from ml.artifacts.cache import runtime_version  # noqa: PLC0415 - the first frame verifies nothing

        content = _Content(self._context.repository.objects.tree(commit, path), expect_sha256 or "", runtime_version())
        with self._lock:
            known = self._known.get(content)
        if known is not None:
            return known
        with self.exported(commit, (path,)) as (directory,):
            found = self._context.verifier().verify(directory, report=report, expect_sha256=expect_sha256)
        if found.valid:
            # A failure may be the machine's: it is looked at again.
            self._remember(content, found)
        return found

    def standing(self, base: Base, past: Model, named: Named, report: Report | None = None) -> Verification:
        """Verify a pointer's artifact in the base, against its digest and against every file that evidence pinned.

        Args:
            past: the pointer's model with its archived events.
            named: the pointer, or a target made of it.

        Raises:
            Unavailable: the commit is not here, or the sandbox cannot be built.
        """
        from ml.promotion.evidence import pinned  # noqa: PLC0415 - the first frame verifies nothing

        found = self.verify(base.commit, base.located(named.artifact_dir), named.model_sha256 or None, report)
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
        self, commit: str, candidate_path: str, active_path: str, max_ratio: float, report: Report | None = None
    ) -> Check:
        """Time an artifact against the active one, in turns in one sandbox. Raises Unavailable without a sandbox."""
        with self.exported(commit, (candidate_path, active_path)) as (candidate, active):
            return self._context.verifier().latency(candidate, active, max_ratio=max_ratio, report=report).check

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
    """Examine one base. Raises what the repository and the sandbox raise."""
    findings = (*examine(base.document, archives=base.archives), *altered_at_checkout(base, repository))
    pointers = _pointers(base)
    verified = []
    for number, (name, pointer) in enumerate(pointers):
        if report:
            report(Progress(f"verify {pointer.artifact_id}", number, len(pointers)))
        verified.append(artifacts.standing(base, base.whole(name), pointer))
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
        repair=repair_diff(base.document),
    )


def _pointers(base: Base) -> tuple[tuple[str, Pointer], ...]:
    """Each artifact that any stage names, once, with its model."""
    found: dict[tuple[str, str | None], tuple[str, Pointer]] = {}
    for name, model in base.document.registry.models.items():
        for stage in Stage:
            pointer = model.pointer(stage)
            if pointer is not None:
                found.setdefault((pointer.artifact_dir, pointer.model_sha256), (name, pointer))
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

    def verify(self, artifact_dir: str, report: Report | None = None) -> Verification:
        """Verify one artifact directory in a sandbox."""
        return self.verifier().verify(self.folder / artifact_dir, report=report)

    def compare(self, a: str, b: str, report: Report | None = None) -> Comparison:
        """Two artifacts side by side, each named by directory or id."""
        try:
            policy = self.policy()
        except Unavailable:  # no base, so no rules yet: two directories can be compared all the same
            policy = default_policy()
        ratio = policy.checks.max_latency_ratio
        return compare(self.verifier(), self._directory(a), self._directory(b), max_ratio=ratio, report=report)

    def build(
        self, model_file: Path, out_dir: Path, *, dataset_id: str, notes: str, report: Report | None = None
    ) -> Verification:
        """Make an artifact directory from a model that someone else trained, and verify it.

        Raises Refused in a read-only session.
        """
        require_write(read_only=self.read_only)
        origin = Origin(dataset_id=dataset_id, notes=notes, git_sha=self.revision())
        paths = self.folder / model_file, self.folder / out_dir
        return build_artifact(self.verifier(), *paths, origin, now=self.clock.now(), report=report)

    def _directory(self, named: str) -> Path:
        directory, by_id = self.folder / named, self.folder / ARTIFACTS_PATH / named
        return by_id if by_id.is_dir() and not directory.is_dir() else directory
