"""The kill file, an env file with the kill switch. Every engine reads it, and it outlives every console (contract §7).

Its content is `ml.emergency.killenv`'s. If its meaning depends on the reader, it is *unclear*, a state of its own and
never off.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ml.clock import parse_utc
from ml.emergency.killenv import ASSIGNED, VARIABLE, document, oddity
from ml.errors import Unavailable
from ml.records.durable import NotAFile, NotLasting, replace_file, require_file, sweep
from ml.text import visible

if TYPE_CHECKING:
    from pathlib import Path

ENGAGED_ALREADY = "was engaged already"
_MAX = 1 << 16
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755
"""Engines run as other users: they read the file, and pass through the folders that we make for it."""


class KillState(NamedTuple):
    """The content of the kill file. ``engaged`` is ``None`` when it is unknown; ``problem`` then says why.

    ``unclear``: the file can be read, and says neither exactly 1 nor exactly 0. ``at``, ``by`` and ``reason`` are of
    the request in force; ``at`` is ``None`` when there never was one.
    """

    engaged: bool | None
    at: datetime | None = None
    by: str = ""
    reason: str = ""
    problem: str = ""
    unclear: bool = False


class KillFile:
    """The file actuator."""

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)

    @property
    def shown(self) -> str:
        """The path, safe to print."""
        return visible(self._path)

    def read(self) -> KillState:
        """Read the file. A missing file is a switch that was never engaged."""
        try:
            require_file(self._path)
            handle = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                raw, written = os.read(handle, _MAX), os.fstat(handle).st_mtime
            finally:
                os.close(handle)
        except FileNotFoundError:
            return KillState(engaged=False)
        except OSError as error:
            if os.path.islink(self._path):
                return self._unclear(
                    error.strerror or str(error), "Put a regular file in its place: F9 does not write through it."
                )
            return KillState(None, problem=f"The kill file {self.shown} cannot be read: {error.strerror}.")
        odd = oddity(raw)
        if odd:
            return self._unclear(odd, f"F9 writes exactly {VARIABLE}=1 into it, a release exactly {VARIABLE}=0.")
        return _parse(raw, datetime.fromtimestamp(written, UTC))

    def _unclear(self, why: str, remedy: str) -> KillState:
        problem = f"The kill file {self.shown} is unclear, engines read this differently: {why}."
        return KillState(None, problem=f"{problem} {remedy}", unclear=True)

    def engage(self, at: datetime, by: str, reason: str) -> str:
        """Write the switch in whatever way the disk still allows. Returns a caveat, or nothing.

        Raises:
            Unavailable: the file does not say that the switch is engaged.
        """
        data = document(at, by, reason, engage=True)
        caveat = ""
        try:
            replace_file(self._path, data, mode=_FILE_MODE, folder_mode=_FOLDER_MODE)
        except NotLasting as error:
            caveat = _brief(error)
        except NotAFile as error:
            raise self._failed(error) from error
        except OSError as error:
            caveat = self._force(data, error)
        if not self.read().engaged:
            raise Unavailable(
                f"The kill file {self.shown} was overwritten by somebody else at the same moment.", "Press kill again."
            )
        return caveat

    def release(self, at: datetime, by: str, reason: str) -> None:
        """Write that the switch is released.

        Raises:
            Unavailable: it could not be written, and the old content stands.
        """
        try:
            # A release that a power cut may undo is a release: the switch would come back engaged.
            with suppress(NotLasting):
                data = document(at, by, reason, engage=False)
                replace_file(self._path, data, mode=_FILE_MODE, folder_mode=_FOLDER_MODE)
        except OSError as error:
            raise self._failed(error) from error

    def sweep(self) -> int:
        """Remove what killed writers left beside the file."""
        return sweep(self._path)

    def _force(self, data: bytes, error: OSError) -> str:
        """Bring the kill into force where the lasting way failed: without fsync, else by its one digit in place."""
        with suppress(OSError):
            replace_file(self._path, data, mode=_FILE_MODE, folder_mode=_FOLDER_MODE, lasting=False)
            return _brief(error)
        # A full disk takes no new file, but it does take one changed byte of an old one, which no reader sees torn.
        with suppress(OSError):
            self._flip()
            return f"only the digit in the old file was changed, as no new file could be written ({error.strerror})"
        raise self._failed(error) from error

    def _flip(self) -> None:
        handle = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            held = os.pread(handle, _MAX, 0)
            if not held.endswith(ASSIGNED + b"0\n"):
                raise OSError(errno.ENODATA, "there is no released kill file to change in place")
            os.pwrite(handle, b"1", len(held) - 2)
            with suppress(OSError):
                os.fsync(handle)
        finally:
            os.close(handle)

    def _failed(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"The kill file {self.shown} could not be written: {error.strerror}.",
            f"Put the line {VARIABLE}=1 (or 0) into it by hand, or correct kill_switch.file.",
        )


def _brief(error: OSError) -> str:
    return f"the switch is in force, but a power cut may undo it ({error.strerror})"


def _parse(raw: bytes, written: datetime) -> KillState:
    comments: dict[bytes, str] = {}
    value = b""
    for line in raw.split(b"\n"):
        if line.startswith(ASSIGNED):
            value = line.removeprefix(ASSIGNED)
        elif line.startswith(b"# "):
            key, _, rest = line[2:].partition(b" ")
            comments[key] = visible(rest.decode("utf-8", "replace"))
    engaged = value == b"1"
    try:
        at = parse_utc(comments[b"engaged" if engaged else b"released"])
    except (KeyError, ValueError):
        # Written by hand, or by its one digit: the file's own time is when.
        return KillState(engaged, written)
    return KillState(engaged, at, comments.get(b"by", ""), comments.get(b"reason", ""))
