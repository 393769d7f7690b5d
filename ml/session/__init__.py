"""The session: all operations of the interface and the command line.

It is the only place that enforces read-only, role and freeze. Methods block; callers run them off the event loop.
Every method may be called from any thread.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ml.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from ml.artifacts.compare import Comparison
    from ml.artifacts.verification import Verification
    from ml.board import Board, Glance, HistoryRow, KillView, SoakReport, Source
    from ml.clock import Clock
    from ml.emergency.incident import Incident
    from ml.emergency.watch import Watch
    from ml.ports import Report
    from ml.promotion.land import Approval
    from ml.promotion.received import Received
    from ml.promotion.values import Checklist, Landing, Plan, RollbackPlan, Submission, Target
    from ml.session.artifacts import RegistryCheck
    from ml.session.context import Context
    from ml.session.first_policy import FirstPolicy
    from ml.session.parts import Parts
    from ml.slo.review import Review
    from ml.slo.source import Metrics
    from ml.stage import Stage
    from ml.verdict import Check, Gate

RELEASE_WORD = "RELEASE"


class Session:
    """One console session on one repository.

    Args:
        make: puts the session's parts together. Called once, with the first question that needs them: the first frame
            waits for none of what they import.
        first_look: what `glance` answers, without those parts.
        keep: gets every board, for later callers that do not judge; raises nothing.
    """

    def __init__(
        self,
        make: Callable[[], Context],
        first_look: Callable[[], Glance],
        keep: Callable[[Board], None] | None = None,
    ) -> None:
        self._make = make
        self._keep = keep
        self._first_look = first_look
        self._making = threading.Lock()
        self._made: Context | None = None
        self._joining = threading.Lock()
        self._joined: Parts | None = None

    @property
    def _context(self) -> Context:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    @property
    def _parts(self) -> Parts:
        # A lock of its own: the kill key needs the context, and does not wait for pydantic.
        with self._joining:
            if self._joined is None:
                from ml.session.parts import Parts  # noqa: PLC0415 the first question pays, not the first frame

                self._joined = Parts(self._context)
            return self._joined

    @property
    def clock(self) -> Clock:
        """The session's clock."""
        return self._context.clock

    # --- looking -----------------------------------------------------------------------------------
    def glance(self) -> Glance:
        """Names and stages for the first frame: local object database only, no network, not judged."""
        return self._first_look()

    def board(self, *, at_once: bool = False) -> Board:
        """Poll once: registry at its ref, one request per objective, kill switch. Never raises for a failed source.

        A Prometheus that does not answer rests for some polls, unless it is to be asked ``at_once``.
        """
        board = self._parts.boards.board(at_once=at_once)
        if self._keep is not None:
            self._keep(board)
        return board

    def fetch(self) -> Source:
        """Fetch the registry's remote and return its state. Never raises for a failed remote."""
        return self._parts.boards.fetch()

    def judge_soaks(self, models: Sequence[str]) -> None:
        """Judge the soaks of these models for the next board. One that cannot be judged keeps its gate closed."""
        self._parts.soaks.judge_all(models)

    def soak(self, model: str) -> SoakReport:
        """The whole soak of the model's shadow artifact: tapes, gates, readings, queries."""
        return self._parts.soaks.judge(model).report

    def review(self, model: str) -> Review:
        """The dashboards of the model's last 24 h: charts of shadow against active, and their oddities.

        Raises: Unavailable (no Prometheus is configured). A failed source is a ``problem`` of the review.
        """
        return self._parts.review(model)

    def history(self, model: str) -> tuple[HistoryRow, ...]:
        """A model's events, newest first."""
        return self._parts.history(model)

    def log(self, limit: int = 200) -> tuple[str, ...]:
        """The newest lines of the audit log, newest first, each one readable sentence."""
        return tuple(line.sentence for line in reversed(self._context.audit.read()[-limit:]))

    def verify_log(self) -> Check:
        """Check that the audit log's chain is whole."""
        return self._parts.verify_log()

    def verify(self, artifact_dir: str, report: Report | None = None) -> Verification:
        """Verify one artifact directory of the working tree (relative to the repository root) in a sandbox."""
        return self._context.verifier().verify(self._context.place.root / artifact_dir, report=report)

    def check(self, report: Report | None = None) -> RegistryCheck:
        """The registry's doctor, and the verification of every artifact that a stage points to."""
        return self._parts.check(report)

    def compare(self, a: str, b: str, report: Report | None = None) -> Comparison:
        """Two artifact directories (or ids) of the working tree side by side."""
        return self._parts.compare(a, b, report)

    def holds_own_code(self, base: str) -> bool:
        """True if the base holds mlconsole's own code, so that a change of that code could change its own judge."""
        return self._parts.holds_own_code(base)

    def judge(self, base: str, head: str, *, offered: bool = False, landed: bool = False) -> tuple[Gate, ...]:
        """Run the gate on two revisions; ``offered``: not landing yet, so nobody can have approved it."""
        return self._parts.judge(base, head, offered=offered, landed=landed)

    def measure_with(self, source: Metrics | None) -> None:
        """Set the ``source`` at which the gate asks recorded questions again; ``None`` for no source.

        Without this call the gate asks this session's own Prometheus, as `land` does.
        """
        self._parts.registries.source = source

    def tests_of(self, base: str, head: str) -> Gate:
        """The unit-test command of the base's policy, run here on a clean export of the head, without secrets."""
        return self._parts.tests_of(base, head)

    def receive(self, told: bytes, branch: str) -> tuple[Received, ...]:
        """Run the gate on git's input to a ``pre-receive`` hook; ``branch`` is the one that engines follow."""
        return self._parts.registries.receive(told, branch)

    # --- promotion ---------------------------------------------------------------------------------
    def target(self, model: str, to_stage: Stage) -> Target:
        """Freeze a promotion: the artifact in the stage below, its digest, the base commit.

        Raises: Refused (nothing to promote, illegal step), Unavailable, Invalid (broken registry).
        """
        return self._parts.changes.target(model, to_stage)

    def checklist(
        self,
        target: Target,
        *,
        finding: str = "",
        waivers: Mapping[str, str] | None = None,
        report: Report | None = None,
        on_gate: Callable[[Gate], None] | None = None,
        on_output: Callable[[str], None] | None = None,
    ) -> Checklist:
        """Judge every gate of the step again. ``on_gate`` gets each gate once it is known (WAIT while running).

        ``finding`` is the reviewer's dashboard finding, ``waivers`` maps gate name to reason,
        ``on_output`` takes lines of the unit tests as they are printed (already made visible).
        The gate ``ack`` of a step to active is WAIT until `plan` gets the phrase.
        """
        return self._parts.checklist(target, finding, waivers or {}, report, on_gate, on_output)

    def plan(self, checklist: Checklist, reason: str, *, ack: str = "", preview: bool = False) -> Plan:
        """Compute the change: new registry, branch, message, PR body. Writes nothing; a ``preview`` needs no ACK.

        Raises: Invalid (a gate is closed), Refused (role, freeze, wrong ACK, read-only).
        """
        return self._parts.changes.plan(checklist, reason, ack=ack, preview=preview)

    def submit(self, plan: Plan, report: Report | None = None, *, push: bool = True) -> Submission:
        """Commit the plan to its branch, push it, read the remote back. One at a time.

        Raises: Conflict (registry moved), Refused (read-only; remote hook, with its words).
        """
        return self._parts.changes.submit(plan, push=push, report=report)

    def plan_stage(self, artifact_dir: str, model: str, reason: str, report: Report | None = None) -> Plan:
        """Plan to put a verified artifact directory into a model's staging, its files included in the commit."""
        return self._parts.changes.plan_stage(artifact_dir, model, reason, report)

    def plan_withdraw(self, model: str, stage: Stage, reason: str) -> Plan:
        """Plan to clear staging or shadow."""
        return self._parts.changes.plan_withdraw(model, stage, reason)

    def build(
        self, model_file: Path, out_dir: Path, *, dataset_id: str, notes: str, report: Report | None = None
    ) -> Verification:
        """Make an artifact directory from a model that someone else trained, and verify it."""
        return self._parts.build(model_file, out_dir, dataset_id=dataset_id, notes=notes, report=report)

    # --- rollback ----------------------------------------------------------------------------------
    def rollback_plan(self, model: str, to: str | None = None) -> RollbackPlan:
        """The pre-armed rollback of a model, fresh; ``to`` chooses another artifact than the default."""
        return self._parts.rollbacks.arm(model, to)

    def keep_rollbacks_armed(self) -> tuple[str, ...]:
        """Build in advance what `rollback_plan` will be asked for; the models of which that was. Needs no network.

        Costs nothing while nothing changes. Raises ConsoleError where a rollback cannot be prepared, and why.
        """
        return self._parts.rollbacks.keep_armed()

    def reworded(self, prepared: RollbackPlan, reason: str) -> Plan:
        """A prepared rollback's plan with another reason, and the branch of this moment. Raises Refused for none."""
        return self._parts.rollbacks.reworded(prepared, reason)

    def rollback(
        self, prepared: RollbackPlan, reason: str, report: Report | None = None, *, push: bool = True
    ) -> Submission:
        """Commit and push a prepared rollback."""
        return self.submit(self.reworded(prepared, reason), report, push=push)

    # --- branches ----------------------------------------------------------------------------------
    def land(self, branch: str, report: Report | None = None) -> Landing:
        """Bring a change branch into the base after the gate passed, and push it."""
        return self._parts.changes.land(branch, report)

    def push(self, branch: str) -> Submission:
        """Push a change branch that stayed local."""
        return self._parts.changes.push(branch)

    def approve(self, branch: str) -> Approval:
        """Approve another operator's change branch, signed and bound to its commit."""
        return self._parts.changes.approve(branch)

    def first_policy(self, *, push: bool = True, dry_run: bool = False) -> FirstPolicy:
        """Propose a first policy that names the caller as operator, and a registry where there is none."""
        return self._parts.changes.first_policy(push=push, dry_run=dry_run)

    # --- emergency ---------------------------------------------------------------------------------
    def kill(self, *, by_key: bool = False) -> KillView:
        """Engage the kill switch now; returns once the actuators ran (WRITTEN or a problem in words). Never raises."""
        person = self._context.person
        view = self._context.kill_desk.kill(person.at_once(), "key" if by_key else "mlconsole", person.full)
        self._context.notifier.tell("kill", f"{person.at_once()} engaged the kill switch: {view.rung.value}.")
        return view

    def release(self, typed: str, reason: str) -> KillView:
        """Release the kill switch. Raises Refused unless ``typed`` is ``RELEASE`` and there is a reason."""
        self._context.require_write()
        if typed != RELEASE_WORD:
            raise Refused("The release was not confirmed.", f"Type {RELEASE_WORD} exactly.")
        if not reason.strip():
            raise Refused("A release needs a reason.", "Say in one sentence why models may act again.")
        person = self._context.person.full()
        view = self._context.kill_desk.release(person, reason.strip())
        self._context.notifier.tell("release", f"{person} released the kill switch: {reason.strip()}.")
        return view

    def release_warnings(self) -> tuple[str, ...]:
        """List reasons against releasing now: a breached SLO, a condemned artifact."""
        return self._parts.release_warnings()

    def kill_view(self) -> KillView:
        """The switch and its receipt ladder, read back from file and metrics now."""
        return self._context.kill_desk.view()

    def watches(self) -> tuple[Watch, ...]:
        """Every watch over a newly active model that is on disk, ended ones included."""
        return self._parts.watches.known()

    def claim_watch(self, model: str) -> str:
        """Take over a running watch; the sentence about it. Raises Refused where none is running."""
        self._context.require_write()
        return self._parts.watches.claim(model)

    def incident(self, since: datetime) -> Incident:
        """The timeline of all actions and observations since a moment."""
        return self._parts.incident(since)

    # --- doctor ------------------------------------------------------------------------------------
    def who(self) -> str:
        """The git identity of new commits. Raises Refused when git has none configured."""
        return self._context.repository.identity().email

    def describe_registry(self) -> str:
        """Describe the registry's place and size. Raises what reading it raises."""
        return self._parts.doctor.registry()

    def describe_policy(self) -> str:
        """Name the operators. Raises Usage for a mistake in the policy, Refused when it names nobody."""
        return self._parts.doctor.policy()

    def describe_signatures(self) -> str:
        """Say if the gate identifies people by signatures. Raises Refused for a list with faults."""
        return self._parts.doctor.signatures()

    def describe_clone(self) -> str:
        """Describe the clone: branch, bare or shallow, operation under way, remotes. Raises Usage without one."""
        return self._parts.doctor.clone()

    def describe_remote(self) -> str:
        """Check that the remote answers. Raises Unavailable when it does not."""
        return self._parts.doctor.remote()

    def describe_prometheus(self) -> str:
        """Check that Prometheus answers and knows the engine's metrics. Raises Unavailable when not."""
        return self._parts.doctor.prometheus()

    def describe_sandbox(self) -> str:
        """Describe the sandbox's barriers on this machine. Raises Unavailable without onnxruntime."""
        return self._parts.doctor.sandbox()

    def describe_runtime(self) -> str:
        """Check that onnxruntime gives the golden artifact's outputs, which an upgrade may change."""
        return self._parts.doctor.runtime()

    def describe_rules(self) -> str:
        """Check that the policy's alert rules are loaded. Raises Unavailable when not."""
        return self._parts.doctor.rules()

    def describe_journal(self) -> str:
        """Describe the changes that a dead process left. Raises Unavailable while the end of one is unknown."""
        return self._parts.doctor.journal()

    def troubleshoot(self, model: str) -> tuple[tuple[Check, str], ...]:
        """The runbook's troubleshooting of one model: what was checked, what was found, what to do."""
        return self._parts.doctor.model(model)
