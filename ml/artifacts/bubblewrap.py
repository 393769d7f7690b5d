"""Bubblewrap around a probe where the kernel has no Landlock: a root folder with nothing but what the probe may read.

`ml.artifacts.sandbox` starts the probe through it, and the probe itself checks that it is inside (`inside`) before it
says so. Where the program is missing, or may not make namespaces here, nothing is claimed.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ml.artifacts.confinement import landlock_version, readable_paths
from ml.errors import ConsoleError
from ml.ports import Runner

NAME = "bubblewrap"
_WITNESS = Path("/etc/passwd")
"""A file that every system has, and that no probe needs."""
_NAMESPACES = ("--unshare-user", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--die-with-parent")
_DEADLINE_S = 5.0
_KNOWN: dict[str, bool] = {}
"""Whether each program works here, as this process has found out."""


def needed() -> bool:
    """True if this system has no Landlock, so that something else must hide the operator's files."""
    return sys.platform.startswith("linux") and landlock_version() < 1


def wrapped(program: str, argv: Sequence[str | Path], own_code: Path, readable: Iterable[Path]) -> list[str | Path]:
    """The command line that runs a Python inside.

    Args:
        program: the path of ``bwrap``.
        argv: what to run; its first word is a Python.
        own_code: the folder of our own package.
        readable: the private copies of the artifacts.
    """
    python = Path(argv[0])
    binds: list[str | Path] = []
    for path in dict.fromkeys((*readable_paths(own_code), *readable)):
        binds += ["--ro-bind-try", os.path.realpath(path), path]
    for path in _of_python(python):
        binds += ["--ro-bind-try", os.path.realpath(path), path]
    return [program, *_NAMESPACES, *binds, "--dev", "/dev", "--chdir", "/", "--", *argv]


def _of_python(python: Path) -> Iterator[Path]:
    """The files that Python starts from: itself, by the name that is called and its own, and its environment's."""
    yield python
    yield Path(os.path.realpath(python))
    yield python.parent.parent / "pyvenv.cfg"


def usable(run: Runner) -> str:
    """The path of ``bwrap`` if it is installed and works here, which one short run tells; else empty."""
    program = shutil.which("bwrap", path=os.environ.get("PATH", os.defpath))
    if not program:
        return ""
    if program not in _KNOWN:
        _KNOWN[program] = _works(run, program)
    return program if _KNOWN[program] else ""


def _works(run: Runner, program: str) -> bool:
    everything = ("--ro-bind", "/", "/", "--dev", "/dev")
    try:
        ended = run([program, *_NAMESPACES, *everything, "--", "true"], deadline_s=_DEADLINE_S, cwd=Path("/"))
    except ConsoleError:
        return False
    return ended.code == 0


def inside() -> bool:
    """True if this process sees none of the system's own files, as only a probe inside does."""
    return not os.path.lexists(_WITNESS) and not os.path.lexists("/home") and not os.path.lexists("/root/.ssh")
