"""Rollbacks are prepared before anybody asks: built when something changes, else never, without network."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from fakes import FrozenClock, error_rate
from support.clones import Clones, make_clones
from support.gatehouse import LIVE, MODEL, OLD, artifact_files, life

from console.config import load
from console.invocation import open_session
from ml.board import Board, OpenBranch
from ml.errors import Refused
from ml.registry import changes
from ml.registry.codec import Document
from ml.registry.schema import REGISTRY_PATH
from ml.session import Session
from ml.session.artifacts import CommitArtifacts
from ml.session.context import Context
from ml.session.registries import Registries
from ml.session.rollbacks import RollbackPlans, Rollbacks
from ml.stage import Stage
from ml.verdict import Reading


@dataclass
class Counted:
    """Hands everything on to a real part, and counts how often it is asked."""

    part: Any
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self.part, name)


@dataclass
class Room:
    """A session's rollbacks, the board that they know, and counters on git and on the sandbox."""

    clones: Clones
    document: Document
    session: Session
    context: Context
    clock: FrozenClock
    git: Counted
    sandbox: Counted
    last: Board | None = None

    @cached_property
    def rollbacks(self) -> Rollbacks:
        """Under test."""
        registries, artifacts = Registries(self.context), CommitArtifacts(self.context)
        plans = RollbackPlans(self.context, registries, artifacts, self)
        return Rollbacks(self.context, registries, plans, self.session.changes)

    def poll(self, *readings: Reading, branches: Sequence[OpenBranch] = ()) -> None:
        """One poll of the registry; Prometheus says what the test says."""
        board = self.session.boards.poll()
        models = tuple(replace(model, active_readings=readings) for model in board.models)
        registry = replace(board.registry, branches=tuple(branches))
        self.last = replace(board, models=models, registry=registry)

    def cost(self) -> tuple[int, int]:
        """Questions to git, and verifications, since the last time."""
        counts = len(self.git.calls), self.sandbox.calls.count("verify")
        self.git.calls.clear()
        self.sandbox.calls.clear()
        return counts

    def registry_moves(self) -> None:
        """Somebody else withdraws what is in shadow, and lands it; we fetch."""
        moved = changes.withdraw(
            self.document, MODEL, Stage.SHADOW, by="second@example.com", reason="Found wanting", at=datetime.now(UTC)
        )
        other = self.clones.another("other")
        other.commit("Withdraw what soaks", {REGISTRY_PATH: moved.raw})
        other.git("push", "-q", "origin", "main")
        self.clones.operator.git("fetch", "-q")


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    document = life(datetime.now(UTC).replace(microsecond=0) - timedelta(days=1))
    files: dict[str, str | bytes] = {REGISTRY_PATH: document.raw} | artifact_files(OLD) | artifact_files(LIVE)
    clones = make_clones(tmp_path, files)
    session = open_session(load(repo=str(clones.operator.path)))
    whole = session.context
    git, sandbox, clock = Counted(whole.repository), Counted(whole.verifier()), FrozenClock(datetime.now(UTC))
    context = replace(whole, repository=git, verifier=lambda: sandbox, clock=clock)
    return Room(clones, document, session, context, clock, git, sandbox)


def test_the_first_board_arms_and_the_key_then_costs_no_verification(room: Room) -> None:
    assert room.rollbacks.keep_armed() == ()
    room.poll()
    assert room.rollbacks.keep_armed() == (MODEL,)
    assert room.cost()[1] == 1
    plan = room.rollbacks.plan(MODEL)
    assert (plan.from_artifact, plan.to_artifact) == (LIVE, OLD)
    assert plan.built_at == room.clock.now()
    assert room.cost()[1] == 0
    assert room.rollbacks.plan(MODEL) is plan


