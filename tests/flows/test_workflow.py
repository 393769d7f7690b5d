"""The GitHub Actions workflow: its own shell lines, run on real commits, and nothing of a change inside them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.artifacts import ROOT
from support.gatehouse import POLICY, STRANGER, Gatehouse
from support.landings import merged
from test_gate_refuses import CASES

from ml.registry.schema import POLICY_PATH

WORKFLOW = (ROOT / ".github/workflows/registry-gate.yml").read_text()


def script(step: str) -> str:
    """The shell lines of a step."""
    block = WORKFLOW.split(f"- name: {step}\n")[1].split("run: |\n")[1]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith(" " * 10):
            break
        lines.append(line[10:])
    return "\n".join(lines)


def judged(
    house: Gatehouse, tmp_path: Path, base: str, head: str, event: str = "pull_request_target"
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "gate/bin").mkdir(parents=True)
    (tmp_path / "gate/bin/mlconsole").symlink_to(Path(sys.executable).with_name("mlconsole"))
    told = {"BASE": base, "HEAD": head, "EVENT": event, "RUNNER_TEMP": str(tmp_path)}
    env = os.environ | told | {"HOME": str(tmp_path)}
    argv = ["bash", "-e", "-o", "pipefail", "-c", script("Judge")]
    folder = house.clones.operator.path
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_a_legal_change_passes(house: Gatehouse, tmp_path: Path) -> None:
    ended = judged(house, tmp_path, house.main, house.made(house.withdraw()))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_an_illegal_change_fails_with_its_reason(house: Gatehouse, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "history_truncated")
    ended = judged(house, tmp_path, *case.made(house))
    assert ended.returncode == 1
    assert case.says in ended.stdout + ended.stderr


def test_a_branch_behind_the_base_is_judged_from_where_it_left(house: Gatehouse, tmp_path: Path) -> None:
    head = house.commit(house.main, [("engine.py", b"x = 1\n")], "Code", by=STRANGER)
    ahead = house.base({"other.py": "y = 1\n"})
    assert judged(house, tmp_path, ahead, head).returncode == 0


def test_a_change_planned_on_older_rules_is_to_be_planned_anew(house: Gatehouse, tmp_path: Path) -> None:
    stricter = house.base({POLICY_PATH: POLICY + "[soak]\nhours = 48\n"})
    ended = judged(house, tmp_path, stricter, house.made(house.to_active()))
    assert (ended.returncode, "another policy than the base's" in ended.stdout) == (1, True)


def test_a_rewound_base_is_noticed(house: Gatehouse, tmp_path: Path) -> None:
    ended = judged(house, tmp_path, house.made(house.withdraw()), house.main, "push")
    assert (ended.returncode, "would take commits away" in ended.stdout) == (1, True)


def test_a_push_of_a_branch_that_never_saw_the_base_is_noticed(house: Gatehouse, tmp_path: Path) -> None:
    ended = judged(house, tmp_path, house.base({"NOTES.md": "x"}), house.made(house.withdraw()), "push")
    assert (ended.returncode, "would take commits away" in ended.stdout) == (1, True)


def test_a_merge_queues_commit_passes(house: Gatehouse, tmp_path: Path) -> None:
    moved = house.base({"NOTES.md": "x"})
    head = merged(house, moved, house.made(house.withdraw()))
    ended = judged(house, tmp_path, moved, head, "merge_group")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_first_push_has_nothing_to_judge_it_by(house: Gatehouse, tmp_path: Path) -> None:
    assert judged(house, tmp_path, "0" * 40, house.main).returncode == 0


@pytest.mark.parametrize(
    "step",
    [
        *("Judge", "Install a pinned release of mlconsole", "Fetch the proposed commits and the approvals"),
        *("Fetch the proposed commits", "Run the base policy's unit tests on the change"),
    ],
)
def test_nothing_of_the_change_is_pasted_into_the_shell(step: str) -> None:
    assert "${{" not in script(step)


def test_the_change_cannot_bring_its_own_judge() -> None:
    assert "  pull_request_target:" in WORKFLOW.splitlines()
    assert "  pull_request:" not in WORKFLOW.splitlines()
    assert "permissions:\n  contents: read\n" in WORKFLOW
    assert "ref:" not in WORKFLOW


def test_the_judge_is_a_pinned_release_and_not_the_repositorys_own_code() -> None:
    install = script("Install a pinned release of mlconsole")
    assert "pip install --quiet ." not in WORKFLOW
    assert re.search(r"'mlconsole==\d+\.\d+\.\d+'", WORKFLOW)
    assert "-I -m pip install" in install
    assert "python -m" not in script("Judge")


# --- unit tests, run by the workflow itself -------------------------------------------------------------------------


def workflow_run(house: Gatehouse, tmp_path: Path, command: str, head_file: bytes) -> subprocess.CompletedProcess[str]:
    policy = f'{POLICY}[checks]\nunit_tests = ["sh", "-c", "{command}"]\n'
    base = house.base({POLICY_PATH: policy, "verdict": "0"})
    head = house.commit(base, [("verdict", head_file)], "Code", by=STRANGER)
    (tmp_path / "gate/bin").mkdir(parents=True)
    (tmp_path / "gate/bin/mlconsole").symlink_to(Path(sys.executable).with_name("mlconsole"))
    told = {"BASE": base, "HEAD": head, "RUNNER_TEMP": str(tmp_path), "SECRET_OF_THE_JOB": "hunter2"}
    argv = ["bash", "-e", "-o", "pipefail", "-c", script("Run the base policy's unit tests on the change")]
    env = os.environ | told | {"HOME": str(tmp_path)}
    folder = house.clones.operator.path
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(("says", "code"), [(b"0", 0), (b"1", 1)])
def test_the_workflow_runs_the_bases_tests_on_the_head_itself(
    house: Gatehouse, tmp_path: Path, says: bytes, code: int
) -> None:
    ended = workflow_run(house, tmp_path, "exit $(cat verdict)", says)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "unit_tests" in ended.stdout
    assert "(re-computed)" in ended.stdout


def test_the_tests_see_no_secret(house: Gatehouse, tmp_path: Path) -> None:
    ended = workflow_run(house, tmp_path, "test -z $SECRET_OF_THE_JOB", b"0")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_secrets_are_the_judging_jobs_alone() -> None:
    judging, testing = WORKFLOW.split("\n  tests:\n")
    assert "secrets." in judging
    assert "secrets." not in testing
    assert "permissions:\n  contents: read\n" in judging
    assert "persist-credentials: false" in testing
    assert "cache" not in testing


def test_the_workflow_names_the_gates_own_prometheus(house: Gatehouse, tmp_path: Path) -> None:
    """A change that needs no measuring is judged as before; the address is the repository's variable."""
    assert "PROMETHEUS: ${{ vars.MLCONSOLE_PROMETHEUS }}" in WORKFLOW
    assert '--prometheus "$PROMETHEUS"' in script("Judge")
    assert "unset TOKEN" in script("Judge")
