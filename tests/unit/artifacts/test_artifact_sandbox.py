"""The sandbox itself: its limits hold, it has no network, and it never outlives who made it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.artifacts import GOOD, ROOT, artifact_of, endless_loop

from ml.adapters import processes
from ml.artifacts.probe import DEFAULT_LIMITS, Limits
from ml.artifacts.protocol import Examined, Raced, Request, Subject, Task
from ml.artifacts.sandbox import Killed, Sandbox
from ml.errors import Invalid, Unavailable
from ml.ports import Finished
from ml.verdict import Check, Verdict

_ENTER = """
import json, os, resource, socket, sys
from ml.artifacts.probe import Limits, enter
enter(Limits(cpu_s=3, address_space=1 << 30, wall_s=7, open_files=32), os.getppid())
try:
    os.write(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY), b"x")
    wrote = True
except OSError:
    wrote = False
try:
    bytearray(1 << 30)
    took = True
except MemoryError:
    took = False
names = ("CPU", "AS", "FSIZE", "NOFILE", "CORE")
print(json.dumps({
    "limits": {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names},
    "wrote": wrote, "took": took,
    "interfaces": [name for _, name in socket.if_nameindex()],
    "oom": open("/proc/self/oom_score_adj").read().strip(),
}))
"""
_NETWORKLESS = (
    "import ctypes; print(ctypes.CDLL(None).unshare(0x40000000) == 0 or ctypes.CDLL(None).unshare(0x50000000) == 0)"
)
_PARENT = """
import sys
from pathlib import Path
from ml.adapters import processes
from ml.artifacts.verify import Verifier
tell = lambda progress: print(progress.step, flush=True)
Verifier(processes.run, scratch=Path(sys.argv[2])).verify(Path(sys.argv[1]), report=tell)
"""


def subject(directory: Path) -> Subject:
    return Subject(str(directory), "model.onnx", ("model.onnx",))


def test_the_limits_hold_inside(tmp_path: Path) -> None:
    finished = processes.run([sys.executable, "-c", _ENTER, tmp_path / "file"], deadline_s=20, cwd=ROOT)
    found = json.loads(finished.out)
    assert found["limits"] == {
        "CPU": [3, 4],
        "AS": [1 << 30, 1 << 30],
        "FSIZE": [0, 0],
        "NOFILE": [32, 32],
        "CORE": [0, 0],
    }
    assert not found["wrote"]
    assert not found["took"]
    assert found["oom"] == "1000"


def test_there_is_no_network_where_the_system_allows_it(tmp_path: Path) -> None:
    allowed = processes.run([sys.executable, "-c", _NETWORKLESS], deadline_s=20).out.strip() == b"True"
    finished = processes.run([sys.executable, "-c", _ENTER, tmp_path / "file"], deadline_s=20, cwd=ROOT)
    interfaces = json.loads(finished.out)["interfaces"]
    assert interfaces == ["lo"] if allowed else interfaces


def test_a_probe_dies_with_its_parent(tmp_path: Path) -> None:
    directory = artifact_of(endless_loop(), tmp_path)
    argv = [sys.executable, "-c", _PARENT, directory, tmp_path]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert any(line == b"shape\n" for line in parent.stdout)
        (probe,) = _probes_of(parent.pid)
        death = os.pidfd_open(probe)
        parent.kill()
    # Much sooner than any of its limits would end it.
    assert select.select([death], [], [], 2.0)[0]
    os.close(death)


def test_a_probe_whose_parent_is_gone_ends_at_once() -> None:
    code = "import os; from ml.artifacts.probe import *; enter(DEFAULT_LIMITS, 1 if os.getppid() != 1 else 2)"
    assert processes.run([sys.executable, "-c", code], deadline_s=20, cwd=ROOT).code == 1


def test_cpu_time_is_named_when_it_ran_out(tmp_path: Path) -> None:
    directory = artifact_of(endless_loop(), tmp_path)
    sandbox = Sandbox(processes.run, limits=Limits(cpu_s=1))
    with pytest.raises(Killed, match="more than 1 s of CPU") as caught:
        sandbox.ask(Request(Task.EXAMINE, (subject(directory),)), Examined)
    assert caught.value.stage == "shape"
    assert [check.name for check in caught.value.checks] == ["cage", "load"]


def test_wall_time_is_named_when_it_ran_out(tmp_path: Path) -> None:
    directory = artifact_of(endless_loop(), tmp_path)
    sandbox = Sandbox(processes.run, limits=Limits(cpu_s=60, wall_s=1))
    with pytest.raises(Killed, match="did not finish within 1 s"):
        sandbox.ask(Request(Task.EXAMINE, (subject(directory),)), Examined)


def test_a_stopped_parent_does_not_keep_a_probe_alive(tmp_path: Path) -> None:
    directory = artifact_of(endless_loop(), tmp_path)
    request = Request(Task.EXAMINE, (subject(directory),))
    limits = Limits(cpu_s=60, wall_s=1)
    argv = [sys.executable, "-P", "-m", "ml.artifacts.probe", limits.encode(), str(os.getpid())]
    probe = subprocess.run(
        argv, input=request.encode(), capture_output=True, env={"PYTHONPATH": str(ROOT)}, timeout=30, check=False
    )
    assert probe.returncode == -signal.SIGALRM


def test_an_artifacts_python_files_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    found = Sandbox(processes.run).ask(Request(Task.EXAMINE, (subject(GOOD),)), Examined)
    assert found.checks[0].verdict is Verdict.PASS


def test_a_probe_leaves_nothing_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Sandbox(processes.run).ask(Request(Task.EXAMINE, (subject(GOOD),)), Examined)
    assert list(tmp_path.rglob("*")) == []


def _answering(out: bytes = b"", err: bytes = b"", code: int = 0) -> Callable[..., Finished]:
    return lambda *_, **__: Finished(code, out, err, 0.1)


@pytest.mark.parametrize(
    "out",
    [b"", b"answer", b"answer {", b"answer []\n", b"answer {}\n", b"answer " + b"[" * 100_000 + b"\n", b"\xff\xfe"],
)
def test_an_answer_that_cannot_be_read_is_a_failure(out: bytes) -> None:
    with pytest.raises(Killed, match="without an answer"):
        Sandbox(_answering(out)).ask(Request(Task.RACE, ()), Raced)


def test_two_answers_are_none() -> None:
    answer = b'answer {"checks":[],"rows":1,"bits":"","steady":true,"graph":null,"takes":[],"gives":[]}\n'
    assert Sandbox(_answering(answer)).ask(Request(Task.EXAMINE, ()), Examined).rows == 1
    with pytest.raises(Killed):
        Sandbox(_answering(answer * 2)).ask(Request(Task.EXAMINE, ()), Examined)


def test_what_a_model_says_is_made_visible() -> None:
    check = json.dumps({"name": "load", "verdict": "FAIL", "why": "\x1b]0;owned\x07\u202e"})
    answer = (
        f'answer {{"checks":[{check}],"rows":1,"bits":"","steady":true,"graph":null,"takes":["\\u009b"],"gives":[]}}'
    )
    found = Sandbox(_answering(answer.encode())).ask(Request(Task.EXAMINE, ()), Examined)
    assert found.checks == (Check("load", Verdict.FAIL, "␛]0;owned␇\\u{202e}"),)
    assert found.takes == ("\\x9b",)
    with pytest.raises(Invalid, match="␛"):
        Sandbox(_answering(err=b"\x1b[2J", code=10)).ask(Request(Task.RACE, ()), Raced)


def test_a_crash_is_named_by_its_signal() -> None:
    with pytest.raises(Killed, match="crashed with SIGSEGV") as caught:
        Sandbox(_answering(b"stage load\nstage shape\n", code=-signal.SIGSEGV)).ask(Request(Task.RACE, ()), Raced)
    assert caught.value.stage == "shape"


def test_a_missing_runtime_is_no_verdict_on_the_model() -> None:
    with pytest.raises(Unavailable, match="onnxruntime cannot be imported: No module"):
        Sandbox(_answering(err=b"No module named 'onnxruntime'", code=11)).ask(Request(Task.RACE, ()), Raced)


def test_limits_travel_as_one_word() -> None:
    assert Limits.decode(DEFAULT_LIMITS.encode()) == DEFAULT_LIMITS


def _probes_of(parent: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            if b"ml.artifacts.probe" in argv and argv[-1] == b"%d" % parent:
                found.append(int(process.name))
    return found
