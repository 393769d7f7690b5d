"""The registry and the policy at the base branch, read from git objects, parsed once per blob."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ml.errors import Refused, Usage
from ml.operations.context import Context
from ml.policy import Policy, parse_policy
from ml.promotion.gate import Bench, judge
from ml.promotion.repository import BaseRef
from ml.promotion.submit import Desk
from ml.registry.codec import Document, parse
from ml.registry.schema import Model
from ml.text import visible
from ml.verdict import Gate


@dataclass(frozen=True, slots=True)
class Base:
    """The base branch as this session sees it: which commit, and the policy that rules there."""

    ref: BaseRef
    blob: str
    policy: Policy
    document: Document

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


class Registries:
    """Reads the base; safe to use from several threads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._last: Base | None = None

    def ref(self) -> BaseRef:
        """Where the base branch is now, without reading it."""
        return self._context.repository.base(self._context.place.ref)

    def now(self) -> Base:
        """The base at this moment.

        Raises:
            Unavailable: there is no such branch. Usage: it holds no registry, or a policy with a mistake.
            RegistryInvalid: the registry cannot be read safely.
        """
        ref = self.ref()
        with self._lock:
            if self._last is not None and self._last.ref == ref:
                return self._last
            self._last = self._read(ref)
            return self._last

    def at(self, commit: str) -> Base:
        """The registry and policy of any commit."""
        ref = self.ref()
        return self._read(BaseRef(ref.ref, commit, ref.remote, ref.branch))

    def policy(self) -> Policy:
        """The base's policy; the runbook's defaults where there is none. Raises Usage for a mistake in it."""
        return parse_policy(self._context.repository.read(self.ref().commit, self._context.place.places.policy))

    def desk(self) -> Desk:
        """Where changes to this base are carried out."""
        ref, context = self.ref(), self._context
        return Desk(
            repository=context.repository,
            journal=context.journal,
            forge=context.forge,
            remote=ref.remote,
            base=ref.branch,
            bodies=context.place.state / "bodies",
            places=context.place.places,
            judge=self.judge,
        )

    def judge(self, base: str, head: str, *, offered: bool = False) -> tuple[Gate, ...]:
        """The gate of SPEC §8 over two commits, by this session's clock; an offered branch needs no approvals yet."""
        place = self._context.place
        bench = Bench(
            verifier=self._context.verifier(),
            places=place.places,
            artifact_base=place.artifact_base,
            approvals=not offered,
            now=self._context.clock.now(),
        )
        return judge(self._context.repository, base, head, bench)

    def _read(self, ref: BaseRef) -> Base:
        repository, path = self._context.repository, self._context.place.places.registry
        blob = repository.blob_id(ref.commit, path)
        raw = repository.read(ref.commit, path)
        if raw is None:
            raise Usage(
                f"{visible(ref.ref)} has no registry at {visible(path)}.",
                "Correct registry.path, or let `mlconsole init` propose a first registry on a branch.",
            )
        policy = parse_policy(repository.read(ref.commit, self._context.place.places.policy))
        if self._last is not None and self._last.blob == blob:
            return Base(ref, blob, policy, self._last.document)
        return Base(ref, blob, policy, parse(raw))
