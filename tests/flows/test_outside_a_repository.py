"""A trainer's machine or a build image holds artifacts and no repository: verify, build and compare need none."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from support.artifacts import GOOD, OTHER

from ml.adapters import processes
from ml.ports import Finished


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    folder = tmp_path / "no repository"
    folder.mkdir()
    return folder


def run(folder: Path, *argv: str | Path, **environ: str) -> Finished:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLCONSOLE_")}
    home = str(folder.parent / "home")
    env |= {"HOME": home, "XDG_STATE_HOME": f"{home}/state", "XDG_CONFIG_HOME": f"{home}/config"} | environ
    return processes.run([sys.executable, "-m", "console", *argv], deadline_s=60, cwd=folder, env=env)


def test_verify_needs_no_repository(bare: Path) -> None:
    finished = run(bare, "verify", GOOD, "--json")
    assert finished.code == 0, finished.err
    document = json.loads(finished.out)
    assert document["verdict"] == "PASS"
    assert {check["name"] for check in document["checks"]} >= {"digests", "cage", "batch", "variety"}


def test_verify_says_what_is_wrong_without_a_repository(bare: Path) -> None:
    finished = run(bare, "verify", "nothing-here")
    assert finished.code == 1
    assert b"cannot be opened" in finished.out


def test_build_and_compare_need_no_repository(bare: Path) -> None:
    name = "regime_v2026_11_27_001"
    built = run(bare, "build", GOOD / "model.onnx", "--out", name, "--dataset-id", "d")
    assert built.code == 0, built.err
    assert (bare / name / "manifest.json").is_file()
    compared = run(bare, "compare", name, OTHER, "--json")
    assert compared.code == 0, compared.err
    assert json.loads(compared.out)["left"]["artifact_id"] == name


def test_a_read_only_session_builds_nothing_there_either(bare: Path) -> None:
    built = run(bare, "build", GOOD / "model.onnx", "--out", "x", "--dataset-id", "d", MLCONSOLE_READ_ONLY="1")
    assert built.code != 0
    assert b"read-only" in built.err
    assert list(bare.iterdir()) == []


@pytest.mark.parametrize("named", [("--repo", "gone"), ()])
def test_a_repository_that_was_named_must_be_there(bare: Path, named: tuple[str, ...]) -> None:
    finished = run(bare, *named, "verify", GOOD, **({} if named else {"MLCONSOLE_REPO": "gone"}))
    assert finished.code == 2
    assert b"is not inside a git repository" in finished.err
