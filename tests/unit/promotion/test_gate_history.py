"""The one event that may be new: every other difference of a history has its own name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.promotion.gate.transition import appended

E = [{"n": number} for number in range(60)]
NEW = {"n": "new"}
Events = list[dict[str, object]]


@pytest.mark.parametrize(
    ("before", "after", "archived", "newest_first", "why"),
    [
        ([], [NEW], [], False, ""),
        (E[:3], [*E[:3], NEW], [], False, ""),
        (E[:3], [NEW, *E[:3]], [], True, ""),
        (E[:50], [*E[1:50], NEW], E[:1], False, ""),
        (E[:50], [NEW, *E[:49]], E[49:50], True, ""),
        (E[:53], [*E[4:53], NEW], E[:4], False, ""),
        (E[:3], E[:3], [], False, "no event was added"),
        (E[:3], [NEW, *E[:3]], [], False, "not added at the history's end"),
        (E[:3], [*E[:3], NEW], [], True, "not added at the history's end"),
        (E[:3], [E[0], NEW, *E[1:3]], [], False, "not added at the history's end"),
        (E[:3], [*E[:3], NEW, NEW], [], False, "2 events were added at once"),
        (E[:3], [E[1], E[0], E[2]], [], False, "reordered"),
        (E[:3], E[:2], [], False, "truncated: 1 events are gone"),
        (E[:3], [], [], False, "truncated: 3 events are gone"),
        (E[:3], [*E[1:3], NEW], [], False, "truncated: 1 events are gone"),
        (E[:3], [E[0], {"n": "x"}, E[2], NEW], [], False, "rewritten: 1 of its events"),
        (E[:3], [*E[1:3], NEW], E[:1], False, "1 events were archived, although a history keeps 50"),
        (E[:50], [*E[:50], NEW], [], False, "0 events were archived"),
        (E[:50], [*E[1:50], NEW], [{"n": "x"}], False, "truncated"),
        (E[:50], [*E[1:50], NEW], E[:2], False, "stand in the archive that never left"),
    ],
)
def test_what_was_done_to_a_history(
    before: Events, after: Events, archived: Events, newest_first: bool, why: str
) -> None:
    found = appended(before, after, archived, newest_first=newest_first)
    assert why in found.why
    assert (found.event == NEW) == (not why)
    assert bool(found.why) == bool(why)


events = st.lists(st.integers(0, 5), max_size=8)


@given(events, events, st.booleans())
def test_nothing_but_one_more_event_is_ever_accepted(before: list[int], after: list[int], newest_first: bool) -> None:
    found = appended(before, after, [], newest_first=newest_first)
    legal = len(after) == len(before) + 1 and (after[1:] if newest_first else after[:-1]) == before
    assert (not found.why) == legal
