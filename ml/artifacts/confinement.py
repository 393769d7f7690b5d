"""Confinement of a probe: no network, and no files beyond those that it needs.

Uses only the standard library, and must run while the process has one thread. There are two barriers, reported one by
one:

* *network*: the empty network namespace that `ml.artifacts.probe` enters, and a seccomp filter that refuses sockets of
  every kind (also those to an ssh agent, a bus or a container's daemon, which a namespace does not close);
* *files*: Landlock, which lets the process read the artifact's copy, Python's own libraries and the system's, and a few
  harmless devices. Home, state folder, keys, other processes' memory and environment are closed to it. Where the kernel
  has no Landlock, bubblewrap does the same if it is installed (`wrapped`).

Neither is guaranteed: a kernel may lack either. `confine` returns the barriers that hold.
"""

from __future__ import annotations

import ctypes
import os
import platform
import pwd
import shutil
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.errors import ConsoleError
from ml.ports import Runner

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR, _EXECUTE = 1 << 2, 1 << 3, 1 << 0
_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
"""The number of rights on files that a ruleset may name, by the first version of Landlock that has them."""
_TCP_SINCE, _TCP_RIGHTS = 4, 3
_SCOPES_SINCE, _SCOPES = 6, 3
_PR_SET_SECCOMP, _SECCOMP_FILTER = 22, 2
_EPERM = 1
_ALLOW, _REFUSE = 0x7FFF_0000, 0x0005_0000 | _EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_X32 = 0x4000_0000
_REFUSED = {
    # socket, socketpair, ptrace, process_vm_readv, process_vm_writev, io_uring_setup
    "x86_64": (0xC000_003E, (41, 53, 101, 310, 311, 425)),
    "aarch64": (0xC000_00B7, (198, 199, 117, 270, 271, 425)),
}
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system",
    "/sys/bus/pci",
    "/dev/null",
    "/dev/zero",
    "/dev/urandom",
)


@dataclass(frozen=True, slots=True)
class Confinement:
    """The barriers between a probe and the network or the operator's files. Empty fields mean no barrier."""

    network: str
    files: str

    @property
    def whole(self) -> bool:
        """True if both barriers hold."""
        return bool(self.network and self.files)

    @property
    def why(self) -> str:
        """Both, in one sentence."""
        network = f"No network ({self.network})" if self.network else "The network is NOT shut off on this system"
        files = (
            f"none of the operator's files ({self.files})"
            if self.files
            else "the operator's files are NOT hidden: this kernel has no Landlock, and bubblewrap does not work here"
        )
        return f"{network}; {files}."


def landlock_version() -> int:
    """The version of Landlock in this kernel; below one where it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    version: int = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return version


def readable_paths(own_code: Path) -> tuple[Path, ...]:
    """The paths that every probe may read: our own code, Python's libraries and the system's."""
    return (own_code, *_libraries(own_code.parent), *map(Path, _SYSTEM))


def confine(own_code: Path, readable: Iterable[Path], *, network: str, around: str = "") -> Confinement:
    """Shut this process in for good.

    Args:
        own_code: the folder of our own package.
        readable: the private copies of the artifacts that it may read.
        network: what shuts off the network already; empty when nothing does.
        around: what hides files already; empty when nothing does.
    """
    if not sys.platform.startswith("linux"):
        return Confinement(network, "")
    landlock = _landlock((*readable_paths(own_code), Path(f"/proc/{os.getpid()}"), *readable))
    files = " and ".join(filter(None, (around, landlock)))
    walls = (network, "seccomp" if _refuse_sockets() else "")
    return Confinement(" and ".join(filter(None, walls)), files)


def _libraries(ours: Path) -> Iterator[Path]:
    """Return the folders of this Python's modules and libraries.

    A folder that the home lies in is never among them, nor is the checkout that our code may lie in.
    """
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [*(sysconfig.get_path(name) for name in names), *sys.path]
    found += [os.path.join(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix)]
    home = _home()
    for name in filter(None, found):
        path = Path(os.path.realpath(name))
        checkout = path == ours and not (path / "numpy").exists()
        if not checkout and not home.is_relative_to(path):
            yield path


def _home() -> Path:
    try:
        return Path(os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir))
    except KeyError:
        return Path("/nonexistent")


def _landlock(readable: Iterable[Path]) -> str:
    """Allow reading below some paths and nothing else; empty when the kernel has no Landlock."""
    version = landlock_version()
    if version < 1:
        return ""
    libc = ctypes.CDLL(None, use_errno=True)
    rights = max(count for since, count in _FILE_RIGHTS if version >= since)
    attributes = struct.pack(
        "=QQQ",
        (1 << rights) - 1,
        _TCP_RIGHTS if version >= _TCP_SINCE else 0,
        _SCOPES if version >= _SCOPES_SINCE else 0,
    )
    size = 24 if version >= _SCOPES_SINCE else 16 if version >= _TCP_SINCE else 8
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return ""
    try:
        for path in readable:
            _allow(libc, ruleset, path)
        if libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) != 0:
            return ""
    finally:
        os.close(ruleset)
    return f"Landlock {version}"


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    """Allow this process to read below a path. A missing path is skipped."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    rights = _READ_FILE | _READ_DIR | _EXECUTE if os.path.isdir(path) else _READ_FILE
    rule = struct.pack("=Qi", rights, descriptor)
    libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    os.close(descriptor)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _refuse_sockets() -> bool:
    """Refuse sockets, and reading other processes' memory, by a seccomp filter; whether it holds now."""
    known = _REFUSED.get(platform.machine())
    if known is None:
        return False
    code = _filter(*known)
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(held, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    done: int = libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(program), 0, 0)
    return done == 0


def _filter(architecture: int, numbers: tuple[int, ...]) -> bytes:
    """A BPF program: refuse calls of another architecture, of the x32 kind, and those listed; allow the others."""
    last = len(numbers)
    lines = [
        _line(_LOAD, 0, 0, 4),  # the architecture of the call
        _line(_EQUAL, 0, last + 2, architecture),
        _line(_LOAD, 0, 0, 0),  # its number
        _line(_AT_LEAST, last, 0, _X32),
        *(_line(_EQUAL, last - at - 1, 0 if at + 1 < last else 1, number) for at, number in enumerate(numbers)),
    ]
    return b"".join((*lines, _line(_RETURN, 0, 0, _REFUSE), _line(_RETURN, 0, 0, _ALLOW)))


def _line(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


# Bubblewrap around a probe where the kernel has no Landlock: a root folder with nothing but what the probe may read.
#
# `ml.artifacts.sandbox` starts the probe through it, and the probe itself checks that it is inside (`inside`) before
# it says so. Where the program is missing, or may not make namespaces here, nothing is claimed.

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
