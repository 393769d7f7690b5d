"""The façade: everything that the interface and the command line can ask for, and the only place that
enforces read-only, role and freeze. Methods block; callers run them off the event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ml.board import Board, Glance, HistoryRow, KillView, Source, SoakReport
from ml.ports import Report
from ml.promotion.values import Checklist, Landing, Plan, RollbackPlan, Submission, Target
from ml.stage import Stage
from ml.verdict import Check, Gate


class Operations:
    """One console session on one repository."""

    # --- looking -----------------------------------------------------------------------------------
    def glance(self) -> Glance:
        """Names and stages for the first frame: local object database only, no network, not judged."""
        raise NotImplementedError

    def board(self) -> Board:
        """One poll: registry at its ref, one request per objective, kill switch. Never raises for a sick source."""
        raise NotImplementedError

    def fetch(self) -> Source:
        """Fetch the registry's remote; the state of the remote afterwards."""
        raise NotImplementedError

    def soak(self, model: str) -> SoakReport:
        """The whole soak of the model's shadow artifact: tapes, gates, readings, queries."""
        raise NotImplementedError

    def history(self, model: str) -> tuple[HistoryRow, ...]:
        """A model's events, newest first."""
        raise NotImplementedError

    def log(self, limit: int = 200) -> tuple[str, ...]:
        """The newest lines of the audit log, newest first, each already one readable sentence."""
        raise NotImplementedError

    def verify(self, artifact_dir: str, report: Report | None = None) -> tuple[Check, ...]:
        """Verify one artifact directory (relative to the repository root) in a cage."""
        raise NotImplementedError

    # --- promotion ---------------------------------------------------------------------------------
    def target(self, model: str, to_stage: Stage) -> Target:
        """Freeze a promotion: the artifact in the stage below, its digest, the base commit.

        Raises: Refused (nothing to promote, illegal hop), Unavailable, Invalid (broken registry).
        """
        raise NotImplementedError

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
        """Judge every gate of the hop anew. ``on_gate`` gets each gate as it is known (WAIT while running).

        ``finding`` is the reviewer's dashboard finding, ``waivers`` maps gate name to reason,
        ``on_output`` takes lines of the unit tests as they are printed (already made visible).
        The gate ``ack`` of a hop to active is WAIT until `plan` gets the phrase.
        """
        raise NotImplementedError

    def plan(self, checklist: Checklist, reason: str, *, ack: str = "") -> Plan:
        """Compute the change: new registry, branch, message, PR body. Writes nothing.

        Raises: Invalid (a gate is closed), Refused (role, freeze, wrong ACK, read-only).
        """
        raise NotImplementedError

    def submit(self, plan: Plan, report: Report | None = None) -> Submission:
        """Commit the plan to its branch, push it, read the remote back. One at a time.

        Raises: Conflict (registry moved), Refused (read-only; remote hook, with its words).
        """
        raise NotImplementedError

    def plan_stage(self, artifact_dir: str, model: str, reason: str, report: Report | None = None) -> Plan:
        """Plan to put a verified artifact directory into a model's staging, its files included in the commit."""
        raise NotImplementedError

    def plan_withdraw(self, model: str, stage: Stage, reason: str) -> Plan:
        """Plan to clear staging or shadow."""
        raise NotImplementedError

    # --- rollback ----------------------------------------------------------------------------------
    def rollback_plan(self, model: str, to: str | None = None) -> RollbackPlan:
        """The pre-armed rollback of a model, fresh; ``to`` chooses another artifact than the default."""
        raise NotImplementedError

    def rollback(self, prepared: RollbackPlan, reason: str, report: Report | None = None) -> Submission:
        """Commit and push a prepared rollback."""
        raise NotImplementedError

    # --- branches ----------------------------------------------------------------------------------
    def land(self, branch: str, report: Report | None = None) -> Landing:
        """Fast-forward the base branch to a change branch after the gate passed, and push it."""
        raise NotImplementedError

    def push(self, branch: str) -> Submission:
        """Push a change branch that stayed local."""
        raise NotImplementedError

    # --- emergency ---------------------------------------------------------------------------------
    def kill(self, *, by_key: bool = False) -> KillView:
        """Engage the kill switch now; returns once the actuators ran (WRITTEN or a problem in words)."""
        raise NotImplementedError

    def release(self, typed: str, reason: str) -> KillView:
        """Release the kill switch; ``typed`` must be ``RELEASE``. Raises Refused otherwise."""
        raise NotImplementedError

    def release_warnings(self) -> tuple[str, ...]:
        """What speaks against releasing now: a breached SLO, a condemned artifact."""
        raise NotImplementedError

    def kill_view(self) -> KillView:
        """The switch and its receipt ladder, read back from file and metrics now."""
        raise NotImplementedError
