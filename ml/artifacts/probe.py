"""The disposable child: ``python -m ml.artifacts.probe LIMITS PARENT``, a request on stdin, lines on stdout.

A third word ``bubblewrap`` says that it was started inside of that (`ml.artifacts.confinement`). It confines itself
first: limits, no network, and no files but the artifact's copy and Python's libraries. Only then are numpy and
onnxruntime imported and the copy touched. Exit codes: 0 answered, 10 the model is unfit (said on stderr), 11
onnxruntime is not there.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import ml
from ml.artifacts.confinement import NAME, Confinement, confine, inside
from ml.artifacts.protocol import ANSWER_MARK, CHECK_MARK, STAGE_MARK, Request, Task
from ml.verdict import Check, Code, Verdict

# The limits that a probe sets on its own process before it touches anything of an artifact.
#
# Standard library only, and nothing here may need a thread: namespaces are entered while there is one.
# The values were measured: they stop infinite Loops, chains of 200,000 nodes and memory bombs,
# and a good model needs a tenth of them.

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWNET = 0x4000_0000
_NICER = 5
_GRACE_S = 2
_COPIES = 3
"""The number of copies of a model's bytes that onnxruntime may hold at a time: as on disk, as read, as packed."""
_BYTES_PER_S = 256 << 20
_LARGE = 256 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one probe: seconds of CPU, bytes of address space, seconds of wall time, open files."""

    cpu_s: int = 5
    address_space: int = 3 << 30
    wall_s: int = 10
    open_files: int = 64

    def encode(self) -> str:
        """Encode the limits as one word for a command line."""
        return ",".join(str(value) for value in astuple(self))

    def with_room_for(self, size: int) -> Limits:
        """These limits with room for models of ``size`` bytes on disk, for large ones more than `Limits` says.

        A small model gets these limits; a large one gets three times its size in address space on top, and a
        second per 256 MiB. The size is that of the files on disk, never a claim of the model.
        """
        if size < _LARGE:
            return self
        more = size // _BYTES_PER_S + 1
        return replace(
            self,
            address_space=self.address_space + _COPIES * size,
            cpu_s=self.cpu_s + more,
            wall_s=self.wall_s + 2 * more,
        )

    @classmethod
    def decode(cls, word: str) -> Limits:
        """From `encode`'s word. Raises ValueError for anything else."""
        return cls(*(int(part) for part in word.split(",")))


DEFAULT_LIMITS = Limits()


def enter(limits: Limits, parent: int) -> str:
    """Limit this process for good.

    CPU, address space, file size (nothing may be written), open files, core dumps and wall time always;
    death with the parent, an empty network and first place before the out-of-memory killer where the
    system offers them.

    Args:
        limits: what this process may cost.
        parent: the id of the process that started it; when that is gone already, this one ends at once.

    Returns:
        What shut off the network, for people; empty when the system refused.
    """
    _die_with(parent)
    network = "network namespace" if _leave_network() else ""
    _be_first_to_go()
    os.nice(_NICER)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    _limit(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)  # SIGXCPU first, which says what happened
    if sys.platform != "darwin":  # macOS has the constant and refuses the call
        _limit(resource.RLIMIT_AS, limits.address_space)
    # Should the parent be stopped and never look at its own deadline, the alarm's default action ends us.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(limits.wall_s + _GRACE_S)
    return network


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, never above the one that holds already."""
    _, present = resource.getrlimit(which)
    most = soft if hard is None else hard
    if present != resource.RLIM_INFINITY:
        most = min(most, present)
    resource.setrlimit(which, (min(soft, most), most))


def _die_with(parent: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(1)


def _leave_network() -> bool:
    """An empty network namespace: as root directly, else within a user namespace; refused by some systems."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


def _be_first_to_go() -> None:
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as adjust:
        adjust.write("1000")


UNFIT = 10
NO_RUNTIME = 11


def main(argv: list[str]) -> int:
    """Answer one request within the limits."""
    network = enter(Limits.decode(argv[0]), int(argv[1]))
    around = NAME if argv[2:] == [NAME] and inside() else ""
    if around and not network:
        network = f"the network namespace of {NAME}"  # `ml.artifacts.confinement` gives no probe another one
    line = Line()
    request = Request.decode(sys.stdin.buffer.read())
    readable = [Path(subject.directory) for subject in request.subjects]
    confinement = confine(Path(ml.__file__).resolve().parent, readable, network=network, around=around)
    try:
        import onnxruntime  # noqa: F401, PLC0415 - only after the limits hold
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        return NO_RUNTIME
    from ml.artifacts.sandboxed.session import Unfit  # noqa: PLC0415

    try:
        answered = _answer(request, line, confinement)
    except Unfit as unfit:
        sys.stderr.write(f"{unfit.line}: {unfit}\n" if unfit.line else f"{unfit}\n")
        return UNFIT
    line.say(ANSWER_MARK, json.dumps(asdict(answered)))
    return 0


def _answer(request: Request, line: Line, confinement: Confinement) -> Any:
    from ml.artifacts.sandboxed import describe, examine  # noqa: PLC0415

    match request.task:
        case Task.EXAMINE:
            return examine.Examination(request, line, sandbox_check(confinement)).run()
        case Task.DESCRIBE:
            return describe.describe(request.subjects[0])
        case Task.ANSWER:
            return describe.answer(request.subjects[0])
        case Task.RACE:
            return examine.race(*request.subjects)
        case Task.DECIDE:
            return describe.decide(*request.subjects)
        case Task.INFER:
            return describe.infer(request.subjects[0])


def sandbox_check(confinement: Confinement) -> Check:
    """Report the barriers around a model: ``NO_DATA`` where this system lacks one, which blocks nothing."""
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
