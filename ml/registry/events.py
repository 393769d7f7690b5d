"""The common parts of every change of a registry: who, when and why, the event, the archive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Required, TypedDict

from pydantic import ValidationError

from ml.artifacts.ids import is_artifact_id
from ml.clock import format_utc
from ml.errors import Refused
from ml.registry.codec import Document, RegistryInvalid
from ml.registry.edits import ModelEdit, edit_model, event_texts
from ml.registry.history import activation_pointer, chronological, chronological_indexes, last_moment, newest_first
from ml.registry.scanner import compact
from ml.registry.schema import (
    MAX_HISTORY,
    Event,
    Model,
    Pointer,
    is_digest,
    is_git_sha,
    plain_directory,
    pointer_faults,
    spelled_out,
)
from ml.stage import Stage
from ml.text import visible

# The archive of a model's older events: JSON Lines, oldest first, only ever appended to.


def extended(archive: bytes, events: Sequence[str]) -> bytes:
    """The archive with some more events' texts, oldest first; each keeps its spelling and becomes one line."""
    gap = b"" if not archive or archive.endswith(b"\n") else b"\n"
    return archive + gap + b"".join(compact(event).encode() + b"\n" for event in events)


def with_archive(model: Model, archive: bytes) -> Model:
    """Return a model with its archived events, oldest first: for questions, never for writing.

    After fifty stagings, the previous active artifact may stand only in the archive, and so may a rollback that
    condemned one. A line that is no event is skipped, because a rollback must not fail for it.
    """
    return model.model_copy(update={"history": (*_events(archive), *chronological(model))})


def _events(archive: bytes) -> Iterator[Event]:
    for line in archive.splitlines():
        try:
            yield Event.model_validate(json.loads(line))
        except (ValidationError, ValueError, RecursionError):
            continue


SKEW = timedelta(minutes=5)
"""The time by which the newest event may be ahead of our clock; operators' clocks differ."""


@dataclass(frozen=True, slots=True)
class Change:
    """A registry after one legal change.

    ``event`` is the new line of the history, ``archive`` the whole new archive file, ``None`` where it stays as it is.
    """

    document: Document
    event: Event
    archive: bytes | None = None

    @property
    def raw(self) -> bytes:
        """The whole new registry file."""
        return self.document.raw


class Context(TypedDict, total=False):
    """The author, time and reason of a change.

    ``by`` is the author's identity, ``at`` the present moment (aware), ``base_commit`` the commit that the change
    is made on, ``archive`` the model's archive file in it, ``extra`` further keys for the event (waivers, ACK).
    """

    by: Required[str]
    reason: Required[str]
    at: Required[datetime]
    source: str
    base_commit: str | None
    archive: bytes
    extra: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes one change of one model: its stages, its event, and what moves to the archive. Fields as in `Context`."""

    doc: Document
    model: str
    by: str
    reason: str
    at: datetime
    source: str = "mlconsole"
    base_commit: str | None = None
    archive: bytes = b""
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        """Return the time of the change: now, to the second, but never before the previous event."""
        now, last = self.at.replace(microsecond=0), last_moment(self._now)
        if last is None or last <= now:
            return now
        return last if last.microsecond == 0 else last.replace(microsecond=0) + timedelta(seconds=1)

    @property
    def _now(self) -> Model:
        return self.doc.registry.models.get(self.model, Model())

    def signature(self) -> dict[str, object]:
        """Return the fields of a pointer that describe its promotion."""
        return {"promoted_at_utc": format_utc(self.moment), "actor": self.by, "source": self.source}

    def change(
        self,
        stages: Mapping[Stage, object],
        words: Mapping[str, object],
        artifact_id: str,
        *,
        emergency: bool = False,
    ) -> Change:
        """Write the stages and the event, and archive older events."""
        self._refuse_future(emergency=emergency)
        model = self._now
        event = self._event(words, artifact_id)
        surplus = chronological_indexes(model)[: max(0, len(model.history) + 1 - MAX_HISTORY)]
        texts = event_texts(self.doc, self.model) if surplus else ()
        prepend = newest_first(model)
        edited = self._edited(ModelEdit(stages, event, prepend, surplus))
        archive = extended(self.archive, [texts[place] for place in surplus]) if surplus else None
        written = edited.registry.models[self.model].history[0 if prepend else -1]
        return Change(edited, written, archive)

    def _edited(self, edit: ModelEdit) -> Document:
        try:
            return edit_model(self.doc, self.model, edit)
        except RegistryInvalid as error:
            raise Refused(
                f"The change cannot be written: {error.cause}", "Use plain text in what you typed."
            ) from error

    def _refuse_future(self, *, emergency: bool) -> None:
        """Refuse a history from the future, a sign of a wrong clock. Only a rollback ignores it."""
        last = last_moment(self._now)
        if last and not emergency and last - self.at > SKEW:
            raise Refused(
                f"The newest event of {visible(self.model)} is at {format_utc(last)}, which is in the future.",
                "Correct the clock of this machine, or the time in the history.",
            )

    def _event(self, words: Mapping[str, object], artifact_id: str) -> dict[str, object]:
        common = {
            "at": format_utc(self.moment),
            "artifact_id": artifact_id,
            "by": _plain("author", self.by),
            "source": self.source,
            "reason": _plain("reason", self.reason),
            "registry_git_sha": self.base_commit if is_git_sha(self.base_commit) else None,
        }
        event = spelled_out({**common, **words})
        further = {key: value for key, value in {**self.extra, **words}.items() if key not in event}
        return {**event, **further}


def _plain(what: str, value: str) -> str:
    if not value.strip():
        raise Refused(f"The {what} is empty.", f"Every change names its {what}.")
    if visible(value, lines=True) != value:
        raise Refused(
            f"The {what} holds characters that are no plain text: {visible(value, limit=120)}.", "Type it anew."
        )
    return value


# Pointers: the pointer of an artifact's activation, and the form in which we write pointers.
#
# A rollback restores the pointer of an activation. Anybody may stage, so a staging's pointer never decides what trades.

__all__ = [
    "activation_pointer",
    "all_pointers",
    "completed",
    "conflict",
    "refuse_faults",
    "refuse_known_otherwise",
    "refuse_unconventional",
    "spelled",
    "without_faults",
]


def all_pointers(model: Model) -> Iterator[Pointer]:
    """Every pointer of a model's stages and events."""
    yield from (pointer for stage in Stage if (pointer := model.pointer(stage)))
    yield from (event.pointer for event in model.history if event.pointer)


