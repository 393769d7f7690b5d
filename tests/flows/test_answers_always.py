"""Every error is a document for scripts, and an answer that nobody can read is neither lost nor taken for good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.clones import Clones, make_clones
from support.gatehouse import LIVE, OLD, POLICY, SOAKED, artifact_files, life

from ml.registry.schema import POLICY_PATH, REGISTRY_PATH


@pytest.fixture
def clones(tmp_path: Path) -> Clones:
    files: dict[str, str | bytes] = {
        REGISTRY_PATH: life(datetime.now(UTC).replace(microsecond=0)).raw,
        POLICY_PATH: POLICY,
    }
    for name in (OLD, LIVE, SOAKED):
        files |= artifact_files(name)
    return make_clones(tmp_path, files)


def run(clones: Clones, *argv: str, into: str = "", both: bool = False) -> subprocess.CompletedProcess[bytes]:
    home = clones.operator.home
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MLCONSOLE_", "GIT_"))}
    env |= {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}
    command = [sys.executable, "-m", "console", *argv]
    with open(into or os.devnull, "wb") as sink:
        return subprocess.run(
            command,
            cwd=clones.operator.path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sink if into else subprocess.PIPE,
            stderr=sink if both else subprocess.PIPE,
            timeout=60,
            check=False,
        )


@pytest.mark.parametrize(
    "argv",
    [
        ("soak",),
        ("evidence", "verify", "/nonexistent"),
        ("gate", "--base", "nosuch", "--head", "HEAD"),
        ("promote", "regime_classifier", "--to", "nowhere", "--reason", "x"),
        ("promote", "regime_classifier", "--to", "active"),
        ("statsu",),
        ("status", "--nonsense"),
        ("kill", "sideways"),
        ("kill", "off", "--confirm", "RELEASE"),
        ("build", "/nonexistent.onnx", "--out", "x", "--dataset-id", "d"),
        ("compare", "only-one"),
        ("serve", "--port", "99999"),
    ],
    ids=" ".join,
)
def test_every_usage_error_is_a_document(clones: Clones, argv: tuple[str, ...]) -> None:
    ended = run(clones, *argv, "--json")
    assert ended.returncode == 2, ended.stderr
    document = json.loads(ended.stdout)
    assert document["schema_version"] == "v1"
    assert document["error"]["exit_code"] == 2
    assert document["error"]["cause"]
    assert ended.stderr


def test_a_full_standard_output_is_no_error_of_our_own(clones: Clones) -> None:
    for argv in (("status",), ("status", "--json"), ("history", "regime_classifier"), ("soak", "--json")):
        ended = run(clones, *argv, into="/dev/full")
        assert ended.returncode not in (0, 70, 120), argv
        assert b"error of its own" not in ended.stderr
        assert b"Standard output did not accept the answer: No space left on device" in ended.stderr


def test_the_answer_that_standard_output_did_not_take_stands_on_stderr(clones: Clones) -> None:
    ended = run(clones, "history", "regime_classifier", into="/dev/full")
    assert LIVE.encode() in ended.stderr
    assert ended.returncode == 3


@pytest.mark.parametrize("both", [False, True])
def test_a_kill_is_thrown_and_told_by_its_own_exit_code(clones: Clones, *, both: bool) -> None:
    ended = run(clones, "kill", "on", "--reason", "drill", "--no-wait", "--json", into="/dev/full", both=both)
    assert ended.returncode == 0
    assert "ML_KILL_SWITCH=1" in (clones.operator.path / "var" / "kill_switch.env").read_text()
    if not both:
        assert b"WRITTEN" in ended.stderr
        assert b"error of its own" not in ended.stderr
