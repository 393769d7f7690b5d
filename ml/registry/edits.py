"""Lossless edits of one model's text: only the changed spans are replaced, all other bytes stay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml.registry.codec import Document, Span
from ml.registry.scanner import Element, Layout, Member, Raw, any_value, elements, layout_of, line_indent, members
from ml.stage import Stage

_ORDER = (*Stage, "history")


@dataclass(frozen=True, slots=True)
class Splice:
    """Replace the text from ``start`` to before ``end``."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class ModelEdit:
    """The edit of one model: stages to set (``None`` clears), and its new event.

    ``drop`` are the places of events that leave the history, ``prepend`` says on which side the new one goes.
    """

    stages: Mapping[Stage, object]
    event: Mapping[str, object]
    prepend: bool = False
    drop: tuple[int, ...] = ()


def spliced(text: str, splices: Sequence[Splice]) -> str:
    """Apply splices that do not overlap; those at one place stay in their order."""
    parts: list[str] = []
    index = 0
    for splice in sorted(splices, key=lambda each: (each.start, each.end)):
        parts += [text[index : splice.start], splice.text]
        index = splice.end
    return "".join([*parts, text[index:]])


def pointer_text(doc: Document, model: str, stage: Stage) -> Raw:
    """The pointer in a stage as it is in the file. The stage must hold one."""
    member = next(each for each in model_members(doc, model) if each.key == stage)
    return Raw(doc.text[member.start : member.end], line_indent(doc.text, member.start))


def event_texts(doc: Document, model: str) -> tuple[str, ...]:
    """The events of a model as they are in the file, in the order of the file."""
    return tuple(doc.text[each.start : each.end] for each in event_spans(doc, model))


def event_spans(doc: Document, model: str) -> tuple[Element, ...]:
    """Return the places of a model's events in the file."""
    history = [each for each in model_members(doc, model) if each.key == "history"]
    return elements(doc.text, history[0].start)[0] if history else ()


def with_members(raw: Raw, changes: Mapping[str, object], layout: Layout) -> Raw:
    """A non-empty object's text with some members set: replaced where they are, appended where they are not."""
    found, _ = members(raw.text, 0, any_value)
    there = {member.key: member for member in found}
    inner = line_indent(raw.text, found[0].key_start) if "\n" in raw.text else ""
    separator = _separator(
        raw.text, 0, [member.key_start for member in found], [member.end for member in found], layout
    )
    splices = []
    for key, value in changes.items():
        if key in there:
            splices.append(Splice(there[key].start, there[key].end, layout.render(value, inner)))
        else:
            body = separator + _member(key, value, layout, inner, inline=False)
            splices.append(Splice(found[-1].end, found[-1].end, body))
    return Raw(spliced(raw.text, splices), raw.indent)


def edit_model(doc: Document, name: str, edit: ModelEdit) -> Document:
    """Apply an edit to one model, which is added where it is not there yet."""
    layout = layout_of(doc.text)
    if name not in doc.spans:
        return _with_new_model(doc, name, edit, layout)
    start, found = doc.spans[name].start, model_members(doc, name)
    if not found:
        value = layout.render(_whole_model(edit), line_indent(doc.text, start))
        text = spliced(doc.text, [Splice(start, doc.spans[name].end, value)])
        return doc.revised(name, text, Span(start, start + len(value)))
    there = {member.key for member in found}
    splices = [
        set_member(doc.text, start, found, stage, value, layout)
        for stage, value in edit.stages.items()
        if value is not None or stage in there
    ]
    history = next((member for member in found if member.key == "history"), None)
    if history is None:
        splices.append(set_member(doc.text, start, found, "history", [edit.event], layout))
    else:
        splices += _record(doc.text, history, edit, layout)
    text = spliced(doc.text, splices)
    return doc.revised(name, text, Span(start, doc.spans[name].end + len(text) - len(doc.text)))


def model_members(doc: Document, model: str) -> tuple[Member[object], ...]:
    """The members of a model at their place in the file."""
    return members(doc.text, doc.spans[model].start, any_value)[0]


