"""What code that breaks out of a model could still reach: tried from inside the sandbox, by the calls themselves."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.artifacts import GOOD, ROOT

from ml.adapters import processes
from ml.artifacts.confinement import Confinement
from ml.artifacts.probe import sandbox_check
from ml.artifacts.protocol import Examined, Request, Subject, Task
from ml.artifacts.sandbox import Sandbox
from ml.verdict import Verdict

_MALICE = """
import ctypes, json, os, socket, sys
from pathlib import Path
from ml.artifacts.confinement import confine
from ml.artifacts.probe import DEFAULT_LIMITS, enter
question = json.loads(sys.argv[1])
network = enter(DEFAULT_LIMITS, os.getppid())
held = confine(Path(question["own"]), [Path(question["artifact"])], network=network)

def reached(attempt):
    try:
        return attempt() or "reached"
    except OSError as error:
        return type(error).__name__

def connect(family, address):
    with socket.socket(family) as one:
        one.settimeout(2)
        one.connect(address)

libc = ctypes.CDLL(None, use_errno=True)
def raw_socket():
    # Past Python: the call itself.
    if libc.syscall({"x86_64": 41, "aarch64": 198}[os.uname().machine], 2, 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "socket")
def memory_of_parent():
    with open(f"/proc/{os.getppid()}/mem", "rb") as memory:
        memory.read(1)

tries = {
    "artifact": lambda: Path(question["artifact"], "model.onnx").read_bytes() and "",
    "artifact listed": lambda: os.listdir(question["artifact"]) and "",
    "devices": lambda: open("/dev/null").close(),
    "key": lambda: Path(question["home"], ".ssh", "x").read_text(),
    "key by a link": lambda: Path(question["artifact"], "link").read_text(),
    "home listed": lambda: str(os.listdir(question["home"])),
    "state": lambda: Path(question["home"], ".local", "state", "mlconsole", "audit.log").read_text(),
    "write": lambda: str(os.open(Path(question["artifact"], "new"), os.O_CREAT | os.O_WRONLY)),
    "passwd": lambda: Path("/etc/passwd").read_text(),
    "checkout": lambda: Path(question["own"]).parent.joinpath("pyproject.toml").read_text(),
    "environment of the parent": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes() and "",
    "memory of the parent": memory_of_parent,
    "tcp": lambda: connect(socket.AF_INET, ("127.0.0.1", question["port"])),
    "unix": lambda: connect(socket.AF_UNIX, question["agent"]),
    "socket": raw_socket,
}
print(json.dumps({"held": [held.network, held.files], "tries": {name: reached(one) for name, one in tries.items()}}))
"""
_OPEN = {"artifact", "artifact listed", "devices"}
_BY_SOCKETS = {"tcp", "unix", "socket"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for name in (".ssh/x", ".local/state/mlconsole/audit.log"):
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text("secret")
    return home


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[tuple[int, str]]:
    agent = str(tmp_path / "agent")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(agent)
        unix.listen()
        yield tcp.getsockname()[1], agent


def test_malice_inside_the_cage_reaches_neither_files_nor_network(
    tmp_path: Path, home: Path, listeners: tuple[int, str]
) -> None:
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / "model.onnx").write_bytes(b"model")
    (artifact / "link").symlink_to(home / ".ssh" / "x")
    port, agent = listeners
    question = {"own": str(ROOT / "ml"), "artifact": str(artifact), "home": str(home), "port": port, "agent": agent}
    finished = processes.run(
        [sys.executable, "-P", "-B", "-c", _MALICE, json.dumps(question)],
        deadline_s=30,
        cwd=Path("/"),
        env={"PYTHONPATH": str(ROOT)},
    )
    assert finished.code == 0, finished.err
    found = json.loads(finished.out)
    network, files = found["held"]
    assert bool(files) == _landlock_is_here()
    assert ("seccomp" in network) == (platform.machine() in ("x86_64", "aarch64"))
    refused = {name for name, end in found["tries"].items() if end in ("PermissionError", "ConnectionRefusedError")}
    reached = set(found["tries"]) - refused
    assert reached == (_OPEN if files else set(found["tries"]) - _BY_SOCKETS), found["tries"]
    assert not refused & _OPEN


def test_a_verification_says_what_the_cage_held() -> None:
    found = Sandbox(processes.run).ask(
        Request(Task.EXAMINE, (Subject(str(GOOD), "model.onnx", ("model.onnx",)),)), Examined
    )
    (sandbox,) = (check for check in found.checks if check.name == "cage")
    if _landlock_is_here():
        assert sandbox.verdict is Verdict.PASS
        assert "none of the operator's files (Landlock" in sandbox.why


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (Confinement("", "Landlock 7"), "The network is NOT shut off"),
        (Confinement("seccomp", ""), "the operator's files are NOT hidden"),
        (Confinement("", ""), "NOT"),
    ],
)
def test_nothing_is_claimed_that_does_not_hold(held: Confinement, says: str) -> None:
    check = sandbox_check(held)
    assert check.verdict is Verdict.NO_DATA
    assert says in check.why


def test_no_probe_writes_to_standard_error(tmp_path: Path) -> None:
    told: list[bytes] = []

    def listening(*args: object, **options: object) -> object:
        finished = processes.run(*args, **options)  # type: ignore[arg-type]
        told.append(finished.err)
        return finished

    Sandbox(listening).ask(  # type: ignore[arg-type]
        Request(Task.EXAMINE, (Subject(str(GOOD), "model.onnx", ("model.onnx",)),)), Examined
    )
    assert told == [b""]


def _landlock_is_here() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1)) > 0 and os.name == "posix")
