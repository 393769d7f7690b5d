"""Each hole that was in the gate once, put back by hand: the attacking machine must get through it.

A rule is taken out of the hook's own process (`attack.holes`). `make test` replays for each hole the shortest attack
that gets through; `make attack` lets the machine look for it, from seeds that know nothing of the hole, and prints in
how many pushes it was found.
"""

from __future__ import annotations

import random

import pytest

from attack.crowd import Crowd
from attack.driver import Tally, Wrong, drawn, lived
from attack.holes import HOLES
from attack.known import KNOWN
from attack.machine import Attack
from attack.test_attack import PUSHES, world

__all__ = ["world"]
pytestmark = [pytest.mark.xdist_group("attack"), pytest.mark.timeout(3600)]
SEEDS = (1, 2, 3)
MOST = 1000
"""The most pushes from one seed; another seed is tried where they find nothing."""
QUICK = ("a merge takes main back",)
"""A hole that the machine finds within some pushes, so that `make test` lets it look for it as well."""


@pytest.mark.parametrize("hole", sorted(HOLES))
def test_a_known_attack_gets_through(world: Crowd, monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    known = next(each for each in KNOWN if each.name == HOLES[hole].known)
    assert _wrong(world, known.life) is None
    monkeypatch.setenv("ATTACK_HOLE", hole)
    wrong = _wrong(world, known.life)
    assert wrong is not None, "the attack did not get through"
    assert "an illegal push was accepted" in wrong.what, wrong


@pytest.mark.parametrize("hole", sorted(HOLES) if PUSHES > 200 else QUICK)
def test_the_machine_finds_it(
    world: Crowd, monkeypatch: pytest.MonkeyPatch, record_property: pytest.RecordProperty, hole: str
) -> None:
    monkeypatch.setenv("ATTACK_HOLE", hole)
    found = ((seed, _found(world, seed)) for seed in SEEDS)
    seed, push = next(((seed, push) for seed, push in found if push), (0, 0))
    told = f"by push {push} of seed {seed}" if push else f"not in {MOST} pushes of {len(SEEDS)} seeds"
    record_property("count", f"hole: {hole}: found {told}")
    print(f"hole: {hole}: found {told}", flush=True)  # noqa: T201 a long run shows what it has
    assert push, "the machine is blind to this hole"


def _found(world: Crowd, seed: int) -> int:
    """The push by which the machine gets through; 0 where it does not."""
    Attack.world, Attack.tally = world, Tally(most=MOST)
    seeded = random.Random(seed)
    while Attack.tally.pushes < MOST:
        wrong = lived(Attack, drawn(Attack, seeded), replayed=False, full=lambda: Attack.tally.pushes >= MOST)
        if wrong and "an illegal push was accepted" in wrong.what:
            return Attack.tally.pushes
        assert wrong is None or "the hook crashed" not in wrong.what, wrong
    return 0


def _wrong(world: Crowd, life: tuple[object, ...]) -> Wrong | None:
    Attack.world, Attack.tally = world, Tally(most=1 << 30)
    return lived(Attack, life, replayed=True, full=lambda: False)  # type: ignore[arg-type]
