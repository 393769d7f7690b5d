"""Rollbacks pre-armed: built and verified before anybody asks, and built anew when what they rest on changes (SPEC §6).

A plan rests on the base's commit (which holds the artifacts' files too, so that their identity is the commit's), on
what breaches, and on the open branches. All of it is in the last board, so that looking costs nothing while nothing
changes; no network is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from ml.board import Board
from ml.errors import ConsoleError
from ml.operations.context import Context
from ml.operations.registries import Base, Registries
from ml.operations.rollback_plans import RollbackPlans, breaches, failing, revivers
from ml.promotion.values import Plan, RollbackPlan

_REST_S = 60.0
"""A plan is built anew at least this often, because it names its time."""
_OFFERED_S = 90.0
"""How old a plan may be when it is offered; one that its keeper neglects is built when it is asked for."""
_SHARE = 100.0
"""Building again may take a hundredth of the time, and a tenth of it when something changed."""
_MOST_KEPT = 8
"""So many models are kept armed; a registry of a thousand must not cost a core."""


@dataclass(frozen=True, slots=True)
class _Armed:
    """A prepared rollback, what it rests on, when it was built (monotonic seconds), and how long that took."""

    commit: str
    situation: tuple[str, ...]
    prepared: RollbackPlan
    at: float
    took_s: float


class Rollbacks:
    """Keeps rollbacks armed."""

    def __init__(self, context: Context, registries: Registries, plans: RollbackPlans) -> None:
        self._context = context
        self._registries = registries
        self._plans = plans
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._armed: dict[str, _Armed] = {}

    def arm(self, model: str, to: str | None = None) -> RollbackPlan:
        """The rollback of a model: the one that is armed, where nothing has changed since; else built now.

        Raises:
            Refused: there is no such model, or ``to`` was never active or does not verify.
            Unavailable: the repository or the cage cannot be used.
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
        board = self._plans.last_board()
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

    def _holds(self, armed: _Armed, base: Base, model: str) -> bool:
        """Whether an armed plan may be offered, although what breaches may read a little different by now.

        One that found nothing to offer is looked at again: the disk that was full may have been emptied.
        """
        age = self._context.clock.monotonic() - armed.at
        same = (armed.commit, armed.situation) == (base.commit, _situation(self._plans.last_board(), model))
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
        situation, begun = _situation(self._plans.last_board(), model), self._context.clock.monotonic()
        prepared = self._plans.build(base, model)
        ended = self._context.clock.monotonic()
        self._armed[model] = _Armed(base.commit, situation, prepared, ended, ended - begun)
        return prepared

    def _turn(self, model: str) -> threading.Lock:
        """One builds a model's plan at a time; who comes meanwhile takes what the other built."""
        with self._lock:
            return self._turns.setdefault(model, threading.Lock())


def _situation(board: Board | None, model: str) -> tuple[str, ...]:
    """What a plan shows of the moment: what breaches, and which branches would undo it."""
    view = board.model(model) if board else None
    names = (reading.name for reading in breaches(board, model))
    return (*names, *revivers(board, view.active.artifact_id if view else None))


def _by_need(board: Board) -> list[str]:
    """The models in which something is active; those that breach first, then those that are watched."""
    watched = {watch.model for watch in board.watches}
    live = [model for model in board.models if model.active.artifact_id]
    return [model.name for model in sorted(live, key=lambda model: (not failing(model), model.name not in watched))]
