"""Bubblewrap in the place of Landlock: tried with the real program, or said where it does not work."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.artifacts import GOOD, ROOT, artifact_of, endless_loop

from ml.adapters import processes
from ml.artifacts.confinement import NAME, Confinement, usable, wrapped
from ml.artifacts.probe import Limits
from ml.artifacts.protocol import Examined, Request, Subject, Task
from ml.artifacts.sandbox import Killed, Sandbox
from ml.verdict import Verdict

_MALICE = """
import json, os, socket, sys
from pathlib import Path
import onnxruntime
question = json.loads(sys.argv[1])

def reached(attempt):
    try:
        attempt()
        return True
    except OSError:
        return False

tries = {
    "artifact": lambda: Path(question["artifact"], "model.onnx").read_bytes(),
    "devices": lambda: open("/dev/null").close(),
    "key": lambda: Path(question["home"], "key").read_text(),
    "home listed": lambda: os.listdir(question["home"]),
    "write": lambda: os.open(Path(question["artifact"], "new"), os.O_CREAT | os.O_WRONLY),
    "passwd": lambda: Path("/etc/passwd").read_text(),
    "checkout": lambda: Path(question["own"]).parent.joinpath("pyproject.toml").read_text(),
    "environment of the parent": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "tcp": lambda: socket.create_connection(("127.0.0.1", question["port"]), 2),
}
print(json.dumps([name for name, attempt in tries.items() if reached(attempt)]))
"""


@pytest.fixture
def program() -> str:
    """The installed ``bwrap``. The tests' tools are installed by ``scripts/ensure-tools``."""
    found = usable(processes.run)
    assert found, "bubblewrap is not installed, or may not make namespaces here"
    return found


def examined(sandbox: Sandbox) -> Examined:
    return sandbox.ask(Request(Task.EXAMINE, (Subject(str(GOOD), "model.onnx", ("model.onnx",)),)), Examined)


def test_malice_inside_reaches_neither_files_nor_network(program: str, tmp_path: Path) -> None:
    """Without Landlock and without our seccomp filter: what bubblewrap alone keeps away."""
    artifact, home = tmp_path / "artifact", tmp_path / "home"
    for folder in (artifact, home):
        folder.mkdir()
    (artifact / "model.onnx").write_bytes(b"x")
    (home / "key").write_text("secret")
    own = ROOT / "ml"
    question = {"artifact": str(artifact), "home": str(home), "own": str(own), "port": 9}
    argv = wrapped(program, [sys.executable, "-P", "-B", "-c", _MALICE, json.dumps(question)], own, [artifact])
    ended = processes.run(argv, deadline_s=60, cwd=Path("/"), env={"PYTHONPATH": str(ROOT)})
    assert ended.code == 0, ended.err
    assert set(json.loads(ended.out)) == {"artifact", "devices"}


def test_a_verification_without_landlock_says_what_held(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.artifacts.sandbox.needed", lambda: True)
    found = examined(Sandbox(processes.run))
    (cage,) = (check for check in found.checks if check.name == "cage")
    assert cage.verdict is Verdict.PASS, program
    assert f"none of the operator's files ({NAME}" in cage.why


def test_limits_hold_inside_and_are_named(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.artifacts.sandbox.needed", lambda: True)
    directory = artifact_of(endless_loop(), tmp_path / "regime_v2026_02_17_001")
    sandbox = Sandbox(processes.run, limits=Limits(cpu_s=2, wall_s=60))
    with pytest.raises(Killed, match="It used more than 2 s of CPU and was ended"):
        sandbox.ask(Request(Task.EXAMINE, (Subject(str(directory), "model.onnx", ("model.onnx",)),)), Examined)
    assert program


def test_without_the_program_the_statement_is_honest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ml.artifacts.sandbox.needed", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert usable(processes.run) == ""
    (cage,) = (check for check in examined(Sandbox(processes.run)).checks if check.name == "cage")
    assert NAME not in cage.why
    assert "no Landlock, and bubblewrap does not work here" in Confinement("seccomp", "").why


def test_a_program_that_may_not_make_namespaces_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forbidden = tmp_path / "bwrap"
    forbidden.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    forbidden.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert usable(processes.run) == ""
