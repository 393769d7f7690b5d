"""The real hook's real program, without the second that Python needs to start it.

The shipped ``pre-receive`` hook runs ``mlconsole.python -P -m console … gate --pre-receive main``. `WarmPython` is a
program for that setting: it hands the arguments, the folder, the environment and the open files to a process that has
imported the gate's modules already, and that process forks a child for each push, which runs `console.__main__.main`
as ever and ends. Nothing is judged in advance and nothing is remembered from push to push: a fork starts from the
server's state, which no push ever changes. The first pushes of each run take the cold way as well, and both must agree.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_CLIENT = """#!{python} -IS
import array, json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
line.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
line.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n")
answer = line.makefile().readline()
sys.exit(int(answer) if answer.strip() else 70)
"""


class WarmPython:
    """Starts the server. ``program`` is what ``mlconsole.python`` is set to. Close it, or use it as a context."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        address = home / "warm.socket"
        self.program = home / "warm-python"
        self.program.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
        self.program.chmod(0o755)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "XDG_"))}
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-B", __file__, str(address)],
            stdin=subprocess.PIPE,
            env={**environment, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        until = time.monotonic() + 60
        while not address.exists():
            assert self._server.poll() is None, "the warm Python did not start"
            assert time.monotonic() < until, "the warm Python did not start within a minute"
            time.sleep(0.02)

    def __enter__(self) -> WarmPython:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        try:
            self._server.wait(timeout=30)
        finally:
            if self._server.poll() is None:
                os.killpg(self._server.pid, signal.SIGKILL)
                self._server.wait()


def _serve(address: str) -> None:
    importlib.import_module("console.verbs.changing")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(8)
    os.rename(f"{address}.new", address)
    os.set_blocking(0, False)
    warmed = False
    listener.settimeout(0.5)
    while True:
        try:
            line, _ = listener.accept()
        except TimeoutError:
            if _parent_left():
                return
            continue
        with line:
            line.setblocking(True)
            warmed = _answer(line, learn=not warmed) or warmed


def _parent_left() -> bool:
    try:
        return os.read(0, 1) == b""
    except BlockingIOError:
        return False


def _answer(line: socket.socket, *, learn: bool) -> bool:
    """Run one call in a fork; the first one also tells which modules it needed, and they are kept from then on."""
    _, handles, _, _ = line.recvmsg(1, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    files = array.array("i")
    files.frombytes(handles[0][2])
    with line.makefile("rb") as reader:
        argv, folder, environment = json.loads(reader.readline())
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        _run(argv, folder, environment, list(files), tell)
    os.close(tell)
    for file in files:
        os.close(file)
    with os.fdopen(told, "rb") as modules:
        names = json.loads(modules.read() or b"[]")
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):  # the push was broken off
        line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    if learn and names:
        for name in names:
            try:
                importlib.import_module(name)
            except Exception:  # noqa: BLE001 a module that cannot be imported by name is imported by the child
                continue
        assert len(os.listdir("/proc/self/task")) == 1, "a fork of a process with threads may deadlock"
        gc.freeze()
    return bool(learn and names)


def _run(argv: list[str], folder: str, environment: dict[str, str], files: list[int], tell: int) -> None:
    code = 70
    try:
        for target, file in enumerate(files):
            os.dup2(file, target)
        os.closerange(3, tell)
        os.closerange(tell + 1, 64)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        assert argv[:3] == ["-P", "-m", "console"], argv
        sys.argv = ["console", *argv[3:]]
        sys.stdin, sys.stdout, sys.stderr = (open(*each, closefd=False) for each in ((0,), (1, "w"), (2, "w")))  # noqa: SIM115
        from console.__main__ import main  # noqa: PLC0415

        if "ATTACK_HOLE" in environment:
            sys.path.append(str(ROOT / "tests"))
            from attack.holes import dig  # noqa: PLC0415 only attacks on a gate with a hole need it

            dig(environment["ATTACK_HOLE"])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(tell, json.dumps(sorted(sys.modules)).encode())
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        raise
    finally:
        os._exit(code if 0 <= code < 256 else 70)


if __name__ == "__main__":
    _serve(sys.argv[1])
