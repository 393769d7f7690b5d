"""What a rollback would do: its target chosen from the history, verified, and planned (SPEC §6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from ml.board import Board, ModelView
from ml.errors import ConsoleError, Refused
from ml.operations.artifacts import CommitArtifacts
from ml.operations.context import Context
from ml.operations.registries import Base, Registries
from ml.promotion.evidence import Verified, build
from ml.promotion.gates import freeze_exemption, return_gate, role_gate
from ml.promotion.origins import FoundPointer, Search
from ml.promotion.plan import Proposal, plan_rollback
from ml.promotion.values import Candidate, Plan, RollbackPlan, Target
from ml.registry.history import condemned, rollback_candidates, tenure
from ml.registry.schema import Model, Pointer
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Check, Reading, Verdict


@dataclass(frozen=True, slots=True)
class _Option:
    """An artifact that was active once, its pointer, and what its verification found."""

    found: FoundPointer
    model_sha256: str
    candidate: Candidate
    checks: tuple[Check, ...]


class RollbackPlans:
    """Builds rollbacks; ``last_board`` tells what is breaching and which branches are open."""

    def __init__(
        self,
        context: Context,
        registries: Registries,
        artifacts: CommitArtifacts,
        last_board: Callable[[], Board | None],
    ) -> None:
        self._context = context
        self._registries = registries
        self._artifacts = artifacts
        self.last_board = last_board

    def reworded(self, prepared: RollbackPlan, reason: str) -> Plan:
        """The plan with another reason. Raises Refused when there is nothing to roll back."""
        if prepared.plan is None:
            raise Refused(prepared.why, "There is nothing to confirm.")
        if reason == prepared.reason:
            return prepared.plan
        base = self._registries.at(prepared.plan.target.base_commit, despite_policy=True)
        assert prepared.found is not None
        return self._plan(base, prepared.plan.target, reason, prepared.checks, prepared.found)

    def build(self, base: Base, name: str, to: str | None = None) -> RollbackPlan:
        """The rollback of a model on a base; ``to`` chooses another artifact than the default.

        Raises:
            Refused: there is no such model, or ``to`` was never active or does not verify.
            Unavailable: the repository or the cage cannot be used.
        """
        model, now = base.whole(name), self._context.clock.now()
        breaching = breaches(self.last_board(), name)
        found = RollbackPlan(
            model=name,
            from_artifact=model.active.artifact_id if model.active else "",
            to_artifact="",
            why="",
            reason=_reason(breaching),
            plan=None,
            breaching=breaching,
            condemned=tuple(sorted(condemned(model))),
            built_at=now,
        )
        if model.active is None:
            return replace(found, why=f"Nothing is active in {visible(name)}, so there is nothing to roll back.")
        if to == model.active.artifact_id:
            return replace(found, why=f"{visible(to)} is active already.")
        options = [self._option(base, name, model, pointer) for pointer in rollback_candidates(model)]
        found = replace(
            found,
            candidates=tuple(option.candidate for option in options),
            reviving=revivers(self.last_board(), model.active.artifact_id),
        )
        chosen = _chosen(options, to)
        if chosen is None:
            return replace(found, why="No earlier active artifact verifies; choose a model by hand and stage it.")
        return self._armed_with(base, found, chosen)

    def _armed_with(self, base: Base, found: RollbackPlan, chosen: _Option) -> RollbackPlan:
        pointer = chosen.found.pointer
        target = Target(
            action=Action.ROLLBACK,
            model=found.model,
            from_stage=Stage.ACTIVE,
            to_stage=Stage.ACTIVE,
            artifact_id=pointer.artifact_id,
            artifact_dir=pointer.artifact_dir,
            model_sha256=chosen.model_sha256,
            base_commit=base.commit,
            registry_blob=base.blob,
            opened_at=self._context.clock.now(),
            actor=self._context.repository.identity().email,
        )
        return replace(
            found,
            to_artifact=pointer.artifact_id,
            why=_why(found, chosen),
            plan=self._plan(base, target, found.reason, chosen.checks, chosen.found),
            checks=chosen.checks,
            found=chosen.found,
            tenure_s=chosen.candidate.tenure_s,
        )

    def _plan(self, base: Base, target: Target, reason: str, checks: tuple[Check, ...], found: FoundPointer) -> Plan:
        context, now = self._context, self._context.clock.now()
        gates = (role_gate(base.policy, target.actor, target.action, target.to_stage),)
        places = context.place.places
        proposal = Proposal(
            target=target,
            document=base.document,
            reason=reason,
            at=now,
            evidence=build(
                target=target,
                policy=base.policy,
                gates=gates,
                now=now,
                tool_version=context.place.tool_version,
                verified=Verified(checks),
            ),
            archive=base.archives.get(target.model, b""),
            gates=gates,
            exemption=freeze_exemption(base.policy, now),
            places=places,
            origins=found.gathered,
        )
        return plan_rollback(proposal, found.pointer.model_copy(update={"model_sha256": target.model_sha256}))

    def _option(self, base: Base, name: str, model: Model, pointer: Pointer) -> _Option:
        place = self._context.place
        search = Search(self._context.repository, base.commit, place.places.registry, base.artifact_base)
        found = FoundPointer(pointer, ())
        try:
            found = search.find(name, base.model(name), model, pointer.artifact_id)
            verification = self._artifacts.standing(base, model, found.pointer)
            gate, checks = return_gate(verification), verification.checks
            verdict, why, digest = gate.verdict, gate.why, verification.model_sha256
        except ConsoleError as error:
            verdict, why, checks, digest = Verdict.ERROR, str(error), (), ""
        period = tenure(model, pointer.artifact_id)
        candidate = Candidate(
            artifact_id=pointer.artifact_id,
            active_from=period[0] if period else None,
            tenure_s=_seconds(period, self._context.clock.now()),
            verdict=verdict,
            why=why,
        )
        return _Option(found, digest, candidate, checks)


def breaches(board: Board | None, name: str) -> tuple[Reading, ...]:
    """The readings of what is live that fail now."""
    view = board.model(name) if board else None
    return failing(view) if view else ()


def failing(view: ModelView) -> tuple[Reading, ...]:
    """Those of one model, alerts included."""
    return tuple(reading for reading in view.active_readings if reading.verdict is Verdict.FAIL)


def revivers(board: Board | None, artifact_id: str | None) -> tuple[str, ...]:
    """The open branches that would bring an artifact (back)."""
    branches = board.registry.branches if board and artifact_id else ()
    return tuple(branch.name for branch in branches if branch.artifact_id == artifact_id)


def _chosen(options: list[_Option], to: str | None) -> _Option | None:
    if to is None:
        return next((option for option in options if option.candidate.verdict.opens), None)
    asked = next((option for option in options if option.candidate.artifact_id == to), None)
    if asked is None:
        known = ", ".join(option.candidate.artifact_id for option in options) or "none"
        raise Refused(f"{visible(to)} is no artifact to roll back to.", f"Candidates: {visible(known)}.")
    if not asked.candidate.verdict.opens:
        raise Refused(f"{visible(to)} does not verify: {asked.candidate.why}", "Choose another candidate.")
    return asked


def _why(found: RollbackPlan, chosen: _Option) -> str:
    skipped = [item.artifact_id for item in found.candidates if not item.verdict.opens]
    why = f"the latest earlier active artifact than {found.from_artifact} that is not condemned and verifies"
    return f"{why}; passed over: {', '.join(skipped)}" if skipped else why


def _reason(breaching: tuple[Reading, ...]) -> str:
    told = "; ".join(f"{reading.name}: {reading.why.rstrip('.')}" for reading in breaching)
    return f"EMERGENCY: {told or 'rollback by the operator'}"[:500]


def _seconds(period: tuple[datetime, datetime | None] | None, now: datetime) -> int | None:
    if period is None:
        return None
    since, until = period
    return int(((until or now) - since).total_seconds())
