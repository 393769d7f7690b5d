"""The cage, seen from outside: start a probe, give it one question, and judge how it ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

import ml
from ml.artifacts.limits import DEFAULT_LIMITS, Limits
from ml.artifacts.probe import NO_RUNTIME, UNFIT
from ml.artifacts.protocol import ANSWER_MARK, STAGE_MARK, Request
from ml.errors import Invalid, Unavailable
from ml.ports import Finished, Runner
from ml.text import visible

_MAX_OUTPUT = 1 << 20
_ROOT = Path(ml.__file__).resolve().parents[1]
_Answer = TypeVar("_Answer")


class Killed(Invalid):
    """A probe that did not end by itself, or ended without an answer; ``stage`` is the step that it was at."""

    def __init__(self, cause: str, stage: str) -> None:
        super().__init__(cause)
        self.stage = stage


@dataclass(frozen=True, slots=True)
class Cage:
    """Runs probes, each in a new process with ``limits``, through the given runner and Python."""

    run: Runner
    python: Path = Path(sys.executable)
    limits: Limits = DEFAULT_LIMITS

    def ask(self, request: Request, kind: type[_Answer], on_stage: Callable[[str], None] | None = None) -> _Answer:
        """Put one question to a new probe.

        Args:
            request: the question.
            kind: the type of the answer, from `ml.artifacts.protocol`.
            on_stage: hears of each step as it begins.

        Raises:
            Killed: a limit ended it, or it crashed; the sentence says which.
            Invalid: a model is unfit for the task.
            Unavailable: onnxruntime cannot be imported, or Python cannot be started.
        """
        finished = self.run(
            # -P: nothing may be imported from wherever we happen to stand, such as an artifact's directory.
            [self.python, "-P", "-B", "-s", "-m", "ml.artifacts.probe", self.limits.encode(), str(os.getpid())],
            deadline_s=self.limits.wall_s,
            cwd=Path("/"),
            env=_environment(),
            stdin=request.encode(),
            max_output=_MAX_OUTPUT,
            on_output=_listener(on_stage),
        )
        return _judge(finished, kind, self.limits)


def _environment() -> dict[str, str]:
    """Nothing of ours but the way to find modules; one thread each, since arenas per thread eat address space."""
    return {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", "")))),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def _listener(on_stage: Callable[[str], None] | None) -> Callable[[bytes], None] | None:
    if on_stage is None:
        return None

    def heard(chunk: bytes) -> None:
        for line in chunk.splitlines():
            if line.startswith(STAGE_MARK):
                on_stage(_text(line.removeprefix(STAGE_MARK)))

    return heard


def _judge(finished: Finished, kind: type[_Answer], limits: Limits) -> _Answer:
    lines = finished.out.splitlines()
    stage = next((_text(line[len(STAGE_MARK) :]) for line in reversed(lines) if line.startswith(STAGE_MARK)), "load")
    said = _text(b" ".join(finished.err.splitlines()[-1:]))
    if finished.timed_out:
        raise Killed(f"It did not finish within {limits.wall_s} s and was ended.", stage)
    if finished.truncated:
        raise Killed(f"It printed more than {_MAX_OUTPUT:,} bytes and was ended.", stage)
    if finished.code == NO_RUNTIME:
        raise Unavailable(f"onnxruntime cannot be imported: {said}.", "Install mlconsole with its dependencies.")
    if finished.code == UNFIT:
        raise Invalid(f"{said}.")
    if finished.code != 0:
        raise Killed(_how_it_died(finished.code, said, limits), stage)
    try:
        return _decoded(lines, kind)
    except (ValidationError, ValueError) as error:
        raise Killed("It ended without an answer that can be read.", stage) from error


def _how_it_died(code: int, said: str, limits: Limits) -> str:
    if code == -signal.SIGXCPU:
        return f"It used more than {limits.cpu_s} s of CPU and was ended."
    if code == -signal.SIGKILL:
        return f"It was killed: more than {limits.cpu_s} s of CPU, or the machine ran out of memory."
    if code < 0:
        return f"It crashed with {signal.Signals(-code).name}."
    return f"It failed: {said or f'exit code {code}'}."


def _decoded(lines: list[bytes], kind: type[_Answer]) -> _Answer:
    answers = [line.removeprefix(ANSWER_MARK) for line in lines if line.startswith(ANSWER_MARK)]
    if len(answers) != 1:
        raise ValueError("not exactly one answer")
    return TypeAdapter(kind).validate_python(_harmless(TypeAdapter(Any).validate_json(answers[0])))


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
