"""The registry and the policy at the base branch, read from git objects and parsed once per blob."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ml.board import HistoryRow, Problem
from ml.emergency.kill import KnownContracts
from ml.errors import ConsoleError, Refused, Usage
from ml.policy import Policy, PolicyInvalid, parse_policy
from ml.promotion.clone import CloneGap, Lack
from ml.promotion.paths import Places
from ml.promotion.repository import BaseRef, Repository
from ml.registry.codec import Document, parse
from ml.registry.events import with_archive
from ml.registry.history import rows
from ml.registry.schema import Model, located
from ml.session.context import Context, Place
from ml.text import visible


@dataclass(frozen=True, slots=True)
class Base:
    """The base branch as this session sees it: which commit, the policy that rules there, archives by model.

    ``artifact_base`` is what pointers' directories are relative to, by that policy or else by this session's settings.
    ``complaint`` is the fault of the policy. The defaults then replace it, and only for a rollback.
    """

    ref: BaseRef
    blob: str
    policy: Policy
    document: Document
    archives: Mapping[str, bytes]
    artifact_base: str
    complaint: PolicyInvalid | None = None
    places: Places = field(default_factory=Places)

    @property
    def commit(self) -> str:
        """The commit that everything was read from."""
        return self.ref.commit

    def model(self, name: str) -> Model:
        """One model of the registry. Raises Refused when there is none of that name."""
        found = self.document.registry.models.get(name)
        if found is None:
            known = ", ".join(list(self.document.registry.models)[:8]) or "none"
            raise Refused(f"The registry has no model {visible(name)!r}.", f"Known models: {visible(known)}.")
        return found

    def located(self, artifact_dir: str) -> str:
        """A pointer's directory from the repository root."""
        return located(artifact_dir, self.artifact_base)

    def whole(self, name: str) -> Model:
        """One model with its archived events: for questions about its past, never for writing."""
        archive = self.archives.get(name)
        return with_archive(self.model(name), archive) if archive else self.model(name)


class Registries:
    """Reads the base; safe to use from several threads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._last: Base | None = None

    def ref(self) -> BaseRef:
        """The commit of the base branch now. Does not read its files."""
        return self._context.repository.refs.base(self._context.place.ref)

    def now(self, *, despite_policy: bool = False) -> Base:
        """The base at this moment. ``despite_policy``: a mistake in its policy is no obstacle, as for a rollback.

        Raises:
            Unavailable: there is no such branch. Usage: it holds no registry, or a policy with a mistake.
            RegistryInvalid: the registry cannot be read safely.
        """
        ref = self.ref()
        with self._lock:
            if self._last is None or self._last.ref != ref:
                self._last = self._read(ref)
                complaint = self._last.complaint
                contracts = known_contracts(self._last.policy, complaint.cause if complaint else "")
                self._context.kill_control.follow(contracts)
            return _ruled(self._last, despite_policy=despite_policy)

    def at(self, commit: str, *, despite_policy: bool = False) -> Base:
        """The registry and policy of any commit; raises as `now`."""
        ref = self.ref()
        return _ruled(self._read(BaseRef(ref.ref, commit, ref.remote, ref.branch)), despite_policy=despite_policy)

    def policy(self) -> Policy:
        """The base's policy; the runbook's defaults where there is none. Raises Usage for a mistake in it."""
        return parse_policy(self._context.repository.objects.read(self.ref().commit, self._context.place.places.policy))

    def history(self, model: str) -> tuple[HistoryRow, ...]:
        """A model's events, newest first."""
        return rows(self.now().model(model))

    def histories(self) -> dict[str, tuple[HistoryRow, ...]]:
        """The events of every model, newest first."""
        return {name: rows(model) for name, model in self.now().document.registry.models.items()}

    def fork(self, ref: BaseRef) -> str:
        """The remote that change branches go to, where git's settings name another than the base's; else empty."""
        named = self._context.repository.remotes.push_remote(ref.branch) if ref.remote else ""
        return "" if named == ref.remote else named

    def _read(self, ref: BaseRef) -> Base:
        repository, path = self._context.repository, self._context.place.places.registry
        blob = repository.objects.blob_id(ref.commit, path)
        raw = repository.objects.read(ref.commit, path)
        if raw is None:
            raise Usage(
                f"{visible(ref.ref)} has no registry at {visible(path)}.",
                "Correct registry.path, or let `mlconsole init` propose a first registry on a branch.",
            )
        policy, complaint = self._policy(ref.commit)
        last = self._last.document if self._last is not None else None
        same = last is not None and self._last is not None and self._last.blob == blob
        document = last if same and last is not None else parse(raw, path, last)
        artifact_base = policy.artifact_base(self._context.place.artifact_base)
        return Base(
            ref,
            blob,
            policy,
            document,
            self._archives(ref.commit, document),
            artifact_base,
            complaint,
            self._context.place.places,
        )

    def _policy(self, commit: str) -> tuple[Policy, PolicyInvalid | None]:
        try:
            return parse_policy(self._context.repository.objects.read(commit, self._context.place.places.policy)), None
        except PolicyInvalid as error:
            return Policy(), error

    def _archives(self, commit: str, document: Document) -> dict[str, bytes]:
        repository, places = self._context.repository, self._context.place.places
        folder = str(PurePosixPath(places.archive("x")).parent)
        named = ((PurePosixPath(entry.path).stem, entry.path) for entry in repository.objects.tree(commit, folder))
        return {
            name: repository.objects.read(commit, path) or b""
            for name, path in named
            if name in document.registry.models
        }


