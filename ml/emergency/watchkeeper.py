"""The keeper of watches: stores them on disk and updates them at every poll, so that they survive a disconnect."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from ml.clock import format_utc, span
from ml.emergency.watch import Subject, Trouble, Watch, begin, claim, end, look, summary_line
from ml.errors import ConsoleError, Invalid, Refused, Unavailable
from ml.records.audit import AuditLog
from ml.records.durable import replace_file
from ml.text import visible

_FRESH = timedelta(days=1)
"""A model that became active longer ago is not new any more, even if no console saw it begin."""


class Turn(StrEnum):
    """An event of a watch."""

    BEGUN = "watch_begun"
    BREACH = "breach"
    RECOVERED = "recovered"
    CLAIMED = "watch_claimed"
    ENDED = "watch_ended"


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One turn of a watch, and a sentence about it. Of several consoles on one state, one gets it."""

    turn: Turn
    watch: Watch
    sentence: str


class Watchkeeper:
    """All watches below one folder, shared by every console of this machine. Each event adds one audit line."""

    def __init__(self, folder: Path, audit: AuditLog) -> None:
        self._folder = folder
        self._audit = audit

    def poll(
        self,
        subjects: Sequence[Subject],
        keeper: str,
        now: datetime,
        *,
        minutes: float,
        durations: Mapping[str, float],
    ) -> tuple[WatchEvent, ...]:
        """Begin, move on and end watches by what one poll shows.

        Args:
            subjects: every model that is watched, or new enough to be. A running watch over any other model ends,
                because the registry does not know that model any more.

        Raises:
            Unavailable: the state cannot be written; Invalid: it cannot be read back.
        """
        events: list[WatchEvent] = []
        with self._locked():
            for subject in subjects:
                held = self._read(subject.model)
                if held is None or not _covers(held, subject):
                    events += self._close(held, _replaced(subject), now)
                    events += self._open(subject, keeper, now, minutes)
                elif held.ended_at is None:
                    events += self._look(held, subject, now, durations)
            known = {subject.model for subject in subjects}
            for held in self.watches():
                if held.model not in known:
                    events += self._close(held, "the model is no longer in the registry", now)
        for event in events:
            self._record(event)
        return tuple(events)

    def watches(self) -> tuple[Watch, ...]:
        """Every watch that is known, ended ones included, by model. Raises Invalid for one that cannot be read."""
        if not self._folder.is_dir():
            return ()
        found = (self._parse(path) for path in sorted(self._folder.glob("*.json")))
        return tuple(watch for watch in found if watch)

    def claim(self, model: str, keeper: str) -> WatchEvent:
        """Take over a watch. Raises Refused where none is running."""
        with self._locked():
            held = self._read(model)
            if held is None or held.ended_at is not None:
                raise Refused(f"No watch over {visible(model)} is running.", "A watch begins with an active promotion.")
            watch = claim(held, keeper)
            self._write(watch)
        event = WatchEvent(Turn.CLAIMED, watch, f"{keeper} watches {model} now; before it was {held.keeper}.")
        self._record(event)
        return event

    def _open(self, subject: Subject, keeper: str, now: datetime, minutes: float) -> Iterator[WatchEvent]:
        if not subject.serving or now - subject.promoted_at > _FRESH:
            return
        watch = begin(subject, keeper, now, minutes)
        self._write(watch)
        until = format_utc(watch.ends_at)
        yield WatchEvent(Turn.BEGUN, watch, f"{subject.artifact_id} serves {subject.model}; watched until {until}.")

    def _look(
        self, held: Watch, subject: Subject, now: datetime, durations: Mapping[str, float]
    ) -> Iterator[WatchEvent]:
        watch = look(held, subject.readings, now, durations)
        if now >= watch.ends_at:
            watch = end(watch, now, "the time is over")
        self._write(watch)
        before = {(each.objective, each.since): each for each in held.breaches}
        for trouble in watch.breaches:
            known = before.get((trouble.objective, trouble.since))
            if known is None:
                yield WatchEvent(Turn.BREACH, watch, _breach(watch, trouble))
            elif trouble.until and not known.until:
                yield WatchEvent(Turn.RECOVERED, watch, f"{trouble.objective} of {watch.model} meets its limit again.")
        if watch.ended_at:
            yield WatchEvent(Turn.ENDED, watch, summary_line(watch))

    def _close(self, held: Watch | None, ending: str, now: datetime) -> Iterator[WatchEvent]:
        """End a running watch over an artifact that is no longer active."""
        if held is None or held.ended_at is not None:
            return
        watch = end(held, now, ending)
        self._write(watch)
        yield WatchEvent(Turn.ENDED, watch, summary_line(watch))

    def _record(self, event: WatchEvent) -> None:
        watch = event.watch
        # The watch itself is on disk; a log that cannot be written must not stop it.
        with suppress(ConsoleError):
            self._audit.append(
                event.turn.value,
                by=watch.keeper,
                model=watch.model,
                artifact_id=watch.artifact_id,
                what=event.sentence,
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _path(self, model: str) -> Path:
        return self._folder / f"{quote(model, safe='')}.json"

    def _read(self, model: str) -> Watch | None:
        return self._parse(self._path(model))

    def _parse(self, path: Path) -> Watch | None:
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - only where a watch is read

        try:
            return TypeAdapter(Watch).validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise Invalid(
                f"The watch in {visible(str(path))} cannot be read.", "Remove the file; the watch then begins again."
            ) from error

    def _write(self, watch: Watch) -> None:
        from pydantic import TypeAdapter  # noqa: PLC0415 - only where a watch is written

        try:
            replace_file(self._path(watch.model), TypeAdapter(Watch).dump_json(watch))
        except OSError as error:
            raise _unwritable(self._folder, error) from error


def _covers(watch: Watch, subject: Subject) -> bool:
    return (watch.artifact_id, watch.promoted_at) == (subject.artifact_id, subject.promoted_at)


def _replaced(subject: Subject) -> str:
    """Say why the watched artifact is no longer active: rolled back, replaced, or cleared."""
    if not subject.artifact_id:
        return "nothing is active any more"
    return f"{visible(subject.artifact_id)} became active in its place"


def _breach(watch: Watch, trouble: Trouble) -> str:
    lasted = span(((trouble.breached_at or trouble.since) - trouble.since).total_seconds())
    return f"{watch.artifact_id} breaches {trouble.objective} for {lasted}: {trouble.why}"


def _unwritable(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The watch in {visible(str(folder))} cannot be written: {error.strerror}.",
        "Make room or correct its permissions; until then nothing is watched.",
    )
