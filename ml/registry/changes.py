"""The legal changes of a registry, as pure functions from document to document (SPEC §2).

Add → staging, staging → shadow, shadow → active, rollback active → an earlier active, withdraw. Everything else
is refused here, and again by the gate. Each change writes one event in both vocabularies and, in the same commit,
moves events beyond the newest fifty to the archive.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Required, TypedDict, Unpack

from ml.clock import format_utc
from ml.errors import Refused
from ml.registry.archive import extended
from ml.registry.codec import Document
from ml.registry.edits import ModelEdit, edit_model, event_texts, pointer_text, with_members
from ml.registry.history import (
    LEFT_KEY,
    activates,
    chronological_indexes,
    known_pointer,
    last_moment,
    newest_first,
)
from ml.registry.layout import layout_of
from ml.registry.paths import MAX_HISTORY
from ml.registry.rules import is_digest, is_git_sha, pointer_faults
from ml.registry.schema import Event, Model, Pointer
from ml.registry.vocabulary import spelled_out
from ml.stage import Action, Stage
from ml.text import visible

SKEW = timedelta(minutes=5)
"""By how much the newest event may be ahead of our clock; operators' clocks differ."""

_BELOW = {Stage.SHADOW: Stage.STAGING, Stage.ACTIVE: Stage.SHADOW}


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
    """Who changes the registry when and why, in every change.

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


def stage(
    doc: Document,
    model: str,
    pointer: Pointer,
    **context: Unpack[Context],
) -> Change:
    """Put an artifact into a model's staging; the model is added where the registry does not have it.

    What is in staging already is replaced.

    Raises:
        Refused: the artifact stands in a stage of the model already, or the pointer breaks a rule of the engine.
    """
    now = doc.registry.models.get(model, Model())
    for each in Stage:
        there = now.pointer(each)
        if there and there.artifact_id == pointer.artifact_id:
            raise Refused(
                f"{pointer.artifact_id} is already in {each} of {visible(model)}.",
                "Stage an artifact that is in no stage.",
            )
    frame = _Frame(doc, model, **context)
    signed = pointer.model_copy(update={"actor": frame.by, "source": frame.source, "promoted_at_utc": None})
    written = _spelled_pointer(signed)
    _refuse_faults(written, active=False)
    words = {"action": Action.STAGE, "from_stage": None, "to_stage": Stage.STAGING, "pointer": written}
    return frame.change({Stage.STAGING: written}, words, pointer.artifact_id)


def promote(
    doc: Document,
    model: str,
    to_stage: Stage,
    **context: Unpack[Context],
) -> Change:
    """Move the artifact one stage up, staging → shadow or shadow → active; the stage below is empty afterwards.

    Raises:
        Refused: nothing is in the stage below, the hop is none of the two, or the engine would refuse the pointer.
    """
    below = _BELOW.get(to_stage)
    if below is None:
        raise Refused("Nothing is promoted to staging.", "Put an artifact into staging with the verb stage.")
    pointer = _model(doc, model).pointer(below)
    if pointer is None:
        raise Refused(
            f"{below.capitalize()} of {visible(model)} is empty, so there is nothing to promote to {to_stage}.",
            f"Put an artifact into {below} first.",
        )
    frame = _Frame(doc, model, **context)
    moved = with_members(pointer_text(doc, model, below), frame.signature(), layout_of(doc.text))
    _refuse_faults(json.loads(moved.text), active=to_stage is Stage.ACTIVE)
    words = {"action": Action.PROMOTE, "from_stage": below, "to_stage": to_stage, "pointer": moved}
    return frame.change({below: None, to_stage: moved}, words, pointer.artifact_id)


def rollback(
    doc: Document,
    model: str,
    artifact_id: str,
    pointer: Pointer | None = None,
    **context: Unpack[Context],
) -> Change:
    """Make an artifact active again that was active before. What is in staging and shadow stays.

    ``pointer`` is used where the registry knows the artifact only by name: files in the runbook's words keep no
    pointers, and the engine needs one with digest, commit and data set (the manifest has them).

    Raises:
        Refused: nothing is active, the artifact is active now, it never was, or its pointer is not fit for active.
    """
    now = _model(doc, model)
    if now.active is None:
        raise Refused(f"Nothing is active in {visible(model)}, so there is nothing to roll back.", "")
    if now.active.artifact_id == artifact_id:
        raise Refused(f"{visible(artifact_id)} is active already, so there is nothing to roll back.", "")
    if not any(activates(event) and event.artifact_id == artifact_id for event in now.history):
        raise Refused(
            f"{visible(artifact_id)} was never active in {visible(model)}.",
            "Choose an artifact that the history shows as active before.",
        )
    frame = _Frame(doc, model, **context)
    known = _completed(known_pointer(now, artifact_id), pointer)
    written = {**_spelled_pointer(known), **frame.signature()}
    _refuse_faults(written, active=True)
    words = {
        "action": Action.ROLLBACK,
        "from_stage": Stage.ACTIVE,
        "to_stage": Stage.ACTIVE,
        "pointer": written,
        LEFT_KEY: now.active.artifact_id,
    }
    return frame.change({Stage.ACTIVE: written}, words, artifact_id, emergency=True)


def withdraw(
    doc: Document,
    model: str,
    from_stage: Stage,
    **context: Unpack[Context],
) -> Change:
    """Clear staging or shadow; the event's ``to_stage`` stays the stage that is cleared.

    Raises:
        Refused: the stage is empty already, or it is active, which only a rollback changes.
    """
    if from_stage is Stage.ACTIVE:
        raise Refused(
            "The active artifact cannot be withdrawn.", "Roll back to an earlier one, or engage the kill switch."
        )
    pointer = _model(doc, model).pointer(from_stage)
    if pointer is None:
        raise Refused(f"{from_stage.capitalize()} of {visible(model)} is empty already.", "")
    words = {
        "action": Action.WITHDRAW,
        "from_stage": from_stage,
        "to_stage": from_stage,
        "pointer": pointer_text(doc, model, from_stage),
    }
    frame = _Frame(doc, model, **context)
    return frame.change({from_stage: None}, words, pointer.artifact_id)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What every change has in common: the document, the model, and who changes it when and why."""

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
        """When the change is recorded: now, to the second, but never before the event that it follows."""
        now, last = self.at.replace(microsecond=0), last_moment(self._now)
        if last is None or last <= now:
            return now
        return last if last.microsecond == 0 else last.replace(microsecond=0) + timedelta(seconds=1)

    @property
    def _now(self) -> Model:
        return self.doc.registry.models.get(self.model, Model())

    def signature(self) -> dict[str, object]:
        """What a pointer says about its promotion."""
        return {"promoted_at_utc": format_utc(self.moment), "actor": self.by, "source": self.source}

    def change(
        self,
        stages: Mapping[Stage, object],
        words: Mapping[str, object],
        artifact_id: str,
        *,
        emergency: bool = False,
    ) -> Change:
        """Write the stages and the event, and archive what is too old."""
        self._refuse_future(emergency=emergency)
        model = self._now
        event = self._event(words, artifact_id)
        surplus = chronological_indexes(model)[: max(0, len(model.history) + 1 - MAX_HISTORY)]
        texts = event_texts(self.doc, self.model) if surplus else ()
        prepend = newest_first(model)
        edited = edit_model(self.doc, self.model, ModelEdit(stages, event, prepend, surplus))
        archive = extended(self.archive, [texts[place] for place in surplus]) if surplus else None
        written = edited.registry.models[self.model].history[0 if prepend else -1]
        return Change(edited, written, archive)

    def _refuse_future(self, *, emergency: bool) -> None:
        """A history from the future is somebody's wrong clock; only a rollback does not wait for it."""
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
            "by": _text("author", self.by),
            "source": self.source,
            "reason": _text("reason", self.reason),
            "registry_git_sha": self.base_commit if is_git_sha(self.base_commit) else None,
        }
        event = spelled_out({**common, **words})
        further = {key: value for key, value in {**words, **self.extra}.items() if key not in event}
        return {**event, **further}