def known_contracts(policy: Policy, complaint: str = "") -> KnownContracts:
    """The metrics contracts of a policy, for the proof of kills. ``complaint`` is why the policy cannot be used."""
    problem = f"{complaint} So engines are looked at by the runbook's metrics." if complaint else ""
    return KnownContracts(policy.every_metric_names(), problem)


def contracts_in_force(repository: Repository, place: Place) -> KnownContracts:
    """Read the metrics contracts at the base, for a session that reads nothing else of it. Never raises."""
    try:
        raw = repository.objects.read(repository.refs.base(place.ref).commit, place.places.policy)
        return known_contracts(parse_policy(raw))
    except ConsoleError as error:
        return known_contracts(Policy(), f"The policy cannot be read: {error.cause}")


def _ruled(base: Base, *, despite_policy: bool) -> Base:
    """The base, where its rules can be read or do not matter."""
    if base.complaint is not None and not despite_policy:
        raise PolicyInvalid(base.complaint.cause, base.complaint.remedy)
    return base


# Gaps of this clone as problems. No verdict may depend on missing history (contract §14).

_REST_S = 30.0
"""A clone changes its kind seldom; looking costs some processes of git."""


class CloneGaps:
    """Looks at the clone now and then, and remembers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: tuple[CloneGap, ...] = ()
        self._looked: float | None = None

    def problems(self) -> tuple[Problem, ...]:
        """Each gap as a severe problem, looked for at most twice a minute."""
        now = self._context.clock.monotonic()
        if self._looked is None or not 0 <= now - self._looked < _REST_S:
            self._known, self._looked = clone_gaps(self._context), now
        return tuple(Problem("clone", gap.what, gap.remedy) for gap in self._known)


def clone_gaps(context: Context) -> tuple[CloneGap, ...]:
    """The gaps of this session's clone."""
    place = context.place
    found = context.repository.clone.gaps(place.ref, configured=place.ref_configured)
    if not place.kill_file.is_relative_to(place.root) or not _linked(context):
        return found
    shown = visible(str(place.kill_file))
    what = f"This is a linked worktree, and F9 writes {shown} in it, where engines of the main checkout do not look."
    remedy = "Set kill_switch.file to the absolute path that the engines read, or start in the main checkout."
    return (*found, CloneGap(Lack.WORKTREE, what, remedy))


def _linked(context: Context) -> bool:
    try:
        return context.repository.clone.linked()
    except ConsoleError:
        return False  # the reader of the registry reports why git does not answer
