"""Histories in both vocabularies and both orders, and what they say about rolling back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from support.registries import LATER, START, event, model, name, pointer, registry

from ml.errors import Refused
from ml.registry.changes import rollback
from ml.registry.codec import parse
from ml.registry.events import with_archive
from ml.registry.history import (
    chronological,
    condemned,
    newest_first,
    previous_active,
    rollback_candidates,
    rows,
    tenure,
)
from ml.registry.schema import Model


def read(value: dict[str, Any]) -> Model:
    return parse(registry(m=value)).registry.models["m"]


@dataclass(frozen=True)
class Case:
    """A story: who is active, the events from oldest to newest, the artifacts one may roll back to, best first."""

    story: str
    active: int | None
    events: tuple[dict[str, Any], ...]
    candidates: tuple[int, ...]
    condemned: tuple[int, ...] = ()


CASES = (
    Case("nothing ever happened", None, (), ()),
    Case("active set by hand, no event", 1, (), ()),
    Case("the first activation", 1, (event(1, 1, "shadow>active"),), ()),
    Case("two activations", 2, (event(1, 1, "shadow>active"), event(2, 2, "shadow>active")), (1,)),
    Case(
        "staging and shadow events in between",
        2,
        (
            event(1, 1, "shadow>active"),
            event(2, 2, "->staging"),
            event(3, 2, "staging>shadow"),
            event(4, 2, "shadow>active"),
            event(5, 3, "->staging"),
            event(6, 3, "staging>shadow"),
            event(7, 3, "shadow>shadow"),
        ),
        (1,),
    ),
    Case(
        "a rollback condemns what it left",
        1,
        (event(1, 1, "shadow>active"), event(2, 2, "shadow>active"), event(3, 1, "active>active")),
        (),
        (2,),
    ),
    Case(
        "a rollback, and an older one behind it",
        2,
        (
            event(1, 1, "shadow>active"),
            event(2, 2, "shadow>active"),
            event(3, 3, "shadow>active"),
            event(4, 2, "active>active"),
        ),
        (1,),
        (3,),
    ),
    Case(
        "a rollback of a rollback",
        1,
        (
            event(1, 1, "shadow>active"),
            event(2, 2, "shadow>active"),
            event(3, 3, "shadow>active"),
            event(4, 2, "active>active"),
            event(5, 1, "active>active"),
        ),
        (),
        (2, 3),
    ),
    Case(
        "the same artifact twice",
        1,
        (event(1, 1, "shadow>active"), event(2, 2, "shadow>active"), event(3, 1, "shadow>active")),
        (2,),
    ),
    Case(
        "the same artifact twice in a row",
        2,
        (event(1, 1, "shadow>active"), event(2, 2, "shadow>active"), event(3, 2, "shadow>active")),
        (1,),
    ),
    Case(
        "a condemned one that was promoted again is no target",
        4,
        (
            event(1, 1, "shadow>active"),
            event(2, 2, "shadow>active"),
            event(3, 1, "active>active"),
            event(4, 2, "shadow>active"),
            event(5, 4, "shadow>active"),
        ),
        (1,),
        (2,),
    ),
    Case(
        "all at the same second",
        3,
        (event(1, 1, "shadow>active"), event(1, 2, "shadow>active"), event(1, 3, "shadow>active")),
        (2, 1),
    ),
    Case(
        "an event without a time stays with its neighbour",
        3,
        (event(1, 1, "shadow>active"), event(None, 2, "shadow>active"), event(3, 3, "shadow>active")),
        (2, 1),
    ),
    Case(
        "the activation of the active one is missing",
        9,
        (event(1, 1, "shadow>active"), event(2, 2, "shadow>active")),
        (2, 1),
    ),
    Case(
        "the beginning is archived, and the rollback says itself what it left",
        2,
        (event(5, 2, "active>active", left_artifact_id=name(3)), event(6, 4, "->staging")),
        (),
        (3,),
    ),
    Case(
        "nothing is active any more",
        None,
        (event(1, 1, "shadow>active"), event(2, 2, "shadow>active")),
        (),
    ),
    Case(
        "a rollback to what was active already condemns nobody",
        1,
        (event(1, 1, "shadow>active"), event(2, 1, "active>active")),
        (),
    ),
    Case(
        "a rollback over three releases",
        1,
        (
            event(1, 1, "shadow>active"),
            event(2, 2, "shadow>active"),
            event(3, 3, "shadow>active"),
            event(4, 1, "active>active"),
        ),
        (2,),
        (3,),
    ),
)


@pytest.mark.parametrize("order", ["oldest first", "newest first"])
@pytest.mark.parametrize("words", ["both", "runbook", "engine"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.story)
def test_where_a_rollback_goes(case: Case, words: str, order: str) -> None:
    events = [_in_words(each, words) for each in case.events]
    now = read(model(case.active, history=events if order == "oldest first" else events[::-1]))
    assert [each.artifact_id for each in rollback_candidates(now)] == [name(each) for each in case.candidates]
    default = previous_active(now)
    assert (default.artifact_id if default else None) == (name(case.candidates[0]) if case.candidates else None)
    assert condemned(now) == {name(each) for each in case.condemned}


def _in_words(full: dict[str, Any], words: str) -> dict[str, Any]:
    left_out = {
        "both": (),
        "runbook": ("ts_utc", "actor", "source", "pointer", "registry_git_sha"),
        "engine": ("timestamp_utc", "action", "artifact_id", "by"),
    }[words]
    return {key: value for key, value in full.items() if key not in left_out}


def test_times_tell_the_order_whatever_the_file_does() -> None:
    jumbled = [event(hours, hours, "shadow>active") for hours in (3, 1, 4, 2)]
    now = read(model(4, history=jumbled))
    assert [each.artifact_id for each in chronological(now)] == [name(number) for number in (1, 2, 3, 4)]
    previous = previous_active(now)
    assert previous
    assert previous.artifact_id == name(3)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [((), False), ((1,), False), ((1, 2), False), ((2, 1), True), ((9, 8, 7, 1, 2), True), ((1, 2, 9, 8), False)],
)
def test_the_side_of_the_newest_event_is_told_by_times(hours: tuple[int, ...], expected: bool) -> None:
    assert newest_first(read(model(history=[event(each, each, "->staging") for each in hours]))) is expected


def test_without_times_the_active_pointer_tells_the_side() -> None:
    events = [event(None, number, "shadow>active") for number in (3, 2, 1)]
    assert newest_first(read(model(3, history=events)))
    assert not newest_first(read(model(1, history=events)))


def test_a_rollback_carries_the_fullest_pointer_that_is_known() -> None:
    bare = {"artifact_id": name(1), "artifact_dir": "artifacts/onnx/old"}
    events = [
        event(1, 1, "shadow>active"),
        {**event(2, 1, "active>active"), "pointer": bare},
        event(3, 2, "shadow>active"),
    ]
    previous = previous_active(read(model(2, history=events)))
    assert previous
    assert previous.git_sha == pointer(1)["git_sha"]


def test_an_artifact_known_only_by_name_is_where_the_convention_puts_it() -> None:
    events = [event(1, 1, "shadow>active", words="runbook"), event(2, 2, "shadow>active", words="runbook")]
    previous = previous_active(read(model(2, history=events)))
    assert previous
    assert (previous.artifact_dir, previous.model_sha256) == (f"artifacts/onnx/{name(1)}", None)


def test_tenure_is_the_last_time_in_office() -> None:
    events = [
        event(1, 1, "shadow>active"),
        event(3, 2, "shadow>active"),
        event(10, 1, "active>active"),
        event(11, 3, "->staging"),
    ]
    now = read(model(1, history=events))
    assert tenure(now, name(1)) == (START + timedelta(hours=10), None)
    assert tenure(now, name(2)) == (START + timedelta(hours=3), START + timedelta(hours=10))
    assert tenure(now, name(3)) is None


def test_rows_are_newest_first_in_the_runbooks_words_for_either_vocabulary() -> None:
    events = [
        event(1, 1, "->staging", words="engine"),
        event(2, 1, "staging>shadow", words="runbook"),
        event(3, 1, "shadow>shadow", words="engine"),
        event(4, 2, "active>active", words="engine"),
    ]
    found = rows(read(model(history=events)))
    assert [row.action for row in found] == ["rollback", "withdraw", "promote", "stage"]
    assert [row.artifact_id for row in found] == [name(2), name(1), name(1), name(1)]
    assert {row.by for row in found} == {"dev@example.com"}
    assert found[-1].from_stage == ""
    assert found[0].at == START + timedelta(hours=4)


def test_an_event_that_says_almost_nothing_is_a_row_all_the_same() -> None:
    (row,) = rows(read(model(history=[{"to_stage": "shadow"}])))
    assert (row.at, row.by, row.artifact_id, row.to_stage) == (None, "", "", "shadow")


def test_what_is_archived_still_counts() -> None:
    archive = b"".join(
        json.dumps(each).encode() + b"\n"
        for each in (event(1, 1, "shadow>active"), event(2, 3, "shadow>active"), event(3, 2, "active>active"))
    )
    newer = [event(hours, 5, "->staging") for hours in range(10, 60)]
    now = read(model(2, history=newer[::-1]))
    assert previous_active(now) is None
    whole = with_archive(now, archive + b"{torn\n[1]\n" + b"[" * 100_000)
    previous = previous_active(whole)
    assert previous
    assert (previous.artifact_id, condemned(whole)) == (name(1), {name(3)})
    assert [each.at for each in chronological(whole)] == sorted(each.at for each in whole.history if each.at)


def test_a_rollback_finds_its_target_in_the_archive() -> None:
    archive = json.dumps(event(1, 1, "shadow>active")).encode() + b"\n"
    document = parse(registry(m=model(2, history=[event(5, 4, "->staging")])))
    who: Any = {"by": "op@example.com", "reason": "EMERGENCY: p99", "at": LATER}
    with pytest.raises(Refused, match="never active"):
        rollback(document, "m", name(1), **who)
    active = rollback(document, "m", name(1), archive=archive, **who).document.registry.models["m"].active
    assert active
    assert active.artifact_id == name(1)
