"""The env file that carries the kill switch: what every engine reads, and what survives every console (SPEC §7).

Its last line is ``ML_KILL_SWITCH=1`` or ``ML_KILL_SWITCH=0``, so that systemd's ``EnvironmentFile``, ``docker compose``
and ``kubectl create configmap --from-env-file`` take it as it is. The comments above say who asked, when and why.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from ml.clock import parse_utc
from ml.errors import Unavailable
from ml.records.durable import NotAFile, NotLasting, replace_file, require_file, sweep
from ml.text import visible

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "ML_KILL_SWITCH"
ENGAGED_ALREADY = "was engaged already"
_ASSIGNED = f"{VARIABLE}=".encode()
_MAX = 1 << 16


class KillState(NamedTuple):
    """What the file says. ``engaged`` is ``None`` when it cannot be read, and ``problem`` says why.

    ``at``, ``by`` and ``reason`` are of the request in force; ``at`` is ``None`` when there never was one.
    """

    engaged: bool | None
    at: datetime | None = None
    by: str = ""
    reason: str = ""
    problem: str = ""


class KillFile:
    """The file actuator."""

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)

    @property
    def shown(self) -> str:
        """The path, safe to print."""
        return visible(self._path)

    def read(self) -> KillState:
        """What stands in the file now. A missing file is a switch that was never engaged."""
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
            return KillState(None, problem=f"The kill file {self.shown} cannot be read: {error.strerror}.")
        return _parse(raw, datetime.fromtimestamp(written, UTC))

    def engage(self, at: datetime, by: str, reason: str) -> str:
        """Write the switch, by whatever way the disk still allows; a caveat in words, or nothing.

        Raises:
            Unavailable: the file does not say that the switch is engaged.
        """
        data = _document(at, by, reason, engage=True)
        caveat = ""
        try:
            replace_file(self._path, data, mode=0o644)
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
                replace_file(self._path, _document(at, by, reason, engage=False), mode=0o644)
        except OSError as error:
            raise self._failed(error) from error

    def sweep(self) -> int:
        """Remove what killed writers left beside the file."""
        return sweep(self._path)

    def _force(self, data: bytes, error: OSError) -> str:
        """Bring the kill into force where the lasting way failed: without fsync, else by its one digit in place."""
        with suppress(OSError):
            replace_file(self._path, data, mode=0o644, lasting=False)
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
            if not held.endswith(_ASSIGNED + b"0\n"):
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


def _document(at: datetime, by: str, reason: str, *, engage: bool) -> bytes:
    moment = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    told = (f"# {'engaged' if engage else 'released'} {moment}", f"# by {visible(by)}", f"# reason {visible(reason)}")
    return "\n".join((*told, f"{VARIABLE}={int(engage)}", "")).encode()


def _parse(raw: bytes, written: datetime) -> KillState:
    told: dict[bytes, str] = {}
    value = b""
    for line in raw.splitlines():
        if line.startswith(_ASSIGNED):
            value = line.removeprefix(_ASSIGNED)
        elif line.startswith(b"# "):
            key, _, rest = line[2:].partition(b" ")
            told[key] = visible(rest.decode("utf-8", "replace"))
    engaged = value == b"1"
    try:
        at = parse_utc(told[b"engaged" if engaged else b"released"])
    except (KeyError, ValueError):
        # Written by hand, or by its one digit: the file's own time is when.
        return KillState(engaged, written)
    return KillState(engaged, at, told.get(b"by", ""), told.get(b"reason", ""))
