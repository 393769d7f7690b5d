"""A runner that forks probes from one sandboxed process that has imported onnxruntime already.

Starting Python and onnxruntime for each of thousands of mutants would take half an hour. Each probe here
is a process of its own all the same, runs `ml.artifacts.probe.main` itself, and limits itself as ever; only
``exec`` is missing. ``Zygote`` implements `ml.ports.Runner`.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ml.artifacts.probe import Limits, enter
from ml.artifacts.protocol import Subject
from ml.ports import Finished

_ROOT = Path(__file__).resolve().parents[2]
_CAGE = Limits(cpu_s=600, wall_s=600)
_PIPE = 1 << 16


class Zygote:
    """Starts one server, and runs probes in forks of it. Close it, or leave it as a context manager."""

    def __init__(self) -> None:
        self.probes = 0
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-B", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": str(_ROOT), "ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        assert self._server.wait(timeout=30) == 0, "the zygote itself died, or a probe outlived it"
        self._server.stdout.close()

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        deadline_s: float,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        max_output: int = 16 << 20,
        on_output: Callable[[bytes], None] | None = None,
    ) -> Finished:
        """Run the probe that ``argv`` asks for."""
        module = [str(part) for part in argv].index("ml.artifacts.probe")
        question = {
            "limits": str(argv[module + 1]),
            "deadline_s": deadline_s,
            "stdin": base64.b64encode(stdin).decode(),
        }
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(question).encode() + b"\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        self.probes += 1
        out, err = (base64.b64decode(answer[name]) for name in ("out", "err"))
        return Finished(answer["code"], out, err, answer["seconds"], answer["timed_out"])


def _serve(parent: int) -> int:
    enter(_CAGE, parent)
    from ml.artifacts.sandboxed.describe import answer  # noqa: PLC0415

    answer(Subject(str(_ROOT / "artifacts" / "onnx" / "regime_v2026_02_15_001"), "model.onnx", ("model.onnx",)))
    assert len(os.listdir("/proc/self/task")) == 1, "a fork of a process with threads may deadlock"
    gc.freeze()  # keeps the forks from copying pages that only a collection would touch
    for line in sys.stdin.buffer:
        question = json.loads(line)
        answer = _fork(question["limits"], base64.b64decode(question["stdin"]), question["deadline_s"])
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0  # as it should be: no probe is left
    return 1


def _fork(limits: str, stdin: bytes, deadline_s: float) -> dict[str, object]:
    pipes = [os.pipe() for _ in range(3)]
    server, started = os.getpid(), time.monotonic()
    child = os.fork()
    if child == 0:
        _probe(limits, server, pipes)
    (take, feed), (out, out_end), (err, err_end) = pipes
    for end in (take, out_end, err_end):
        os.close(end)
    watch = os.pidfd_open(child)
    with contextlib.suppress(BrokenPipeError):
        os.write(feed, stdin[:_PIPE])
    os.close(feed)
    timed_out = not select.select([watch], [], [], deadline_s)[0]
    if timed_out:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(watch)
    said = [base64.b64encode(_drain(end)).decode() for end in (out, err)]
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": said[0],
        "err": said[1],
        "seconds": time.monotonic() - started,
        "timed_out": timed_out,
    }


def _probe(limits: str, server: int, pipes: list[tuple[int, int]]) -> None:
    """In the fork: become a probe, and never return."""
    from ml.artifacts import probe  # noqa: PLC0415

    code = 1
    try:
        (take, _), (_, out), (_, err) = pipes
        for end, number in ((take, 0), (out, 1), (err, 2)):
            os.dup2(end, number)
        os.closerange(3, 64)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        code = probe.main([limits, str(server)])
        sys.stderr.flush()
    finally:
        os._exit(code)


def _drain(end: int) -> bytes:
    """All that a dead child wrote."""
    parts = []
    while part := os.read(end, _PIPE):
        parts.append(part)
    os.close(end)
    return b"".join(parts)


if __name__ == "__main__":
    sys.exit(_serve(int(sys.argv[1])))
