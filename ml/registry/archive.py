"""The archive of a model's older events: JSON Lines, oldest first, only ever appended to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from ml.registry.history import chronological
from ml.registry.layout import compact
from ml.registry.schema import Event, Model


def extended(archive: bytes, events: Sequence[str]) -> bytes:
    """The archive with some more events' texts, oldest first; each keeps its spelling and becomes one line."""
    gap = b"" if not archive or archive.endswith(b"\n") else b"\n"
    return archive + gap + b"".join(compact(event).encode() + b"\n" for event in events)


def with_archive(model: Model, archive: bytes) -> Model:
    """A model whose history goes back beyond its fifty events, oldest first: for questions, never for writing.

    Fifty stagings later the previous active artifact may stand only in the archive, and so may a rollback that
    condemned one. A line that is no event is passed over, because a rollback must not fail for it.
    """
    return model.model_copy(update={"history": (*_events(archive), *chronological(model))})


def _events(archive: bytes) -> Iterator[Event]:
    for line in archive.splitlines():
        try:
            yield Event.model_validate(json.loads(line))
        except (ValidationError, ValueError, RecursionError):
            continue