def _with_new_model(doc: Document, name: str, edit: ModelEdit, layout: Layout) -> Document:
    def known(key: str, text: str, start: int) -> tuple[object, int]:
        """Skip the models that are already located; the new one comes after them all."""
        return (None, doc.spans[key].end) if key in doc.spans else any_value(key, text, start)

    value = _whole_model(edit)
    found, _ = members(doc.text, doc.models_at, known)
    text = spliced(doc.text, [_insert(doc.text, doc.models_at, found, len(found), name, value, layout)])
    added = members(text, doc.models_at, known)[0][-1]
    return doc.revised(name, text, Span(added.start, added.end))


def _whole_model(edit: ModelEdit) -> dict[str, object]:
    return {**{stage: edit.stages.get(stage) for stage in Stage}, "history": [edit.event]}


def set_member(
    text: str, start: int, found: Sequence[Member[object]], key: str, value: object, layout: Layout
) -> Splice:
    """Set one member of the model at ``start``: in place, or at its usual place among the others."""
    for member in found:
        if member.key == key:
            inline = "\n" not in text[start : found[0].key_start]
            body = layout.render(value, line_indent(text, member.key_start), inline=inline)
            return Splice(member.start, member.end, body)
    later = _ORDER[_ORDER.index(key) + 1 :]
    place = next((index for index, member in enumerate(found) if member.key in later), len(found))
    return _insert(text, start, found, place, key, value, layout)


def _insert(
    text: str, start: int, found: Sequence[Member[object]], place: int, key: str, value: object, layout: Layout
) -> Splice:
    """Insert a member before the one at ``place``, or at the end, as the others are written."""
    if not found:
        return Splice(start, text.index("}", start) + 1, layout.render({key: value}, line_indent(text, start)))
    inline = "\n" not in text[start : found[0].key_start]
    separator = _separator(text, start, [each.key_start for each in found], [each.end for each in found], layout)
    body = _member(key, value, layout, line_indent(text, found[0].key_start), inline=inline)
    if place < len(found):
        return Splice(found[place].key_start, found[place].key_start, body + separator)
    return Splice(found[-1].end, found[-1].end, separator + body)


def _record(text: str, history: Member[object], edit: ModelEdit, layout: Layout) -> list[Splice]:
    """Add the new event on the newest side, and take out those that leave."""
    found, end = elements(text, history.start)
    if not found:
        inline = not line_indent(text, history.key_start) and bool(layout.indent)
        return [
            Splice(history.start, end, layout.render([edit.event], line_indent(text, history.key_start), inline=inline))
        ]
    inline = "\n" not in text[found[0].start : found[0].end]
    event = layout.render(edit.event, line_indent(text, found[0].start), inline=inline)
    separator = _separator(text, history.start, [each.start for each in found], [each.end for each in found], layout)
    if edit.prepend:
        splices = [Splice(found[0].start, found[0].start, event + separator)]
    else:
        splices = [Splice(found[-1].end, found[-1].end, separator + event)]
    return splices + _removals(found, edit.drop)


def _removals(found: Sequence[Element], drop: Sequence[int]) -> list[Splice]:
    """Remove elements, each with one separator."""
    if not drop:
        return []
    first_kept = min(set(range(len(found))) - set(drop))
    splices = [Splice(found[place - 1].end, found[place].end, "") for place in drop if place > first_kept]
    if first_kept:
        splices.append(Splice(found[0].start, found[first_kept].start, ""))
    return splices


def _member(key: str, value: object, layout: Layout, indent: str, *, inline: bool) -> str:
    return json.dumps(key) + layout.colon + layout.render(value, indent, inline=inline)


def _separator(text: str, opened: int, starts: Sequence[int], ends: Sequence[int], layout: Layout) -> str:
    """Return the comma and whitespace between two neighbors; for a single one, the text before it."""
    if len(starts) > 1:
        return text[ends[0] : starts[1]]
    lead = text[opened + 1 : starts[0]]
    return "," + lead if "\n" in lead else layout.comma
