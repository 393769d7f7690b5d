"""A promotion to active while the kill switch is not off: closed in the checklist as on the board, open by a waiver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clones import make_clones
from support.gatehouse import FRESH, LIVE, MODEL, OLD, POLICY, SOAKED, artifact_files, life
from support.trusting import configure

from console.config import load
from console.invocation import Invocation
from ml.codes import Code
from ml.errors import Invalid
from ml.promotion.values import KILL_GATE
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH
from ml.session import Session
from ml.stage import Stage
from ml.verdict import Gate, Verdict

CHECKS = '[checks]\nunit_tests = ["python3", "-c", "print(\'2 passed\')"]\n'
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    files: dict[str, str | bytes] = {
        REGISTRY_PATH: life(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5), staged=True).raw,
        POLICY_PATH: POLICY + CHECKS,
    }
    for name in (OLD, LIVE, SOAKED, FRESH):
        files |= artifact_files(name)
    here = make_clones(tmp_path, files).operator
    configure(here.path, f'[prometheus]\nurl = "{NOBODY}"\n')
    monkeypatch.chdir(here.path)
    return Invocation(repo=str(here.path)).session


def kill_file(text: str) -> None:
    path = load().kill_switch.file
    target = Path(path) if Path(path).is_absolute() else Path.cwd() / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def closed_by_a_kill(session: Session, to: Stage, **waivers: str) -> list[Gate]:
    target = session.changes.target(MODEL, to)
    checklist = session.checklists.judge(target, finding="Baseline stable", waivers=waivers)
    return [gate for gate in checklist.gates if gate.name == KILL_GATE]


def test_a_switch_that_is_off_makes_no_gate(session: Session) -> None:
    assert closed_by_a_kill(session, Stage.ACTIVE) == []
    kill_file("ML_KILL_SWITCH=0\n")
    assert closed_by_a_kill(session, Stage.ACTIVE) == []


@pytest.mark.parametrize(
    ("text", "verdict", "code"),
    [
        ("ML_KILL_SWITCH=1\n", Verdict.FAIL, Code.KILL_SWITCH_ON),
        ("ML_KILL_SWITCH=true\n", Verdict.NO_DATA, Code.KILL_SWITCH_UNKNOWN),
    ],
)
def test_checklist_and_board_say_the_same_and_an_operator_may_waive_it(
    session: Session, text: str, verdict: Verdict, code: Code
) -> None:
    kill_file(text)
    (gate,) = closed_by_a_kill(session, Stage.ACTIVE)
    assert (gate.verdict, gate.code, gate.waivable) == (verdict, code, True)
    (model,) = session.boards.poll().models
    (shown,) = [each for each in model.gates if each.name == KILL_GATE]
    assert (shown.verdict, shown.code) == (gate.verdict, gate.code)
    (waived,) = closed_by_a_kill(session, Stage.ACTIVE, kill_switch="the fix must be there before the release")
    assert waived.verdict is Verdict.WAIVED
    assert waived.was == gate.found


def test_shadow_and_rollback_are_not_held_up(session: Session) -> None:
    kill_file("ML_KILL_SWITCH=1\n")
    assert closed_by_a_kill(session, Stage.SHADOW) == []
    prepared = session.rollbacks.plan(MODEL, None)
    assert prepared.plan is not None
    assert KILL_GATE not in {gate.name for gate in prepared.plan.gates}


def test_a_kill_between_checklist_and_plan_closes_it(session: Session) -> None:
    """Every gate runs again after the acknowledgement."""
    target = session.changes.target(MODEL, Stage.ACTIVE)
    waivers = dict.fromkeys(("soak", "p99", "p999", "error_rate", "alerts", "review"), "no metrics in this test")
    checklist = session.checklists.judge(target, finding="Baseline stable", waivers=waivers)
    assert [gate.name for gate in checklist.blockers] == ["ack"]
    kill_file("ML_KILL_SWITCH=1\n")
    with pytest.raises(Invalid, match="kill_switch"):
        session.changes.plan(checklist, "Soaked", ack="I_UNDERSTAND_THIS_AFFECTS_TRADING", preview=False)
