"""The parent's side of the sandbox: start a probe, send it one question, and judge its exit."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

import ml
from ml.artifacts.confinement import NAME, needed, usable, wrapped
from ml.artifacts.probe import DEFAULT_LIMITS, NO_RUNTIME, UNFIT, Limits
from ml.artifacts.protocol import ANSWER_MARK, CHECK_MARK, STAGE_MARK, Request, Subject
from ml.errors import Invalid, Unavailable
from ml.ports import Finished, Progress, Report, Runner
from ml.text import visible
from ml.verdict import Check

_MAX_OUTPUT = 1 << 20
_SIGNALLED = 128
"""Exit codes above it are those of a child that a signal ended, as shells and bwrap count."""
_ROOT = Path(ml.__file__).resolve().parents[1]
_Answer = TypeVar("_Answer")
_adapter: Callable[[Any], TypeAdapter[Any]] = functools.cache(TypeAdapter)


class Killed(Invalid):
    """A probe that was ended, crashed, or gave no answer: the step that it was at, and the checks made before."""

    def __init__(self, cause: str, stage: str, checks: tuple[Check, ...]) -> None:
        super().__init__(cause)
        self.stage = stage
        self.checks = checks


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Runs probes, each in a new process with ``limits``, through the given runner and Python."""

    run: Runner
    python: Path = Path(sys.executable)
    limits: Limits = DEFAULT_LIMITS

    def ask(self, request: Request, kind: type[_Answer], report: Report | None = None) -> _Answer:
        """Put one question to a new probe.

        Args:
            request: the question.
            kind: the type of the answer, from `ml.artifacts.protocol`.
            report: hears of each check as it begins and, with its verdict, as it ends.

        Raises:
            Killed: a limit ended it, or it crashed; the sentence says which.
            Invalid: a model is unfit for the task.
            Unavailable: onnxruntime cannot be imported, or Python cannot be started.
        """
        limits = self.limits.with_room_for(sum(map(_size, request.subjects)))
        program = usable(self.run) if needed() else ""
        finished = self.run(
            self._argv(limits, request, program),
            deadline_s=limits.wall_s,
            cwd=Path("/"),
            env=_environment(),
            stdin=request.encode(),
            max_output=_MAX_OUTPUT,
            on_output=_listener(report),
        )
        if program and finished.code > _SIGNALLED:
            finished = finished._replace(code=_SIGNALLED - finished.code)  # as bwrap passes on how its child ended
        return _judge(finished, kind, limits)

    def _argv(self, limits: Limits, request: Request, program: str) -> list[str | Path]:
        # -P: nothing may be imported from wherever we happen to stand, such as an artifact's directory.
        probe: list[str | Path] = [self.python, "-P", "-B", "-s", "-m", "ml.artifacts.probe", limits.encode()]
        if not program:
            return [*probe, str(os.getpid())]
        own_code, copies = Path(ml.__file__).resolve().parent, [Path(each.directory) for each in request.subjects]
        # Between us and the probe stands bwrap, which ends it when we end: the probe compares no parent.
        return wrapped(program, [*probe, "0", NAME], own_code, copies)


def _size(subject: Subject) -> int:
    """The bytes that a model's private copy takes on disk."""
    try:
        return sum(path.lstat().st_size for path in Path(subject.directory).iterdir())
    except OSError:
        return 0  # the probe says what is the matter


def _environment() -> dict[str, str]:
    """The environment of a probe: the path of modules, and one thread, because arenas per thread use address space."""
    return {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", "")))),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def _listener(report: Report | None) -> Callable[[bytes], None] | None:
    if report is None:
        return None

    def heard(chunk: bytes) -> None:
        for line in chunk.splitlines():
            if line.startswith(STAGE_MARK):
                report(Progress(_text(line[len(STAGE_MARK) :]), 0, 1, "in the sandbox"))
            for check in _checks(line):
                report(Progress(check.name, 1, 1, check.verdict))

    return heard


def _judge(finished: Finished, kind: type[_Answer], limits: Limits) -> _Answer:
    said = _text(b" ".join(finished.err.splitlines()[-1:]))
    if finished.code == NO_RUNTIME:
        raise Unavailable(f"onnxruntime cannot be imported: {said}.", "Install mlconsole with its dependencies.")
    if finished.code == UNFIT:
        raise Invalid(f"{said}.")
    cause = _how_it_died(finished, said, limits)
    try:
        if not cause:
            (answer,) = _decoded(finished.out, ANSWER_MARK, kind)
            return answer
    except (ValueError, RecursionError):
        cause = "It ended without an answer that can be read."
    stages = [line[len(STAGE_MARK) :] for line in finished.out.splitlines() if line.startswith(STAGE_MARK)]
    raise Killed(cause, _text(stages[-1]) if stages else "load", _checks(finished.out))


def _how_it_died(finished: Finished, said: str, limits: Limits) -> str:
    """Say why there is no answer; empty when the probe ended normally."""
    code = finished.code
    if finished.timed_out:
        return f"It did not finish within {limits.wall_s} s and was ended."
    if finished.truncated:
        return f"It printed more than {_MAX_OUTPUT:,} bytes and was ended."
    if code == -signal.SIGXCPU:
        return f"It used more than {limits.cpu_s} s of CPU and was ended."
    if code == -signal.SIGKILL:
        return f"It was killed: more than {limits.cpu_s} s of CPU, or the machine ran out of memory."
    if code < 0:
        return f"It crashed with {signal.Signals(-code).name}."
    return f"It failed: {said or f'exit code {code}'}." if code else ""


def _checks(out: bytes) -> tuple[Check, ...]:
    try:
        return tuple(_decoded(out, CHECK_MARK, Check))
    except (ValueError, RecursionError):
        return ()


def _decoded(out: bytes, mark: bytes, kind: type[_Answer]) -> list[_Answer]:
    """All lines of one kind; raises ValueError when one is not what it should be."""
    adapter: TypeAdapter[_Answer] = _adapter(kind)
    lines = out.splitlines()
    return [
        adapter.validate_python(_harmless(json.loads(line.removeprefix(mark))))
        for line in lines
        if line.startswith(mark)
    ]


def _harmless(value: Any) -> Any:
    """The same JSON with every text made visible: a hostile model chose some of them."""
    if isinstance(value, str):
        return visible(value, limit=500)
    if isinstance(value, list):
        return [_harmless(one) for one in value]
    if isinstance(value, dict):
        return {key: _harmless(one) for key, one in value.items()}
    return value


def _text(raw: bytes) -> str:
    return visible(raw.decode("utf-8", "backslashreplace"), limit=300)
