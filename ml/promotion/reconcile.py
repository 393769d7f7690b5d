"""Settlement of interrupted changes: done, not done, or unknown, by asking the repository and the remote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ml.errors import ConsoleError
from ml.promotion.publish import Desk
from ml.records.journal import Left
from ml.text import visible


class Outcome(StrEnum):
    """The end of an interrupted change."""

    DONE = "done"
    NOT_DONE = "not done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One interrupted change: its description, its end, and one sentence with a remedy."""

    what: str
    branch: str
    outcome: Outcome
    why: str


def reconcile(desk: Desk, record: Callable[[Mapping[str, str]], None] | None = None) -> tuple[Reconciled, ...]:
    """Settle what the journal has left over; what the remote cannot answer for now stays for the next time.

    ``record`` gets the journal's facts of each change that took effect, before the journal forgets it.
    """
    return tuple(_settled(desk, record))


def _settled(desk: Desk, record: Callable[[Mapping[str, str]], None] | None) -> Iterator[Reconciled]:
    for left in desk.journal.left():
        outcome, why = _outcome(left, desk)
        if outcome is Outcome.DONE and record is not None:
            record(left.facts)
        if outcome is not Outcome.UNKNOWN:
            desk.journal.settle(left)
        yield Reconciled(left.kind, visible(left.facts.get("branch", "")), outcome, why)


def _outcome(left: Left, desk: Desk) -> tuple[Outcome, str]:
    branch, commit = left.facts.get("branch", ""), left.facts.get("commit", "")
    if left.kind == "approve":
        again = "approve it again, which does no harm"
        return Outcome.NOT_DONE, f"The approval of {visible(branch)} was interrupted; {again}."
    if left.kind == "land":
        return _landed(left, desk, branch, commit)
    return _published(left, desk, branch, commit)


def _published(left: Left, desk: Desk, branch: str, commit: str) -> tuple[Outcome, str]:
    shown = visible(branch)
    if commit and desk.remote:  # also where no push was begun: a person may have pushed what was left
        there = _tip(desk, f"refs/heads/{branch}")
        if there == commit:
            return Outcome.DONE, f"{desk.home(f'refs/heads/{branch}')} has {shown}."
        if isinstance(there, ConsoleError) and left.step == "push":
            return Outcome.UNKNOWN, f"Whether {desk.home(f'refs/heads/{branch}')} has {shown} is unknown: {there.cause}"
    if commit and desk.repository.refs.resolve(f"refs/heads/{branch}") == commit:
        return Outcome.NOT_DONE, f"{shown} is only here; push it with: mlconsole push {shown}"
    return Outcome.NOT_DONE, f"{shown} was interrupted before anything was published; plan it anew."


def _landed(left: Left, desk: Desk, branch: str, commit: str) -> tuple[Outcome, str]:
    base = left.facts.get("base", "")
    tip = _tip(desk, f"refs/heads/{base}")
    if isinstance(tip, ConsoleError):
        return Outcome.UNKNOWN, f"Whether {visible(branch)} landed is unknown: {tip.cause}"
    if tip == commit or (tip and _contains(desk, tip, commit)):
        return Outcome.DONE, f"{visible(branch)} landed on {visible(base)}."
    return Outcome.NOT_DONE, f"{visible(branch)} did not land on {visible(base)}; land it again."


def _contains(desk: Desk, tip: str, commit: str) -> bool:
    return desk.repository.refs.resolve(tip) is not None and desk.repository.history.is_ancestor(commit, tip)


def _tip(desk: Desk, ref: str) -> str | ConsoleError | None:
    try:
        if not desk.remote:
            return desk.repository.refs.resolve(ref)
        return desk.repository.remotes.tip(desk.home(ref), ref, pushed=True)
    except ConsoleError as sick:
        return sick
