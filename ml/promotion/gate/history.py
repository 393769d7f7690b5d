"""Whether a history was appended to, and by exactly one event; everything else has its own name (SPEC §8). Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ml.registry.paths import MAX_HISTORY

_Events = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Appended:
    """The one event that is new; or in ``why`` what else was done to the history."""

    event: Any = None
    why: str = ""


def appended(before: _Events, after: _Events, archived: _Events, *, newest_first: bool) -> Appended:
    """Find the event that was added.

    ``before`` and ``after`` are a model's history as plain JSON values in the order of the file, ``archived`` the
    events that the commit moved to the archive, oldest first. ``newest_first`` tells at which end the file grows.
    """
    if list(before) == list(after):
        return Appended(why="no event was added")
    taken = _left_out(after, before)
    if taken is not None:
        return Appended(why=f"the history was truncated: {len(taken)} events are gone")
    rest = list(after[1:] if newest_first else after[:-1])
    gone = _left_out(rest, before)
    if gone is None or not after:
        return Appended(why=_misdeed(before, after))
    if sorted(map(_text, gone)) != sorted(map(_text, archived)):
        what = "are gone" if len(gone) > len(archived) else "stand in the archive that never left the history"
        return Appended(why=f"the history was truncated: {abs(len(gone) - len(archived)) or len(gone)} events {what}")
    if len(gone) != max(0, len(before) + 1 - MAX_HISTORY):
        return Appended(why=f"{len(gone)} events were archived, although a history keeps {MAX_HISTORY}")
    return Appended(event=after[0] if newest_first else after[-1])


def _left_out(kept: _Events, before: _Events) -> list[Any] | None:
    """What of ``before`` is not in ``kept``, or ``None`` where ``kept`` is not what remains of it in its order."""
    gone: list[Any] = []
    waiting = list(kept)
    for event in before:
        if waiting and waiting[0] == event:
            waiting.pop(0)
        else:
            gone.append(event)
    return None if waiting else gone


def _misdeed(before: _Events, after: _Events) -> str:
    old, new = sorted(map(_text, before)), sorted(map(_text, after))
    if old == new:
        return "the history was reordered"
    remaining = list(new)
    missing = 0
    for event in old:
        if event in remaining:
            remaining.remove(event)
        else:
            missing += 1
    if missing == 0:
        return (
            "the event was not added at the history's end"
            if len(remaining) == 1
            else (f"{len(remaining)} events were added at once")
        )
    if len(remaining) <= 1 and missing > len(remaining):
        return f"the history was truncated: {missing} events are gone"
    return f"the history was rewritten: {missing} of its events are not as they were"


def _text(event: Any) -> str:
    return json.dumps(event, sort_keys=True)
