"""What a server's hook makes of git's list of refs; the gate itself is a stand-in here, and real in tests/flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from ml.errors import Unavailable, Usage
from ml.promotion.hooks import PRE_RECEIVE
from ml.promotion.received import RefUpdate, parse_updates, receive
from ml.promotion.repository import APPROVALS, CHANGE_PREFIXES, Reader
from ml.verdict import Gate, Verdict

ZERO, OLD, NEW, FORK = "0" * 40, "1" * 40, "2" * 40, "f" * 40
CLOSED = Gate(name="ack", verdict=Verdict.FAIL, why="there is no acknowledgement")
OPEN = Gate(name="scope", verdict=Verdict.PASS, why="3 files")


class Forks:
    """A history and refs that only know where branches left the base, and where the base is."""

    @property
    def history(self) -> Forks:
        """Where branches left the base."""
        return self

    @property
    def refs(self) -> Forks:
        """Where the base is."""
        return self

    def merge_base(self, one: str, other: str) -> str | None:
        """Where everything but OLD comes from."""
        return None if other == OLD else FORK

    def resolve(self, rev: str) -> str | None:
        """Where the base is."""
        return {"refs/heads/main": FORK}.get(rev)


class Judge:
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self, *gates: Gate, error: Unavailable | None = None) -> None:
        self.gates, self.error = gates, error
        self.asked: list[tuple[str, str, bool]] = []

    def __call__(self, base: str, head: str, *, offered: bool = False) -> Sequence[Gate]:
        """One judgement."""
        self.asked.append((base, head, offered))
        if self.error:
            raise self.error
        return self.gates


def unproven(base: str, slot: tuple[str, str], note: str) -> str:
    """Nobody ever approved anything."""
    return "nobody proves it"


def why_not(line: str, judge: Judge) -> tuple[str, ...]:
    (found,) = receive(parse_updates(line.encode()), cast("Reader", Forks()), "main", judge, unproven)
    return found.why_not


def test_the_base_is_judged_from_where_it_is_and_a_change_branch_from_where_it_left() -> None:
    judge = Judge(OPEN, CLOSED)
    assert why_not(f"{OLD} {NEW} refs/heads/main", judge) == ("ack: there is no acknowledgement",)
    assert why_not(f"{ZERO} {NEW} refs/heads/promote/m/x", judge) == ("ack: there is no acknowledgement",)
    assert judge.asked == [(OLD, NEW, False), (FORK, NEW, True)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"{OLD} {ZERO} refs/heads/main", "never deleted"),
        (f"{ZERO} {NEW} refs/heads/refs/heads/main", "ambiguous"),
        (f"{ZERO} {NEW} refs/tags/refs/heads/rollback/m/x", "ambiguous"),
        (f"{ZERO} {OLD} refs/heads/rollback/m/x", "no history with main"),
        (f"{OLD} {NEW} refs/approvals/a/b", "never changed"),
        (f"{OLD} {ZERO} refs/approvals/a/b", "never changed"),
        (f"{ZERO} {NEW} refs/approvals/{OLD}/{NEW}", "nobody proves it"),
        (f"{ZERO} {NEW} refs/approvals/{OLD}", "another name would stand in the way"),
        (f"{ZERO} {NEW} refs/approvals/{OLD}/{NEW}/more", "another name would stand in the way"),
        (f"{ZERO} {NEW} refs/approvals/{OLD.replace('1', 'A')}/{NEW}", "another name would stand in the way"),
        (f"{ZERO} {NEW} refs/approvals/a/b", "another name would stand in the way"),
        (f"{OLD} {NEW} refs/approvals/{OLD}-{NEW}", "never changed"),
        (f"{OLD} {ZERO} refs/approvals/{OLD}-{NEW}", "never changed"),
        (f"{ZERO} {NEW} refs/approvals/{OLD}-{NEW}", "nobody proves it"),
        (f"{ZERO} {NEW} refs/approvals/{OLD}-{NEW}/more", "another name would stand in the way"),
        (f"{ZERO} {NEW} refs/Approvals/{OLD}-{NEW}", "needs names below"),
        (f"{ZERO} {NEW} refs/replace/{OLD}", "another history"),
        (f"{ZERO} {NEW} refs/heads/rollback", "every change needs names below"),
        (f"{ZERO} {NEW} refs/heads/Rollback/m/x", "every change needs names below"),
        (f"{ZERO} {NEW} refs/heads/rollback/m", "stand in the way of a change"),
        (f"{ZERO} {NEW} refs/heads/rollback/m/x/y", "stand in the way of a change"),
        (f"{ZERO} {NEW} refs/heads/init/m/x", "stand in the way of a change"),
        (f"{ZERO} {NEW} refs/approvals", "every change needs names below"),
        (f"{ZERO} {NEW} refs/heads/Main", "ignores case"),
    ],
)
def test_what_no_gate_is_asked_about(line: str, says: str) -> None:
    judge = Judge(OPEN)
    assert says in why_not(line, judge)[0]
    assert judge.asked == []


@pytest.mark.parametrize(
    "line",
    [
        f"{ZERO} {NEW} refs/heads/main",
        f"{OLD} {ZERO} refs/heads/promote/m/x",
        f"{OLD} {ZERO} refs/heads/rollback",
        f"{OLD} {NEW} refs/heads/promoted",
        f"{OLD} {NEW} refs/heads/main2",
        f"{ZERO} {NEW} refs/tags/promote/x",
    ],
)
def test_what_is_nobodys_business(line: str) -> None:
    assert why_not(line, Judge(CLOSED)) == ()


def test_an_approval_is_judged_by_the_rules_of_the_base_as_it_is() -> None:
    asked = []

    def approves(base: str, slot: tuple[str, str], note: str) -> str:
        asked.append((base, slot, note))
        return ""

    updates = parse_updates(f"{ZERO} {NEW} refs/approvals/{OLD}/{NEW}".encode())
    (found,) = receive(updates, cast("Reader", Forks()), "main", Judge(), approves)
    assert (found.why_not, asked) == ((), [(FORK, (OLD, NEW), NEW)])
    (found,) = receive(updates, cast("Reader", Forks()), "trunk", Judge(), approves)
    assert "no policy that names operators" in found.why_not[0]


def test_what_cannot_be_judged_is_refused_and_the_other_refs_are_judged_all_the_same() -> None:
    judge = Judge(error=Unavailable("The object is damaged."))
    lines = f"{OLD} {NEW} refs/heads/main\n{OLD} {ZERO} refs/heads/main\n"
    first, second = receive(parse_updates(lines.encode()), cast("Reader", Forks()), "main", judge, unproven)
    assert first.why_not == ("it cannot be judged: The object is damaged.",)
    assert "never deleted" in second.why_not[0]


def test_names_that_are_no_text_and_names_with_spaces_arrive_whole() -> None:
    told = f"{ZERO} {'3' * 64} refs/heads/a b".encode() + "\u2028".encode() + b"\xff\n"
    assert parse_updates(told) == (RefUpdate("refs/heads/a b\u2028\udcff", "", "3" * 64),)


def test_another_list_is_refused() -> None:
    with pytest.raises(Usage, match="no line of git's pre-receive hook"):
        parse_updates(b"hello\n")


@pytest.mark.parametrize("below", [*(f"refs/heads/{prefix}" for prefix in CHANGE_PREFIXES), APPROVALS, "refs/replace/"])
def test_the_hook_starts_python_for_everything_that_is_judged(below: str) -> None:
    assert f'*" {below.rstrip("/")}"*' in PRE_RECEIVE.read_text()
