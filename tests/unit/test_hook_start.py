"""What a server's hook imports before it judges: every push waits for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from console.hook import run_hook

UNNEEDED = ("textual", "rich", "click", "git", "requests", "urllib3", "numpy", "scipy", "onnxruntime", "widgets")
LATER = ("console.verbs", "console.wiring", "console.invocation", "ml.session", "ml.emergency", "ml.artifacts.verify")
ZEROS = "0" * 40


def test_a_refused_push_imports_only_the_gate(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path)], check=True, capture_output=True)
    argv = ["--repo", str(tmp_path), "gate", "--pre-receive", "main"]
    code = f"import sys, console.hook as hook; code = hook.run_hook({argv!r}); print(code, *sys.modules)"
    update = f"{ZEROS} {'1' * 40} refs/heads/rollback/x/y/z\n".encode()
    ended = subprocess.run([sys.executable, "-c", code], input=update, capture_output=True, check=True)
    said, _, printed = ended.stdout.decode().rpartition("\n1 ")
    assert "refs/heads/rollback/x/y/z is refused: a branch below" in said
    modules = printed.split()
    assert "ml.promotion.gate.judge" in modules
    assert sorted(set(UNNEEDED) & {name.partition(".")[0] for name in modules}) == []
    assert sorted(name for name in modules if name.startswith(LATER)) == []


@pytest.mark.parametrize(
    "argv",
    [
        ["gate", "--pre-receive"],
        ["gate", "--pre-receive", "main", "--unit-tests"],
        ["gate", "--pre-receive", "main", "--json"],
        ["gate", "--pre-receive", "", "--base", "x"],
        ["land", "--pre-receive", "main"],
    ],
)
def test_the_full_command_line_handles_everything_else(argv: list[str]) -> None:
    assert run_hook(argv) is None
