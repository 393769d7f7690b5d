"""``python -m scripts.verify_onnx_artifact`` as the runbook types it: output and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.artifacts import GOOD, ROOT, copy_artifact

from ml.artifacts.verification import CHECKS


def verify(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.verify_onnx_artifact", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_valid_artifact_is_0_and_v_shows_each_check() -> None:
    ended = verify(GOOD.relative_to(ROOT), "-v")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert [line.split()[3] for line in lines[: len(CHECKS)]] == list(CHECKS)
    assert all(line.startswith("[ PASS  ]") for line in lines[: len(CHECKS)])
    assert f"{GOOD.name}: PASS" in lines


def test_without_v_a_valid_artifact_takes_one_line() -> None:
    assert verify(GOOD).stdout == f"{GOOD.name}: PASS\n"


def test_an_invalid_artifact_is_1_and_says_what_is_wrong(tmp_path: Path) -> None:
    directory = copy_artifact(tmp_path)
    (directory / "model.onnx").write_bytes(b"tampered")
    ended = verify(directory)
    assert ended.returncode == 1
    assert "[ FAIL  ] digests      model.onnx: the content is not" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("argv", [[], ["-v"], ["/nowhere/at/all"], ["one", "two"], ["--unknown", "."]])
def test_a_wrong_call_is_2(argv: list[str]) -> None:
    ended = verify(*argv)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "usage:" in ended.stderr
