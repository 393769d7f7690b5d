"""The parts of a session, created once, and its smaller answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from ml.artifacts.build import Origin, build_artifact
from ml.artifacts.compare import Comparison, compare
from ml.artifacts.verification import Verification
from ml.board import HistoryRow
from ml.emergency.incident import Incident, incident
from ml.errors import Unavailable, Usage
from ml.policy import parse_policy
from ml.ports import Report
from ml.promotion.gates import TestBench, unit_tests_gate
from ml.promotion.paths import CONFIG_PATH, Places, registry_path
from ml.promotion.values import Checklist, Target
from ml.registry.history import rows
from ml.registry.schema import ARTIFACTS_PATH
from ml.session.artifacts import CommitArtifacts, RegistryCheck, check_registry
from ml.session.boards import Boards
from ml.session.changes import Changes
from ml.session.checklists import Checklists, Listeners, Request
from ml.session.context import Context
from ml.session.doctor import Doctor
from ml.session.registries import Registries
from ml.session.rollbacks import RollbackPlans, Rollbacks
from ml.session.soaks import Soaks, look_at_day
from ml.session.watches import Watches
from ml.slo.review import Review
from ml.text import visible
from ml.verdict import Check, Gate, Verdict

_OWN_CODE = ("ml/promotion/gate/judge.py", "mlconsole/ml/promotion/gate/judge.py")


class Parts:
    """One of each; made on first use, because making them imports pydantic and more."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.registries = Registries(context)
        self.artifacts = CommitArtifacts(context)
        self.soaks = Soaks(context, self.registries)
        self.watches = Watches(context)
        self.boards = Boards(context, self.registries, self.soaks, self.watches)
        self.checklists = Checklists(context, self.registries, self.artifacts, self.soaks)
        self.changes = Changes(context, self.registries, self.checklists)
        plans = RollbackPlans(context, self.registries, self.artifacts, lambda: self.boards.last)
        self.rollbacks = Rollbacks(context, self.registries, plans)
        self.doctor = Doctor(context, self.registries, self.artifacts, self.boards)

    def review(self, model: str) -> Review:
        """The dashboards of a model's last day."""
        return look_at_day(self._context, self.registries.now(), model)

    def history(self, model: str) -> tuple[HistoryRow, ...]:
        """A model's events, newest first."""
        return rows(self.registries.now().model(model))

    def checklist(
        self,
        target: Target,
        finding: str,
        waivers: Mapping[str, str],
        report: Report | None,
        on_gate: Callable[[Gate], None] | None,
        on_output: Callable[[str], None] | None,
    ) -> Checklist:
        """Judge a step's checklist."""
        base = self.registries.at(target.base_commit)
        request = Request(target=target, base=base, finding=finding, waivers=waivers)
        return self.checklists.judge(request, Listeners(report=report, on_gate=on_gate, on_output=on_output))

    def check(self, report: Report | None) -> RegistryCheck:
        """Examine the whole registry."""
        context = self._context
        return check_registry(self.registries.now(), self.artifacts, context.repository, context.clock.now(), report)

    def compare(self, a: str, b: str, report: Report | None) -> Comparison:
        """Compare two artifacts of the working tree, each named by directory or id."""
        try:
            policy = self.registries.policy()
        except Unavailable:  # no base, so no rules yet: two directories can be compared all the same
            policy = parse_policy(None)
        ratio = policy.checks.max_latency_ratio
        return compare(self._context.verifier(), self._directory(a), self._directory(b), max_ratio=ratio, report=report)

    def build(
        self, model_file: Path, out_dir: Path, *, dataset_id: str, notes: str, report: Report | None = None
    ) -> Verification:
        """Make an artifact, and verify what was made."""
        self._context.require_write()
        root = self._context.place.root
        origin = Origin(dataset_id=dataset_id, notes=notes, git_sha=self._context.repository.resolve("HEAD"))
        now = self._context.clock.now()
        return build_artifact(self._context.verifier(), model_file, root / out_dir, origin, now=now, report=report)

    def judge(self, base: str, head: str, *, offered: bool = False, landed: bool = False) -> tuple[Gate, ...]:
        """The gate over two revisions.

        Unless it is ``landed``, the head may have been made on an older base, as a pull request's may: then a merge or
        a rebase lands it, and a push of it as it is would be refused.
        """
        return self.registries.judge(self._commit(base), self._commit(head), offered=offered, merging=not landed)

    def holds_own_code(self, base: str) -> bool:
        """True if the base holds mlconsole's own code, so that a change of that code could change its own judge."""
        commit = self._commit(base)
        return any(self._context.repository.blob_id(commit, path) for path in _OWN_CODE)

    def tests_of(self, base: str, head: str) -> Gate:
        """The unit tests of the base's policy, run here on a clean export of the head."""
        context, rules_of = self._context, self._commit(base)
        repository, places = context.repository, context.place.places
        places = Places(registry_path(repository.read(rules_of, CONFIG_PATH)) or places.registry)
        rules = repository.read(rules_of, places.policy)
        bench = TestBench(
            repository=repository,
            commit=self._commit(head),
            checks=parse_policy(rules).checks,
            run=context.run,
            environ=context.environ,
        )
        return unit_tests_gate(bench)

    def verify_log(self) -> Check:
        """The audit log's chain in one check."""
        report = self._context.audit.verify()
        if report.findings:
            return Check("audit log", Verdict.FAIL, "; ".join(finding.what for finding in report.findings))
        return Check("audit log", Verdict.PASS, f"{report.lines} lines, unbroken")

    def incident(self, since: datetime) -> Incident:
        """The timeline since a moment, from the audit log and the registry's histories."""
        models = self.registries.now().document.registry.models
        histories = {name: rows(model) for name, model in models.items()}
        return incident(self._context.audit.read(), histories, since, self._context.clock.now())

    def release_warnings(self) -> tuple[str, ...]:
        """List reasons against releasing the kill switch, as of the last board."""
        board = self.boards.last
        warnings = []
        for model in board.models if board else ():
            warnings += [
                f"{model.name}: {reading.name} is breached: {reading.why}"
                for reading in model.active_readings
                if reading.verdict is Verdict.FAIL
            ]
            if model.active.artifact_id in model.condemned:
                warnings.append(f"{model.name}: {model.active.artifact_id} is active and condemned.")
        return tuple(warnings)

    def _commit(self, rev: str) -> str:
        found = self._context.repository.resolve(rev)
        if found is None:
            raise Usage(f"There is no revision {visible(rev)} here.", "Fetch it, or correct its name.")
        return found

    def _directory(self, named: str) -> Path:
        root = self._context.place.root
        return root / named if (root / named).is_dir() else root / ARTIFACTS_PATH / named
