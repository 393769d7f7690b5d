"""What every change of a registry has in common: who, when and why, the event, the archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Required, TypedDict

from ml.clock import format_utc
from ml.errors import Refused
from ml.registry.archive import extended
from ml.registry.codec import Document, RegistryInvalid
from ml.registry.edits import ModelEdit, edit_model, event_texts
from ml.registry.history import chronological_indexes, last_moment, newest_first
from ml.registry.paths import MAX_HISTORY
from ml.registry.rules import is_git_sha
from ml.registry.schema import Event, Model
from ml.registry.vocabulary import spelled_out
from ml.stage import Stage
from ml.text import visible

SKEW = timedelta(minutes=5)
"""By how much the newest event may be ahead of our clock; operators' clocks differ."""


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
