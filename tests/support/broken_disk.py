"""Injects what a disk does when it is sick, at the system call, for the paths below one folder only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def broken(folder: Path, call: str, code: int) -> Iterator[None]:
    """Let a call fail with an errno for files below ``folder``.

    Args:
        call: ``write`` and ``fsync`` fail on every handle; ``rename`` and ``create`` (opening a new file) and
            ``change`` (opening any file to write) fail by path.
    """

    def refuse(*_args: Any, **_options: Any) -> Any:
        raise OSError(code, os.strerror(code))

    real_open, real_write, real_fsync = os.open, os.write, os.fsync

    def below(handle: int) -> bool:
        return os.readlink(f"/proc/self/fd/{handle}").startswith(str(folder))

    def guarded_open(path: Any, flags: int, *args: Any, **options: Any) -> int:
        wanted = os.O_CREAT if call == "create" else os.O_CREAT | os.O_WRONLY | os.O_RDWR
        if str(path).startswith(str(folder)) and flags & wanted:
            refuse()
        return real_open(path, flags, *args, **options)

    replacement = {
        "write": ("write", lambda handle, data: refuse() if below(handle) else real_write(handle, data)),
        "fsync": ("fsync", lambda handle: refuse() if below(handle) else real_fsync(handle)),
        "rename": ("rename", refuse),
        "create": ("open", guarded_open),
        "change": ("open", guarded_open),
    }[call]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, *replacement)
        yield
