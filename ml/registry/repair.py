"""The repair that the history doctor proposes, as a unified diff. It is shown to people and never applied here.

Mended is only what needs no guess: words of the other vocabulary, missing keys, times in UTC, the order of events.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from ml.clock import format_utc
from ml.registry.codec import Document
from ml.registry.edits import Splice, event_spans, model_members, set_member, spliced, with_members
from ml.registry.history import (
    action_of,
    activates,
    activation_pointer,
    chronological_indexes,
    newest_first,
    recorded_pointer,
)
from ml.registry.scanner import Layout, Raw, layout_of, line_indent
from ml.registry.schema import REGISTRY_PATH, Event, Model, Pointer
from ml.stage import Stage

# A unified diff made directly from the splices: linear in the text, which a comparison of two large files is not.

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_CONTEXT = 3


@dataclass(frozen=True, slots=True)
class _Hunk:
    """Lines from ``start`` to before ``end`` (from 0) that become ``new``."""

    start: int
    end: int
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Lines from ``start`` to before ``end``, and the splices in them."""

    start: int
    end: int
    splices: tuple[Splice, ...]


def patch(text: str, splices: Sequence[Splice], file: str) -> str:
    """The unified diff of applying splices to a text; empty when nothing changes. Lines end at ``\\n`` only."""
    lines = _LINE.findall(text)
    hunks = _hunks(text, lines, [each for each in splices if text[each.start : each.end] != each.text])
    parts = [f"--- a/{file}\n+++ b/{file}\n"] if hunks else []
    shift = 0
    for group in _grouped(hunks):
        before = max(0, group[0].start - _CONTEXT)
        after = min(len(lines), group[-1].end + _CONTEXT)
        grown = sum(len(hunk.new) - (hunk.end - hunk.start) for hunk in group)
        parts.append(f"@@ -{_range(before, after)} +{_range(before + shift, after + shift + grown)} @@\n")
        shift += grown
        index = before
        for hunk in group:
            parts += [_line(" ", line) for line in lines[index : hunk.start]]
            parts += [_line("-", line) for line in lines[hunk.start : hunk.end]]
            parts += [_line("+", line) for line in hunk.new]
            index = hunk.end
        parts += [_line(" ", line) for line in lines[index:after]]
    return "".join(parts)


def _range(start: int, end: int) -> str:
    return f"{start + 1},{end - start}"


def _line(sign: str, line: str) -> str:
    return sign + line if line.endswith("\n") else f"{sign}{line}\n\\ No newline at end of file\n"


def _hunks(text: str, lines: Sequence[str], splices: Sequence[Splice]) -> list[_Hunk]:
    """Widen the splices to whole lines, and join those that share a line."""
    starts = [0, *accumulate(len(line) for line in lines)]
    pieces: list[_Piece] = []
    for splice in sorted(splices, key=lambda each: (each.start, each.end)):
        first = bisect_right(starts, splice.start) - 1
        last = bisect_left(starts, max(splice.end, splice.start + 1))
        if pieces and first < pieces[-1].end:
            joined = pieces.pop()
            pieces.append(_Piece(joined.start, max(joined.end, last), (*joined.splices, splice)))
        else:
            pieces.append(_Piece(first, last, (splice,)))
    return [_hunk(text, lines, starts, piece) for piece in pieces]


def _hunk(text: str, lines: Sequence[str], starts: Sequence[int], piece: _Piece) -> _Hunk:
    """One piece applied, without the lines at both ends that stay as they are."""
    start, end, offset = piece.start, piece.end, starts[piece.start]
    moved = [Splice(each.start - offset, each.end - offset, each.text) for each in piece.splices]
    new = _LINE.findall(spliced(text[offset : starts[end]], moved))
    while start < end and new and lines[start] == new[0]:
        start, new = start + 1, new[1:]
    while start < end and new and lines[end - 1] == new[-1]:
        end, new = end - 1, new[:-1]
    return _Hunk(start, end, tuple(new))


def _grouped(hunks: Sequence[_Hunk]) -> list[list[_Hunk]]:
    """Group hunks if their contexts would touch."""
    groups: list[list[_Hunk]] = []
    for hunk in hunks:
        if groups and hunk.start - groups[-1][-1].end <= 2 * _CONTEXT:
            groups[-1].append(hunk)
        else:
            groups.append([hunk])
    return groups


def repair_diff(doc: Document, file: str = REGISTRY_PATH, models: Collection[str] | None = None) -> str:
    """A unified diff of ``file`` that mends what can be mended without guessing; empty where there is nothing.

    ``models`` are those to look at, where it is known which can need it; by default all.
    """
    named = [name for name in doc.registry.models if models is None or name in models]
    if not named:
        return ""
    layout = layout_of(doc.text)
    splices = [splice for name in named for splice in _repairs(doc, name, doc.registry.models[name], layout)]
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
    """Return the registry's fields about the event's artifact, without those that other events added."""
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
