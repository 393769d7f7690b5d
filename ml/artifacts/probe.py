"""The disposable child: ``python -m ml.artifacts.probe LIMITS PARENT``, a request on stdin, lines on stdout.

It cages itself first: limits, no network, and no files but the artifact's copy and Python's libraries. Only then
are numpy and onnxruntime imported and the copy touched. Exit
codes: 0 answered, 10 the model is unfit (said on stderr), 11 onnxruntime is not there.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ml
from ml.artifacts.confinement import Confinement, confine
from ml.artifacts.limits import Limits, enter
from ml.artifacts.protocol import ANSWER_MARK, CHECK_MARK, STAGE_MARK, Request, Task
from ml.verdict import Check, Code, Verdict

UNFIT = 10
NO_RUNTIME = 11


def main(argv: list[str]) -> int:
    """Answer one request within the limits."""
    network = enter(Limits.decode(argv[0]), int(argv[1]))
    line = Line()
    request = Request.decode(sys.stdin.buffer.read())
    readable = [Path(subject.directory) for subject in request.subjects]
    confinement = confine(Path(ml.__file__).resolve().parent, readable, network=network)
    try:
        import onnxruntime  # noqa: F401, PLC0415 - only after the limits hold
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        return NO_RUNTIME
    from ml.artifacts.caged.session import Unfit  # noqa: PLC0415

    try:
        answered = _answer(request, line, confinement)
    except Unfit as unfit:
        sys.stderr.write(f"{unfit}\n")
        return UNFIT
    line.say(ANSWER_MARK, json.dumps(asdict(answered)))
    return 0


def _answer(request: Request, line: Line, confinement: Confinement) -> Any:
    from ml.artifacts.caged import decide, examine, race  # noqa: PLC0415

    match request.task:
        case Task.EXAMINE:
            return examine.Examination(request, line, cage_check(confinement)).run()
        case Task.DESCRIBE:
            return decide.describe(request.subjects[0])
        case Task.ANSWER:
            return decide.answer(request.subjects[0])
        case Task.RACE:
            return race.race(*request.subjects)
        case Task.DECIDE:
            return decide.decide(*request.subjects)


def cage_check(confinement: Confinement) -> Check:
    """What the cage held shut while a model ran: ``NO_DATA`` where this system cannot, which closes nothing."""
    if confinement.whole:
        return Check("cage", Verdict.PASS, confinement.why, Code.SOUND)
    return Check("cage", Verdict.NO_DATA, confinement.why, Code.CAGE_OPEN)


class Line:
    """The way to the parent: what was stdout, under a number that native code, which may print, does not know."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)

    def stage(self, name: str) -> None:
        """A step begins."""
        self.say(STAGE_MARK, name)

    def check(self, check: Check) -> None:
        """A check is made."""
        self.say(CHECK_MARK, json.dumps(asdict(check)))

    def say(self, mark: bytes, text: str) -> None:
        """Write one line, whole."""
        data = mark + text.encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
