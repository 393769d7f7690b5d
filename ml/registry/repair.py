"""The repair that the history doctor proposes, as a unified diff. It is shown to people and never applied here.

Mended is only what needs no guess: words of the other vocabulary, missing keys, times in UTC, the order of events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ml.clock import format_utc
from ml.registry.codec import Document
from ml.registry.edits import Splice, event_spans, model_members, set_member, with_members
from ml.registry.history import (
    action_of,
    activates,
    activation_pointer,
    chronological_indexes,
    newest_first,
    recorded_pointer,
)
from ml.registry.layout import Layout, Raw, layout_of, line_indent
from ml.registry.patch import patch
from ml.registry.paths import REGISTRY_PATH
from ml.registry.schema import Event, Model, Pointer
from ml.stage import Stage


def repair_diff(doc: Document, file: str = REGISTRY_PATH) -> str:
    """A unified diff of ``file`` that mends what can be mended without guessing; empty where there is nothing."""
    layout = layout_of(doc.text)
    splices = [splice for name, model in doc.registry.models.items() for splice in _repairs(doc, name, model, layout)]
    return patch(doc.text, splices, file)


def _repairs(doc: Document, name: str, model: Model, layout: Layout) -> Iterator[Splice]:
    text, start, found = doc.text, doc.spans[name].start, model_members(doc, name)
    there = {member.key for member in found}
    if there:
        for key in (key for key in (*Stage, "history") if key not in there):
            yield set_member(text, start, found, key, [] if key == "history" else None, layout)
    for member in found:
        pointer = model.pointer(Stage(member.key)) if member.key in tuple(Stage) else None
        if pointer:
            raw = Raw(text[member.start : member.end], line_indent(text, member.start))
            yield Splice(member.start, member.end, _set(raw, _utc_times(pointer, json.loads(raw.text)), layout).text)
    spans = event_spans(doc, name)
    mended = [
        _mended(Raw(text[span.start : span.end], line_indent(text, span.start)), event, model, layout)
        for span, event in zip(spans, model.history, strict=True)
    ]
    order = chronological_indexes(model)
    for span, place in zip(spans, reversed(order) if newest_first(model) else order, strict=True):
        yield Splice(span.start, span.end, mended[place])


def _mended(raw: Raw, event: Event, model: Model, layout: Layout) -> str:
    """One event's text with the words that it lacks, and its times in UTC."""
    words = json.loads(raw.text)
    if not words:
        return raw.text
    moment = format_utc(event.at) if event.at else None
    said: dict[str, object] = {
        "timestamp_utc": moment,
        "ts_utc": moment,
        "action": action_of(event) if event.to_stage in tuple(Stage) else None,
        "artifact_id": event.artifact_id,
        "by": event.by,
        "pointer": None if event.pointer else _pointer(event, model),
    }
    changes = {key: value for key, value in said.items() if value is not None and words.get(key) is None}
    changes |= {key: moment for key in ("timestamp_utc", "ts_utc") if words.get(key) and not words[key].endswith("Z")}
    return _set(raw, changes, layout).text


def _pointer(event: Event, model: Model) -> dict[str, object] | None:
    """What the registry knows of the event's artifact, without what other events said about it."""
    find = activation_pointer if activates(event) else recorded_pointer
    known = find(model, event.artifact_id) if event.artifact_id else None
    if known is None:
        return None
    values = known.model_dump(exclude_none=True, exclude={"promoted_at_utc", "actor", "source"})
    return {key: format_utc(value) if isinstance(value, datetime) else value for key, value in values.items()}


def _utc_times(pointer: Pointer, words: Mapping[str, Any]) -> dict[str, object]:
    times = {"created_at_utc": pointer.created_at_utc, "promoted_at_utc": pointer.promoted_at_utc}
    return {key: format_utc(moment) for key, moment in times.items() if moment and not words[key].endswith("Z")}


def _set(raw: Raw, changes: Mapping[str, object], layout: Layout) -> Raw:
    return with_members(raw, changes, layout) if changes else raw
