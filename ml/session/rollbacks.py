"""The plan of a rollback: its target chosen from the history, verified, and planned (contract §6)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from ml.board import Board, ModelView
from ml.errors import ConsoleError, Refused
from ml.ports import Report
from ml.promotion.evidence import Verified, build
from ml.promotion.gates import freeze_exemption, permission_gates, return_gate
from ml.promotion.origins import FoundPointer, Search
from ml.promotion.plan import Proposal, plan_rollback
from ml.promotion.values import Candidate, Plan, RollbackPlan, Submission, Target
from ml.registry.history import condemned, rollback_candidates, tenure
from ml.registry.schema import Model, Pointer
from ml.session.artifacts import CommitArtifacts
from ml.session.changes import Changes
from ml.session.context import Context
from ml.session.registries import Base, Registries
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


class LastBoard(Protocol):
    """The board of the last poll, as `ml.session.boards.Boards` keeps it."""

    last: Board | None


class RollbackPlans:
    """Builds rollbacks; the last board has the current breaches and open branches."""

    def __init__(
        self,
        context: Context,
        registries: Registries,
        artifacts: CommitArtifacts,
        boards: LastBoard,
    ) -> None:
        self._context = context
        self._registries = registries
        self._artifacts = artifacts
        self._boards = boards

    @property
    def last_board(self) -> Board | None:
        """The board that breaches and open branches are taken from."""
        return self._boards.last

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
        """Build the rollback of a model on a base; ``to`` chooses another artifact than the default.

        Raises:
            Refused: there is no such model, or ``to`` was never active or does not verify.
            Unavailable: the repository or the sandbox cannot be used.
        """
        model, now = base.whole(name), self._context.clock.now()
        breaching = breaches(self.last_board, name)
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
            reviving=revivers(self.last_board, model.active.artifact_id),
        )
        chosen = _chosen(options, to)
        if chosen is None:
            return replace(found, why="No earlier active artifact verifies; choose a model by hand and stage it.")
        return self._armed_with(base, found, chosen)

    def _armed_with(self, base: Base, found: RollbackPlan, chosen: _Option) -> RollbackPlan:
        pointer = chosen.found.pointer
        target = Target.of(
            Action.ROLLBACK,
            found.model,
            Stage.ACTIVE,
            pointer,
            model_sha256=chosen.model_sha256,
            base_commit=base.commit,
            registry_blob=base.blob,
            opened_at=self._context.clock.now(),
            actor=self._context.repository.writer.identity().email,
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
        gates = permission_gates(base.policy, target, now)
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
            verification = self._artifacts.standing(base, model, found.pointer, contract=base.policy.contract(name))
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
    """The failing readings of the live artifact."""
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
    breaches = "; ".join(f"{reading.name}: {reading.why.rstrip('.')}" for reading in breaching)
    return f"EMERGENCY: {breaches or 'rollback by the operator'}"[:500]


def _seconds(period: tuple[datetime, datetime | None] | None, now: datetime) -> int | None:
    if period is None:
        return None
    since, until = period
    return int(((until or now) - since).total_seconds())


# Armed rollbacks: built and verified ahead of time, and built again when their inputs change.
#
# The inputs of a plan are the base's commit (which holds the artifacts' files too, so that it identifies them),
# the breaches, and the open branches. The last board has all of them, so that a check costs nothing while nothing
# changes; no network is asked.

_REST_S = 60.0
"""The maximum age of a plan before it is built again, because it names its time."""
_OFFERED_S = 90.0
"""The maximum age of a plan when it is offered; an older one is built again on request."""
_SHARE = 100.0
"""Building again may take a hundredth of the time, and a tenth of it when something changed."""
_MOST_KEPT = 8
"""The number of models with an armed plan; a registry of a thousand must not cost a core."""


@dataclass(frozen=True, slots=True)
class _Armed:
    """A prepared rollback, its inputs, its time (monotonic seconds), and the duration of its making."""

    commit: str
    situation: tuple[str, ...]
    prepared: RollbackPlan
    at: float
    took_s: float


class Rollbacks:
    """Keeps rollbacks armed."""

    def __init__(self, context: Context, registries: Registries, plans: RollbackPlans, changes: Changes) -> None:
        self._context = context
        self._registries = registries
        self._plans = plans
        self._changes = changes
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._armed: dict[str, _Armed] = {}

    def plan(self, model: str, to: str | None = None) -> RollbackPlan:
        """Return the rollback of a model: the armed one where nothing has changed since; else a new one.

        Raises:
            Refused: there is no such model, or ``to`` was never active or does not verify.
            Unavailable: the repository or the sandbox cannot be used.
        """
        base = self._registries.now(despite_policy=True)
        if to is not None:
            return self._plans.build(base, model, to)
        with self._turn(model):
            armed = self._armed.get(model)
            if armed is not None and self._holds(armed, base, model):
                return armed.prepared
            return self._build(base, model)

    def keep_armed(self) -> tuple[str, ...]:
        """Build what has changed or grown old since the last look; the models of which that was. For a thread.

        Raises:
            ConsoleError: one could not be built, and why; the others were.
        """
        board = self._plans.last_board
        due = tuple(self._due(board)) if board is not None and not self._context.place.read_only else ()
        if not due:
            return ()
        base, failed = self._registries.now(despite_policy=True), None
        for model in due:
            try:
                with self._turn(model):
                    self._build(base, model)
            except ConsoleError as error:
                failed = error
        if failed is not None:
            raise failed
        return due

    def reworded(self, prepared: RollbackPlan, reason: str) -> Plan:
        """The plan with another reason. Raises Refused when there is nothing to roll back."""
        return self._plans.reworded(prepared, reason)

    def submit(
        self, prepared: RollbackPlan, reason: str, report: Report | None = None, *, push: bool = True
    ) -> Submission:
        """Commit and push a prepared rollback. Raises what `reworded` and `Changes.submit` raise."""
        return self._changes.submit(self.reworded(prepared, reason), report, push=push)

    def _holds(self, armed: _Armed, base: Base, model: str) -> bool:
        """True if an armed plan is still valid, although the numbers of a breach may have changed a little.

        A plan that found nothing to offer is built again: a full disk may have been emptied.
        """
        age = self._context.clock.monotonic() - armed.at
        same = (armed.commit, armed.situation) == (base.commit, _situation(self._plans.last_board, model))
        return same and age < _OFFERED_S and armed.prepared.plan is not None

    def _due(self, board: Board) -> Iterator[str]:
        now = self._context.clock.monotonic()
        for model in _by_need(board)[:_MOST_KEPT]:
            armed = self._armed.get(model)
            if armed is None:
                yield model
                continue
            same = (armed.commit, armed.situation) == (board.registry.commit, _situation(board, model))
            same = same and armed.prepared.breaching == breaches(board, model)
            rest = max(_REST_S, armed.took_s * _SHARE) if same else armed.took_s * _SHARE / 10
            if now - armed.at >= rest:
                yield model

    def _build(self, base: Base, model: str) -> RollbackPlan:
        situation, begun = _situation(self._plans.last_board, model), self._context.clock.monotonic()
        prepared = self._plans.build(base, model)
        ended = self._context.clock.monotonic()
        self._armed[model] = _Armed(base.commit, situation, prepared, ended, ended - begun)
        return prepared

    def _turn(self, model: str) -> threading.Lock:
        """One builds a model's plan at a time; who comes meanwhile takes what the other built."""
        with self._lock:
            return self._turns.setdefault(model, threading.Lock())


def _situation(board: Board | None, model: str) -> tuple[str, ...]:
    """Return the current facts that a plan shows: the breaches, and the branches that would undo it."""
    view = board.model(model) if board else None
    names = (reading.name for reading in breaches(board, model))
    return (*names, *revivers(board, view.active.artifact_id if view else None))


def _by_need(board: Board) -> list[str]:
    """The models in which something is active; those that breach first, then those that are watched."""
    watched = {watch.model for watch in board.watches}
    live = [model for model in board.models if model.active.artifact_id]
    return [model.name for model in sorted(live, key=lambda model: (not failing(model), model.name not in watched))]
