"""The kill file. Every engine reads it, and it outlives every console (contract §7).

Without a format of its own it is an env file (`ml.emergency.killenv`), made whole at each press. Otherwise it is a file
of the adopter's engines (`ml.emergency.killformats`), of which only the value of one key is replaced; its time of
modification then says when the switch was set. A file of another format is left as it is.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ml.emergency.killenv import ASSIGNED, VARIABLE, document, foreign, oddity, others, said
from ml.errors import Unavailable
from ml.records.durable import NotAFile, NotLasting, replace_file, require_file, sweep
from ml.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from ml.emergency.killformats import KillFormat

ENGAGED_ALREADY = "was engaged already"
_MOST = 1 << 20
_TRIES = 10
"""How often an edit is begun anew because somebody else wrote the file meanwhile."""
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755
"""Engines run as other users: they read the file, and pass through the folders that we make for it."""
_OTHER_FORMAT = "Set kill_switch.format to the format that it has, or kill_switch.file to an env file."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class KillState(NamedTuple):
    """The content of the kill file. ``engaged`` is ``None`` when it is unknown; ``problem`` then says why.

    ``unclear``: the file can be read, and says neither exactly on nor exactly off. ``at``, ``by`` and ``reason`` are of
    the request in force; ``at`` is ``None`` when there never was one.
    """

    engaged: bool | None
    at: datetime | None = None
    by: str = ""
    reason: str = ""
    problem: str = ""
    unclear: bool = False


class KillFile:
    """The file actuator. ``form`` is the format of the engines' own file; ``None`` is the env file."""

    def __init__(self, path: Path, form: KillFormat | None = None) -> None:
        self._path = os.fspath(path)
        self._form = form

    @property
    def shown(self) -> str:
        """The path, safe to print."""
        return visible(self._path)

    def read(self) -> KillState:
        """Read the file. A missing file is a switch that was never engaged."""
        try:
            raw, about = self._held()
        except OSError as error:
            if os.path.islink(self._path):
                return self._unclear(
                    error.strerror or str(error), "Put a regular file in its place: F9 does not write through it."
                )
            return KillState(None, problem=f"The kill file {self.shown} cannot be read: {error.strerror}.")
        if raw is None or about is None:
            return KillState(engaged=False)
        return self._read_env(raw, about) if self._form is None else self._read_form(self._form, raw, about)

    def _read_env(self, raw: bytes, about: os.stat_result) -> KillState:
        other = foreign(raw)
        if other:
            return self._unclear(other, f"F9 leaves it as it is. {_OTHER_FORMAT}")
        odd = oddity(raw)
        if odd:
            return self._unclear(odd, f"F9 writes exactly {VARIABLE}=1 into it, a release exactly {VARIABLE}=0.")
        engaged, at, by, reason = said(raw)
        # Written by hand, or by its one digit: the file's own time is when.
        return KillState(engaged, at or datetime.fromtimestamp(about.st_mtime, UTC), by, reason)

    def _read_form(self, form: KillFormat, raw: bytes, about: os.stat_result) -> KillState:
        from ml.emergency.killformats import read  # noqa: PLC0415 - the env file needs no parser
        from ml.emergency.killplaces import Unfit  # noqa: PLC0415 - as above

        try:
            return KillState(read(form, raw), _EPOCH + _TICK * (about.st_mtime_ns // 1000))
        except Unfit as error:
            on, off = (visible(form.written(engage=engage), limit=80) for engage in (True, False))
            return self._unclear(str(error), f"It is on where {form.name} is {on}, and off where it is {off}.")

    def _unclear(self, why: str, remedy: str) -> KillState:
        problem = f"The kill file {self.shown} is unclear, engines read this differently: {why}."
        return KillState(None, problem=f"{problem} {remedy}", unclear=True)

    def engage(self, at: datetime, by: str, reason: str) -> str:
        """Write the switch in whatever way the disk still allows. Returns a caveat, or nothing.

        Raises:
            Unavailable: the file does not say that the switch is engaged.
        """
        try:
            caveat = self._write(at, by, reason, engage=True)
        except NotLasting as error:
            caveat = _brief(error)
        except NotAFile as error:
            raise self._failed(error, engage=True) from error
        except OSError as error:
            caveat = self._force(at, by, reason, error)
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
                self._write(at, by, reason, engage=False)
        except OSError as error:
            raise self._failed(error, engage=False) from error

    def refusal(self) -> Unavailable | None:
        """Return why neither a kill nor a release would touch the file as it is; ``None`` if they can be written."""
        try:
            raw = self._held()[0]
            for engage in (True, False):
                self._content(raw, _EPOCH, "", "", engage=engage)
        except Unavailable as error:
            return error
        except OSError as error:
            return self._failed(error, engage=True)
        return None

    def sweep(self) -> int:
        """Remove what killed writers left beside the file."""
        return sweep(self._path)

    def by_hand(self, *, engage: bool) -> str:
        """The command or step with which a person sets the switch in the file as it is now."""
        raw, why = None, ""
        try:
            raw = self._held()[0]
        except OSError as error:
            why = error.strerror or str(error)
        if self._form is not None:
            from ml.emergency.killformats import by_hand, in_editor  # noqa: PLC0415 - as above

            if why:
                return in_editor(self._form, self._path, why, engage=engage)
            return by_hand(self._form, raw, self._path, engage=engage)
        other = foreign(raw or b"")
        if other:
            return f"do not write over {self.shown}, {other}: set the switch in it with an editor, or stop the engines"
        if others(raw or b""):
            return f"in {self.shown}, write {VARIABLE}={int(engage)} with an editor, and keep the other lines"
        return f"echo {VARIABLE}={int(engage)} > {self.shown}"

    def _held(self) -> tuple[bytes | None, os.stat_result | None]:
        """The file as it is now; ``None`` where there is no file. Raises OSError."""
        try:
            require_file(self._path)
            handle = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None, None
        try:
            return os.read(handle, _MOST + 1), os.fstat(handle)
        finally:
            os.close(handle)

    def _write(self, at: datetime, by: str, reason: str, *, engage: bool, lasting: bool = True) -> str:
        """Replace the file; begin anew if somebody else wrote it meanwhile. Returns a caveat, or nothing.

        Raises:
            Unavailable: the file is of another format. OSError: it could not be written.
        """
        for _ in range(_TRIES):
            raw, about = self._to_replace()
            data, caveat = self._content(raw, at, by, reason, engage=engage)
            keep = self._form is not None or bool(others(raw or b""))
            mode = stat.S_IMODE(about.st_mode) if keep and about is not None else _FILE_MODE
            prepare = partial(self._prepare, about, at) if keep else None
            with suppress(_Moved):
                replace_file(self._path, data, mode=mode, folder_mode=_FOLDER_MODE, lasting=lasting, prepare=prepare)
                return caveat
        raise _Moved(errno.EBUSY, "somebody else writes it all the time")

    def _to_replace(self) -> tuple[bytes | None, os.stat_result | None]:
        try:
            return self._held()
        except NotAFile:
            raise
        except OSError:
            # An env file is made whole, whether or not the old one can be read.
            if self._form is not None:
                raise
            return None, None

    def _content(self, raw: bytes | None, at: datetime, by: str, reason: str, *, engage: bool) -> tuple[bytes, str]:
        if self._form is None:
            other = foreign(raw or b"")
            if other:
                raise self._left(other, _OTHER_FORMAT)
            return others(raw or b"") + document(at, by, reason, engage=engage), ""
        from ml.emergency.killformats import edit  # noqa: PLC0415 - as above
        from ml.emergency.killplaces import Unfit  # noqa: PLC0415 - as above

        try:
            data, caveat = edit(self._form, raw, engage=engage)
        except Unfit as error:
            raise self._left(str(error), "Correct the file, or kill_switch.format and key.") from error
        return data, caveat

    def _prepare(self, about: os.stat_result | None, at: datetime, handle: int) -> None:
        """Give the new file what the old one had, and make sure that the old one is still as it was read.

        Raises:
            _Moved: it is not. OSError: its owner cannot be kept, so that its readers might be locked out.
        """
        if about is not None:
            new = os.fstat(handle)
            if (new.st_uid, new.st_gid) != (about.st_uid, about.st_gid):
                try:
                    os.fchown(handle, about.st_uid, about.st_gid)
                except OSError as error:
                    raise OSError(error.errno, "its owner could not be kept") from error
                os.fchmod(handle, stat.S_IMODE(about.st_mode))
            with suppress(OSError):
                for name in os.listxattr(self._path, follow_symlinks=False):
                    os.setxattr(handle, name, os.getxattr(self._path, name, follow_symlinks=False))
        if self._form is not None:
            _stamp(handle, at)
        if _identity(self._path) != (about and _same(about)):
            raise _Moved(errno.EBUSY, "somebody else wrote it at the same moment")

    def _force(self, at: datetime, by: str, reason: str, error: OSError) -> str:
        """Bring the kill into force where the lasting way failed: without fsync, else by its value in place."""
        with suppress(OSError):
            self._write(at, by, reason, engage=True, lasting=False)
            return _brief(error)
        # A full disk takes no new file, but it does take one changed byte of an old one, which no reader sees torn.
        with suppress(OSError):
            self._flip(at)
            what = "digit" if self._form is None else "value"
            return f"only the {what} in the old file was changed, as no new file could be written ({error.strerror})"
        raise self._failed(error, engage=True) from error

    def _flip(self, at: datetime) -> None:
        handle = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            start, new = self._in_place(os.pread(handle, _MOST + 1, 0))
            os.pwrite(handle, new, start)
            with suppress(OSError):
                os.fsync(handle)
            with suppress(OSError):  # only its owner may
                if self._form is not None:
                    _stamp(handle, at)
        finally:
            os.close(handle)

    def _in_place(self, held: bytes) -> tuple[int, bytes]:
        """The position and the bytes of an engaged switch. Raises OSError where there is no room for it."""
        if self._form is None:
            if not held.endswith(ASSIGNED + b"0\n"):
                raise OSError(errno.ENODATA, "there is no released kill file to change in place")
            return len(held) - 2, b"1"
        from ml.emergency.killformats import overwrite  # noqa: PLC0415 - as above
        from ml.emergency.killplaces import Unfit  # noqa: PLC0415 - as above

        try:
            return overwrite(self._form, held, engage=True)
        except Unfit as error:
            raise OSError(errno.ENODATA, str(error)) from error

    def _failed(self, error: OSError, *, engage: bool) -> Unavailable:
        cause = f"The kill file {self.shown} could not be written: {error.strerror}."
        if self._form is not None:
            value = visible(self._form.written(engage=engage), limit=80)
            return Unavailable(cause, f"Set {self._form.name} to {value} by hand, or correct kill_switch.file.")
        return Unavailable(cause, f"Put the line {VARIABLE}=1 (or 0) into it by hand, or correct kill_switch.file.")

    def _left(self, why: str, remedy: str) -> Unavailable:
        return Unavailable(f"The kill file {self.shown} was left as it is, and nothing was written: {why}.", remedy)


class _Moved(OSError):
    """Somebody else wrote the file between our reading and our writing."""


def _stamp(handle: int, at: datetime) -> None:
    """Let the file's time of modification say when the switch was set."""
    moment = (at - _EPOCH) // _TICK * 1000
    os.utime(handle, ns=(moment, moment))


def _same(about: os.stat_result) -> tuple[int, int, int]:
    return about.st_ino, about.st_size, about.st_mtime_ns


def _identity(path: str) -> tuple[int, int, int] | None:
    """Return values that change when a file is replaced or written; ``None`` while there is no file."""
    try:
        return _same(os.lstat(path))
    except FileNotFoundError:
        return None


def _brief(error: OSError) -> str:
    return f"the switch is in force, but a power cut may undo it ({error.strerror})"