def _model(doc: Document, name: str) -> Model:
    model = doc.registry.models.get(name)
    if model is None:
        known = ", ".join(doc.registry.models) or "none"
        raise Refused(f"The registry has no model {visible(name)}.", f"It has: {visible(known, limit=200)}.")
    return model


def _text(what: str, value: str) -> str:
    if not value.strip():
        raise Refused(f"The {what} is empty.", f"Every change names its {what}.")
    if visible(value, lines=True) != value:
        raise Refused(
            f"The {what} holds characters that are no plain text: {visible(value, limit=120)}.", "Type it anew."
        )
    return value


def _spelled_pointer(pointer: Pointer) -> dict[str, object]:
    """A pointer as it is written: what is known, times in the one form that the engine takes."""
    values = pointer.model_dump(exclude_none=True)
    return {key: format_utc(value) if isinstance(value, datetime) else value for key, value in values.items()}


def _completed(known: Pointer, more: Pointer | None) -> Pointer:
    """A pointer with its gaps filled from another one to the same artifact."""
    if more is None or more.artifact_id != known.artifact_id:
        return known
    return Pointer.model_validate({**more.model_dump(exclude_none=True), **known.model_dump(exclude_none=True)})


def _refuse_faults(pointer: Mapping[str, object], *, active: bool) -> None:
    faults = [reason for _, reason in pointer_faults(pointer, active=active)]
    digest = pointer.get("model_sha256")
    if not is_digest(digest):
        faults.append("model_sha256 is no SHA-256 in 64 lowercase hex digits")
    if faults:
        raise Refused(
            f"The pointer to {visible(str(pointer.get('artifact_id')))} is not fit to be written: {', '.join(faults)}.",
            "Stage the artifact again with a complete pointer.",
        )
