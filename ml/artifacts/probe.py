"""The disposable child: ``python -m ml.artifacts.probe LIMITS PARENT``, a request on stdin, lines on stdout.

It cages itself first. Only then are numpy and onnxruntime imported and the artifact's copy touched. Exit
codes: 0 answered, 10 the model is unfit (said on stderr), 11 onnxruntime is not there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ml.artifacts.limits import Limits, enter
from ml.artifacts.protocol import ANSWER_MARK, STAGE_MARK, Request, Task

UNFIT = 10
NO_RUNTIME = 11


def main(argv: list[str]) -> int:
    """Answer one request within the limits."""
    enter(Limits.decode(argv[0]), int(argv[1]))
    say = _private_channel()
    request = Request.decode(sys.stdin.buffer.read())
    try:
        import onnxruntime  # noqa: F401, PLC0415 - only after the limits hold
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        return NO_RUNTIME
    from ml.artifacts.caged.session import Unfit  # noqa: PLC0415

    try:
        answered = _answer(request, lambda stage: say(STAGE_MARK + stage.encode()))
    except Unfit as unfit:
        sys.stderr.write(f"{unfit}\n")
        return UNFIT
    say(ANSWER_MARK + json.dumps(asdict(answered)).encode())
    return 0


def _answer(request: Request, announce: Callable[[str], None]) -> Any:
    from ml.artifacts.caged import decide, examine, race  # noqa: PLC0415

    match request.task:
        case Task.EXAMINE:
            return examine.Examination(request, announce).run()
        case Task.DESCRIBE:
            return decide.describe(request.subjects[0])
        case Task.ANSWER:
            announce("golden")
            return decide.answer(request.subjects[0])
        case Task.RACE:
            announce("latency")
            return race.race(*request.subjects)
        case Task.DECIDE:
            announce("decisions")
            return decide.decide(*request.subjects)


def _private_channel() -> Callable[[bytes], None]:
    """A way to speak on stdout that native code, which may print there, does not share."""
    channel = os.dup(1)
    os.dup2(2, 1)

    def say(line: bytes) -> None:
        data = line + b"\n"
        while data:
            data = data[os.write(channel, data) :]

    return say


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
