"""The checklist's gates that are no service levels, and the unit tests on a clean export."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from ml.adapters.processes import run
from ml.artifacts.verification import CHECKS, Verification, complete
from ml.errors import Unavailable
from ml.policy import Checks, Policy, parse_policy
from ml.promotion.gates import (
    TestBench,
    artifact_id_gate,
    condemned_gate,
    freeze_exemption,
    freeze_gate,
    golden_gate,
    kill_gates,
    kill_warnings,
    not_staged_gate,
    role_gate,
    train_report_gate,
    unit_tests_gate,
    verify_gate,
)
from ml.registry.schema import Event, Model, Pointer
from ml.stage import Action, Stage
from ml.verdict import Check, Gate, Verdict

NOW = datetime(2026, 12, 24, 20, 0, tzinfo=UTC)
ID = "regime_v2026_02_16_001"


def verification(**verdicts: Verdict) -> Verification:
    checks = tuple(Check(name, verdicts.get(name, Verdict.PASS), f"{name} was looked at") for name in CHECKS)
    return Verification(artifact_id=ID, checks=complete(checks), model_sha256="a" * 64)


def model(**stages: str) -> Model:
    return Model(**{stage: Pointer(artifact_id=name, artifact_dir=f"x/{name}") for stage, name in stages.items()})


@pytest.mark.parametrize(
    ("gate", "verdict", "says"),
    [
        (artifact_id_gate(ID), Verdict.PASS, "well-formed"),
        (artifact_id_gate("golden_regime_v1"), Verdict.FAIL, "not of the form"),
        (artifact_id_gate("regime_v2026_02_30_001"), Verdict.FAIL, "no real date"),
        (verify_gate(verification()), Verdict.PASS, "13 checks"),
        (verify_gate(verification(digests=Verdict.FAIL)), Verdict.FAIL, "digests: digests was looked at"),
        (verify_gate(verification(train_report=Verdict.NO_DATA)), Verdict.PASS, "13 checks"),
        (train_report_gate(verification()), Verdict.PASS, "train_report"),
        (train_report_gate(verification(train_report=Verdict.NO_DATA)), Verdict.NO_DATA, "train_report"),
        (golden_gate(verification()), Verdict.PASS, "golden"),
        (golden_gate(verification(golden=Verdict.NO_DATA)), Verdict.VACUOUS, "ships no golden vectors"),
        (golden_gate(verification(golden=Verdict.FAIL)), Verdict.FAIL, "golden"),
        (golden_gate(verification(load=Verdict.FAIL, golden=Verdict.NO_DATA)), Verdict.NO_DATA, "golden"),
        (not_staged_gate(None, ID), Verdict.PASS, "no stage"),
        (not_staged_gate(model(active="other"), ID), Verdict.PASS, "no stage"),
        (not_staged_gate(model(shadow=ID), ID), Verdict.FAIL, "in shadow already"),
    ],
)
def test_gates_of_an_artifact(gate: Gate, verdict: Verdict, says: str) -> None:
    assert (gate.verdict, says in gate.why) == (verdict, True), gate.why


def test_verify_and_role_are_never_waivable() -> None:
    assert not verify_gate(verification()).waivable
    assert not role_gate(Policy(), "ann@example.com", Action.PROMOTE, Stage.ACTIVE).waivable


@pytest.mark.parametrize(
    ("operators", "actor", "action", "stage", "verdict"),
    [
        ("[]", "ann@example.com", Action.PROMOTE, Stage.ACTIVE, Verdict.VACUOUS),
        ('["ann@example.com"]', "ann@example.com", Action.PROMOTE, Stage.ACTIVE, Verdict.PASS),
        ('["ann@example.com"]', "Ann@example.com", Action.PROMOTE, Stage.ACTIVE, Verdict.FAIL),
        ('["ann@example.com"]', "eve@example.com", Action.PROMOTE, Stage.ACTIVE, Verdict.FAIL),
        ('["ann@example.com"]', "eve@example.com", Action.PROMOTE, Stage.SHADOW, Verdict.PASS),
        ('["ann@example.com"]', "eve@example.com", Action.ROLLBACK, Stage.ACTIVE, Verdict.PASS),
        ('["ann@example.com"]', "", Action.STAGE, Stage.STAGING, Verdict.FAIL),
    ],
)
def test_who_may_do_what(operators: str, actor: str, action: Action, stage: Stage, verdict: Verdict) -> None:
    policy = parse_policy(f"[roles]\noperators = {operators}\n".encode())
    assert role_gate(policy, actor, action, stage).verdict is verdict


def test_a_freeze_window_closes_and_is_named_as_exemption() -> None:
    window = 'from = 2026-12-24T18:00:00\nto = 2026-12-27T08:00:00\ntimezone = "Europe/Berlin"\nreason = "xmas"\n'
    policy = parse_policy(f"[[freeze]]\n{window}".encode())
    assert freeze_gate(policy, NOW).verdict is Verdict.FAIL
    assert freeze_exemption(policy, NOW) == "frozen until 2026-12-27T07:00:00Z: xmas"
    for outside in (NOW - timedelta(hours=4), NOW + timedelta(days=3)):
        assert freeze_gate(policy, outside).verdict is Verdict.PASS
        assert freeze_exemption(policy, outside) == ""


def test_what_a_rollback_left_is_condemned() -> None:
    events = (
        Event(at=NOW, action="promote", to_stage="active", artifact_id="new_v2026_01_01_001"),
        Event(at=NOW, action="rollback", from_stage="active", to_stage="active", artifact_id="old_v2026_01_01_001"),
    )
    left = Model(history=events)
    assert condemned_gate(left, "new_v2026_01_01_001").verdict is Verdict.FAIL
    assert condemned_gate(left, "old_v2026_01_01_001").verdict is Verdict.PASS


# --- unit tests on a clean export -------------------------------------------------------------------------


class OneFile:
    """A repository of one commit with one file; only `export` is asked for."""

    def export(self, commit: str, directory: Path, paths: Sequence[str] = ()) -> None:
        if commit != "c0ffee":
            raise Unavailable("There is no such commit.", "Fetch.")
        (directory / "said").write_text("from the commit\n")


def judged(command: str, commit: str = "c0ffee", deadline_s: float = 20) -> tuple[Gate, list[str]]:
    lines: list[str] = []
    bench = TestBench(
        repository=SimpleNamespace(objects=OneFile(), clone=SimpleNamespace(attributes=None), lfs=None),  # type: ignore[arg-type]
        commit=commit,
        checks=Checks(unit_tests=("sh", "-c", command), deadline_seconds=deadline_s),
        run=run,
        environ={"PATH": "/usr/bin:/bin", "HOME": "/", "SECRET_TOKEN": "hunter2"},
    )
    return unit_tests_gate(bench, lines.append), lines


def test_tests_run_on_the_commit_and_their_output_is_live_and_visible() -> None:
    gate, lines = judged("cat said; printf 'a\\033[2Jb\\n'; printf '3 passed'")
    assert lines == ["from the commit", "a␛[2Jb", "3 passed"]
    assert (gate.verdict, gate.why, len(gate.evidence)) == (Verdict.PASS, "3 passed", 64)


def test_tests_that_fail_say_so_with_their_last_line() -> None:
    gate, _ = judged("echo '1 failed'; echo; exit 1")
    assert (gate.verdict, gate.why) == (Verdict.FAIL, "the tests ended with 1: 1 failed")


@pytest.mark.parametrize(
    ("command", "commit", "deadline_s", "says"),
    [
        ("sleep 60", "c0ffee", 0.3, "did not end within"),
        ("true", "unknown", 20, "could not run: There is no such commit."),
        ("tr '\\0' x </dev/zero", "c0ffee", 20, "more than a log may hold"),
    ],
)
def test_tests_that_cannot_be_judged_are_errors(command: str, commit: str, deadline_s: float, says: str) -> None:
    gate, _ = judged(command, commit, deadline_s)
    assert (gate.verdict, says in gate.why) == (Verdict.ERROR, True), gate.why


def test_tests_see_no_secrets_of_the_session() -> None:
    _, lines = judged("env")
    assert not any("hunter2" in line for line in lines)
    assert any(line.startswith("PATH=") for line in lines)


def test_a_promotion_to_active_is_told_of_a_kill_switch_that_is_not_known_to_be_off() -> None:
    assert kill_gates(False) == ()
    assert [(gate.verdict, gate.waivable) for gate in kill_gates(True)] == [(Verdict.FAIL, True)]
    assert [gate.verdict for gate in kill_gates(None)] == [Verdict.NO_DATA]
    assert kill_warnings(False, Stage.ACTIVE) == ()
    assert kill_warnings(True, Stage.SHADOW) == ()
    assert "is on" in kill_warnings(True, Stage.ACTIVE)[0]
    assert "cannot be read" in kill_warnings(None, Stage.ACTIVE)[0]
