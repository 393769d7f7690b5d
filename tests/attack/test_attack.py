"""Strangers, developers and operators attack a guarded repository, and nothing illegal lands.

``make test`` tries 200 pushes from one seed, ``make attack`` 5,000 from a seed of the day, which is printed and can be
given again: ``ATTACK_SEED=… make attack``.
"""

from __future__ import annotations

import ast
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gatehouse import FRESH, STRANGER

from attack.crowd import Crowd, crowd
from attack.driver import Tally, Wrong, run
from attack.known import KNOWN, Known
from attack.machine import JUNK, SLOTS, Attack

HERE = Path(__file__).parent
PUSHES = int(os.environ.get("ATTACK_PUSHES", "200"))
SEED = int(os.environ.get("ATTACK_SEED") or (19 if PUSHES <= 200 else random.SystemRandom().randrange(1 << 32)))
pytestmark = [pytest.mark.xdist_group("attack"), pytest.mark.timeout(max(900, PUSHES * 4))]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """Everything that the attackers need, once."""
    home = tmp_path_factory.mktemp("attack")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        with crowd(home) as opened:
            yield opened


def test_nothing_illegal_lands(world: Crowd, record_property: pytest.RecordProperty) -> None:
    tally = Tally(most=PUSHES)
    Attack.world, Attack.tally = world, tally
    print(f"attack seed {SEED}")  # noqa: T201
    try:
        run(Attack, tally, SEED, go_on=bool(os.environ.get("ATTACK_ALL")))
    finally:
        legal, taken = sum(tally.tried.values()), sum(tally.honest.values())
        record_property("count", f"pushes tried {tally.pushes}, illegal accepted {tally.illegal}")
        record_property("count", f"attack: seed {SEED}, {taken} of {legal} legal changes taken: {dict(tally.honest)}")
        record_property("count", f"attack: refused by {dict(tally.refused)}, never pushed {tally.unplanned.total()}")
    assert tally.illegal == 0
    assert taken >= PUSHES // 10, f"the machine proves little: {tally.honest}"


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name.replace(" ", "-"))
def test_what_got_through_once_is_refused(world: Crowd, known: Known) -> None:
    attack = _lived(world, known, Attack)
    assert attack.taken is known.lands, attack.story


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name.replace(" ", "-"))
def test_without_the_hook_the_oracle_sees_it(world: Crowd, known: Known) -> None:
    with pytest.raises(Wrong, match=f"illegal push was accepted.*({known.sin})"):
        _lived(world, known, Unguarded)


class Unguarded(Attack):
    """A repository without the hook."""

    guarded = False


def _lived(world: Crowd, known: Known, kind: type[Attack]) -> Attack:
    Attack.world, Attack.tally = world, Tally(most=1 << 30)
    attack = kind(replayed=True)
    for move in known.life:
        getattr(attack, move.name)(**dict(move.arguments))
    return attack


@pytest.mark.parametrize("slot", SLOTS)
def test_whatever_is_put_among_approvals_an_operators_change_lands(world: Crowd, slot: str) -> None:
    attack = _four_eyes(world)
    attack.junk_approval(junk="an approval of their own", slot=slot, who=STRANGER)
    assert attack.taken, attack.story


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("slot", ["of the first edition", "the folder of all approvals", "any"])
def test_junk_that_was_there_before_the_hook_holds_nothing_up(world: Crowd, junk: str, slot: str) -> None:
    attack = _four_eyes(world)
    attack.junk_approval(junk=junk, slot=slot, who=STRANGER, older=True)
    assert attack.taken, attack.story


def _four_eyes(world: Crowd) -> Attack:
    Attack.world, Attack.tally = world, Tally(most=1 << 30)
    attack = Attack(replayed=True)
    attack.begin(rules="four", lived="usual", moved=False, denies=False)
    return attack


def test_the_warm_hook_says_what_the_cold_one_says(world: Crowd) -> None:
    """The same pushes to two copies of a repository; one hook starts Python anew, as on a server."""
    Attack.world, Attack.tally = world, Tally(most=1 << 30)
    told = []
    for python in (world.python, Path(sys.executable)):
        attack = Attack(replayed=True)
        attack.begin(rules="plain", lived="usual", moved=False, denies=False)
        world.git(attack.remote, "config", "mlconsole.python", str(python))
        attack.tamper(what="names an operator", who=STRANGER, key="none", keep=False)
        attack.ride_along(step="stage", what="replaces the bytes of staging", before=False, who=STRANGER)
        attack.honest(step="stage", artifact=FRESH, lands="as it is")
        attack.code(who=STRANGER, keep=False)
        told.append(attack.story)
    assert told[0] == told[1]
    assert told[0][-1].endswith("taken")


def test_the_oracle_shares_no_code_with_the_gate() -> None:
    allowed = {"__future__", "collections", "dataclasses", "datetime", "functools", "hashlib", "json", "os", "pathlib"}
    allowed |= {
        "posixpath",
        "re",
        "subprocess",
        "tempfile",
        "time",
        "tomllib",
        "typing",
        "attack.ledger",
        "attack.steps",
    }
    for name in ("oracle.py", "steps.py", "ledger.py"):
        for node in ast.walk(ast.parse((HERE / name).read_text())):
            if isinstance(node, ast.Import):
                assert {each.name for each in node.names} <= allowed
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").removesuffix(".abc") in allowed
