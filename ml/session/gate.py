"""The gate of a change, run on two revisions of this clone: for `mlconsole gate`, a server's hook, and landings."""

from __future__ import annotations

from ml.errors import Usage
from ml.policy import parse_policy
from ml.promotion.gate.judge import GateRunner
from ml.promotion.gates import TestBench, unit_tests_gate
from ml.promotion.paths import CONFIG_PATH, Places, registry_path
from ml.promotion.publish import Desk
from ml.promotion.received import Received
from ml.session.context import Context
from ml.session.registries import Registries
from ml.slo.source import Metrics
from ml.text import visible
from ml.verdict import Gate

_OWN_CODE = ("ml/promotion/gate/judge.py", "mlconsole/ml/promotion/gate/judge.py")


class ChangeGate:
    """Judges changes as the server does, by this session's clock."""

    def __init__(self, context: Context, registries: Registries) -> None:
        self._context = context
        self._registries = registries
        self.source: Metrics | None = context.metrics
        """The source at which recorded questions are asked again: this session's own, unless another is set."""

    def judge(self, base: str, head: str, *, offered: bool = False, landed: bool = False) -> tuple[Gate, ...]:
        """Judge two revisions, such as ``origin/main`` and ``HEAD``.

        Unless it is ``landed``, the head may have been made on an older base, as a pull request's may: then a merge or
        a rebase lands it, and a push of it as it is would be refused.

        Raises:
            Usage: there is no such revision. Unavailable: the clone is shallow.
        """
        return self.judge_commits(self._commit(base), self._commit(head), offered=offered, merging=not landed)

    def judge_commits(self, base: str, head: str, *, offered: bool = False, merging: bool = False) -> tuple[Gate, ...]:
        """The gate of contract §8 over two commits.

        An ``offered`` branch needs no approvals yet; one for ``merging`` may have been made on an older base.
        """
        return self._runner(self._server()).judge(base, head, offered=offered, merging=merging)

    def receive(self, told: bytes, branch: str) -> tuple[Received, ...]:
        """Judge the input of a server's ``pre-receive`` hook; ``branch`` is the one that engines follow.

        Raises Usage when it is something else.
        """
        return self._runner().receive(told, branch)

    def tests_of(self, base: str, head: str) -> Gate:
        """The unit-test command of the base's policy, run here on a clean export of the head, without secrets."""
        context, rules_of = self._context, self._commit(base)
        repository, places = context.repository, context.place.places
        places = Places(registry_path(repository.objects.read(rules_of, CONFIG_PATH)) or places.registry)
        rules = repository.objects.read(rules_of, places.policy)
        bench = TestBench(
            repository=repository,
            commit=self._commit(head),
            checks=parse_policy(rules).checks,
            run=context.run,
            environ=context.environ,
        )
        return unit_tests_gate(bench)

    def holds_own_code(self, base: str) -> bool:
        """True if the base holds mlconsole's own code, so that a change of that code could change its own judge."""
        commit = self._commit(base)
        return any(self._context.repository.objects.blob_id(commit, path) for path in _OWN_CODE)

    def desk(self) -> Desk:
        """Return the repository, remote and forge that changes to the base are published with."""
        ref, context = self._registries.ref(), self._context
        return Desk(
            repository=context.repository,
            journal=context.journal,
            forge=context.forge,
            remote=ref.remote,
            base=ref.branch,
            bodies=context.place.state / "bodies",
            places=context.place.places,
            judge=self.judge_commits,
            fork=self._registries.fork(ref),
        )

    def _server(self) -> str:
        """The remote behind the base, from which engines fetch; empty without one."""
        remote, _, branch = self._context.place.ref.partition("/")
        return remote if branch and self._context.repository.remotes.url(remote) else ""

    def _runner(self, server: str = "") -> GateRunner:
        context = self._context
        return GateRunner(
            repository=context.repository,
            places=context.place.places,
            artifact_base=context.place.artifact_base,
            verifier=context.verifier,
            clock=context.clock,
            source=self.source,
            server=server,
        )

    def _commit(self, rev: str) -> str:
        found = self._context.repository.refs.resolve(rev)
        if found is None:
            raise Usage(f"There is no revision {visible(rev)} here.", "Fetch it, or correct its name.")
        return found