def test_nothing_changed_costs_nothing_until_the_plan_is_a_minute_old(room: Room) -> None:
    room.poll()
    room.rollbacks.keep_armed()
    armed = room.rollbacks.plan(MODEL)
    for _ in range(10):
        room.clock.advance(5)
        room.poll()
        room.cost()
        assert room.rollbacks.keep_armed() == ()
        assert room.cost() == (0, 0)
    room.clock.advance(10)
    assert room.rollbacks.keep_armed() == (MODEL,)
    assert room.cost()[1] == 0
    fresh = room.rollbacks.plan(MODEL)
    assert fresh.built_at
    assert armed.built_at
    assert fresh.built_at - armed.built_at == timedelta(seconds=60)


def test_a_registry_that_moved_is_armed_for_without_another_verification(room: Room) -> None:
    room.poll()
    room.rollbacks.keep_armed()
    before = room.rollbacks.plan(MODEL)
    room.registry_moves()
    room.cost()
    pressed_at_once = room.rollbacks.plan(MODEL)
    assert pressed_at_once.plan
    assert before.plan
    assert pressed_at_once.plan.target.base_commit == room.clones.tip() != before.plan.target.base_commit
    assert room.cost()[1] == 0
    room.poll()
    assert room.rollbacks.keep_armed() == ()
    assert room.rollbacks.plan(MODEL) is pressed_at_once


def test_the_keeper_sees_a_moved_registry_by_itself(room: Room) -> None:
    room.poll()
    room.rollbacks.keep_armed()
    room.registry_moves()
    room.poll()
    assert room.rollbacks.keep_armed() == (MODEL,)
    armed = room.rollbacks.plan(MODEL)
    assert armed.plan
    assert armed.plan.target.base_commit == room.clones.tip()


def test_a_breach_and_a_branch_that_would_undo_it_are_in_the_plan_as_soon_as_the_board_has_them(room: Room) -> None:
    room.poll()
    room.rollbacks.keep_armed()
    assert room.rollbacks.plan(MODEL).breaching == ()
    who, when = "second@example.com", room.clock.now()
    branch = OpenBranch("promote/again", "e" * 40, "promote", MODEL, LIVE, "active", who, when, pushed=True)
    room.poll(error_rate(), branches=(branch,))
    assert room.rollbacks.keep_armed() == (MODEL,)
    armed = room.rollbacks.plan(MODEL)
    assert armed.breaching == (error_rate(),)
    assert armed.reason.startswith("EMERGENCY: error_rate: ")
    assert armed.reviving == ("promote/again",)
    room.poll(replace(error_rate(), value=0.5, why="50 % is not below 5 %."), branches=(branch,))
    assert room.rollbacks.keep_armed() == (MODEL,)
    assert "50 %" in room.rollbacks.plan(MODEL).reason


def test_without_a_network_it_is_armed_all_the_same(room: Room) -> None:
    shutil.rmtree(room.clones.remote.path)
    room.poll()
    assert room.rollbacks.keep_armed() == (MODEL,)
    assert room.rollbacks.plan(MODEL).plan


def test_an_armed_plan_that_its_keeper_neglects_is_not_offered(room: Room) -> None:
    room.poll()
    room.rollbacks.keep_armed()
    old = room.rollbacks.plan(MODEL)
    room.clock.advance(91)
    assert room.rollbacks.plan(MODEL) is not old


def test_what_cannot_be_built_is_told(room: Room) -> None:
    room.clones.operator.git("config", "user.email", "")
    room.poll()
    with pytest.raises(Refused):
        room.rollbacks.keep_armed()


def test_a_read_only_session_arms_nothing(room: Room) -> None:
    room.context = replace(room.context, place=replace(room.context.place, read_only=True))
    room.poll()
    assert room.rollbacks.keep_armed() == ()
    assert room.cost() == (0, 0)


def test_a_release_is_warned_of_what_breaches_of_what_is_live_and_of_a_condemned_artifact(room: Room) -> None:
    room.poll(error_rate())
    assert room.last
    (model,) = room.last.models
    room.session.boards.last = replace(room.last, models=(replace(model, condemned=(LIVE,)),))
    breached, condemned = room.session.boards.release_warnings()
    assert breached.startswith(f"{MODEL}: error_rate is breached: ")
    assert condemned == f"{MODEL}: {LIVE} is active and condemned."