def conflict(known: Pointer, new: Pointer) -> str:
    """Say why two pointers of one id cannot be the same artifact: one clause, empty if they may or ids differ."""
    if known.artifact_id != new.artifact_id:
        return ""
    if known.model_sha256 and new.model_sha256 and known.model_sha256 != new.model_sha256:
        return f"with another digest ({visible(known.model_sha256)[:12]})"
    if plain_directory(known.artifact_dir) != plain_directory(new.artifact_dir):
        return f"in another folder ({visible(known.artifact_dir)})"
    return ""


def refuse_known_otherwise(models: Mapping[str, Model], pointer: Pointer) -> None:
    """Refuse an id that any of the models, with their archived events, knows with another digest or folder.

    Raises:
        Refused: naming the model and what differs; one id stands for one artifact for ever.
    """
    for name, model in models.items():
        for known in all_pointers(model):
            why = conflict(known, pointer)
            if why:
                raise Refused(
                    f"The history of {visible(name)} knows {pointer.artifact_id} {why}.",
                    "Give the artifact a new id; an id is never used for another artifact.",
                )


def spelled(pointer: Pointer) -> dict[str, object]:
    """A pointer as it is written: the known fields, with times in the one form that the engine takes."""
    values = pointer.model_dump(exclude_none=True)
    return {key: format_utc(value) if isinstance(value, datetime) else value for key, value in values.items()}


def completed(known: Pointer, more: Pointer | None) -> Pointer:
    """A pointer with its gaps, and what the engine would refuse in it, filled from another one to the same artifact."""
    if more is None or more.artifact_id != known.artifact_id:
        return known
    return Pointer.model_validate({**spelled(more), **without_faults(known)})


def without_faults(pointer: Pointer) -> dict[str, object]:
    """Return a pointer as it is written, without keys that hold a value which the engine refuses."""
    written = spelled(pointer)
    faulty = {key for key, _ in pointer_faults(written, active=False)}
    return {key: value for key, value in written.items() if key not in faulty}


def refuse_unconventional(pointer: Pointer) -> None:
    """Files in use hold other ids, and may; a new artifact follows the convention."""
    if not is_artifact_id(pointer.artifact_id):
        raise Refused(
            f"{visible(pointer.artifact_id)} is no artifact id.",
            "Name it like regime_v2026_02_16_001, with a real date.",
        )
    if pointer.artifact_dir.rstrip("/").rpartition("/")[2] != pointer.artifact_id:
        raise Refused(
            f"The directory {visible(pointer.artifact_dir)} is not named {pointer.artifact_id}.",
            "Name an artifact's directory by its id.",
        )


def refuse_faults(pointer: Mapping[str, object], *, active: bool) -> None:
    """Refuse a pointer that the engine would refuse, or that has no digest of its artifact.

    Raises:
        Refused: naming everything that is wrong.
    """
    faults = [reason for _, reason in pointer_faults(pointer, active=active)]
    digest = pointer.get("model_sha256")
    if not is_digest(digest):
        faults.append("model_sha256 is no SHA-256 in 64 lowercase hex digits")
    if faults:
        raise Refused(
            f"The pointer to {visible(str(pointer.get('artifact_id')))} is not fit to be written: {', '.join(faults)}.",
            "Stage the artifact again with a complete pointer.",
        )
