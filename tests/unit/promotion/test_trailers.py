"""Trailers that a configuration adds to a message: where they go, what is refused, and what stays ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.promotion.repository import Person, trailers
from ml.promotion.trailers import PLAIN, RESERVED, Wording, completed, fault, joined

ADA = Person("Ada Quill", "ada@example.com")
OURS = "Roll back to x (m)\n\nEMERGENCY: p99 is 300 ms\n\nModel: m\nTo-Stage: active\n"
SIGNED = "Signed-off-by: Ada Quill <ada@example.com>"


def test_a_line_joins_our_own_in_the_last_paragraph() -> None:
    assert completed(OURS, Wording(signoff=True), ADA, ()) == f"{OURS}{SIGNED}\n"


def test_a_message_of_a_title_alone_gets_a_paragraph() -> None:
    assert completed("Merge a into b\n", Wording(signoff=True), ADA, ()) == f"Merge a into b\n\n{SIGNED}\n"


def test_a_title_that_looks_like_a_trailer_stays_a_title() -> None:
    assert completed("Fix: it\n", Wording(signoff=True), ADA, ()) == f"Fix: it\n\n{SIGNED}\n"


def test_a_last_paragraph_in_prose_is_left_alone() -> None:
    assert completed("Title\n\nSome words.\n", Wording(signoff=True), ADA, ()) == f"Title\n\nSome words.\n\n{SIGNED}\n"


def test_without_any_wish_the_message_is_the_same_to_the_byte() -> None:
    assert completed(OURS, PLAIN, ADA, ()) == OURS


def test_a_line_that_is_there_is_not_repeated() -> None:
    once = completed(OURS, Wording(signoff=True), ADA, ())
    twice = Wording(signoff=True, trailers=("Signed-off-by: {name} <{email}>",))
    assert completed(once, twice, ADA, ()) == once == completed(OURS, twice, ADA, ())


def test_a_change_id_is_the_same_for_the_same_commit_and_another_for_each_other() -> None:
    wording = Wording(trailers=("Change-Id: {change_id}",))
    made = [trailers(completed(OURS, wording, ADA, (tree, "parent")))["Change-Id"] for tree in ("a", "a", "b")]
    assert made[0] == made[1] != made[2]
    assert made[0][0] == "I"
    assert len(made[0]) == 41


@pytest.mark.parametrize("key", [*RESERVED, "model", "ACK-BY"])
def test_a_line_of_ours_cannot_be_configured(key: str) -> None:
    assert f"sets {key}" in fault(f"{key}: x")


@pytest.mark.parametrize(
    "line", ["", "no colon", "Key:", "Key: ", "Key:value", "Two words: x", "-Key: x", "K: a\nModel: b", "K: \x1b[0m"]
)
def test_what_is_no_trailer_is_refused(line: str) -> None:
    assert "is no line" in fault(line)


def test_an_unknown_place_is_refused_and_the_known_ones_named() -> None:
    assert "{mail}" in fault("Desk: {mail}")
    assert "{email}" in fault("Desk: {mail}")
    assert fault("Desk: {name} <{email}> {change_id}") == ""


def test_a_paragraph_that_a_hook_began_is_joined_to_ours() -> None:
    assert joined(f"{OURS}\n{SIGNED}\n", trailers(OURS)) == f"{OURS}{SIGNED}\n"
    assert joined(OURS, trailers(OURS)) == OURS


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20), st.booleans())
def test_our_own_lines_are_read_back_whatever_a_person_is_called(name: str, signoff: bool) -> None:
    person = Person(name.replace("\n", " ").replace("\r", " ") or "x", "x@example.com")
    found = trailers(completed(OURS, Wording(signoff, ("Ticket: OPS-1",)), person, ()))
    assert found["Model"] == "m"
    assert found["To-Stage"] == "active"
