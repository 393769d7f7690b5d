"""Publication of changes: push a ref to the remote, and read it back.

The result of a push is never trusted alone: the remote is asked for the truth (contract §5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ml.errors import Conflict, ConsoleError, Refused, TimedOut, Unavailable
from ml.promotion.paths import Places
from ml.promotion.repository import CHANGE_PREFIXES, PushResult, Repository
from ml.promotion.rungs import ForgeAnswer
from ml.records.journal import Entry, Journal, Left
from ml.text import visible
from ml.verdict import Gate

# The forge, which turns a pushed branch into a pull request (implemented by `ml.adapters.forge`).


class Forge(Protocol):
    """Opens pull requests, or says where a person can."""

    def open_request(
        self, remote_url: str, branch: str, base: str, title: str, body: str, *, fork_url: str = ""
    ) -> str:
        """Open a pull request and return its address; else the address where a person opens it, or nothing.

        ``fork_url`` is where the branch is, if that is another repository than the one that it is for.

        Never raises: the branch is pushed already, and a failing forge must not make that look like a failure.
        """
        ...


class Requests(Protocol):
    """Reads pull requests where a forge can be asked (implemented by `ml.adapters.forge_requests`)."""

    def look(self, remote_url: str, branch: str = "") -> ForgeAnswer:
        """The requests of one branch, or in brief the newest ones. Never raises; takes at most some seconds."""
        ...


Judge = Callable[[str, str], tuple[Gate, ...]]
"""The gate of contract §8 over two commits, base and head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The repository, remote and forge that a change is published with.

    ``remote`` is empty where there is none; ``bodies`` keeps the texts of pull requests. ``push_s`` is the limit of a
    push, in seconds. ``fork`` is the remote that change branches go to, where it is not ``remote``.
    """

    repository: Repository
    journal: Journal
    forge: Forge
    remote: str
    base: str
    bodies: Path
    places: Places
    judge: Judge
    push_s: float = 30.0
    fork: str = ""

    def home(self, ref: str) -> str:
        """The remote that a ref is pushed to: change branches may go to a fork, the base and approvals never do."""
        change = ref.removeprefix("refs/heads/").startswith(CHANGE_PREFIXES)
        return self.fork if change and self.fork else self.remote


@dataclass(frozen=True, slots=True)
class Sent:
    """The state of a branch on the remote, read back after the push, and a sentence about it."""

    there: bool
    why: str
    settled: bool = True


def current_base(desk: Desk, planned: str) -> tuple[str, str]:
    """The commit that the base branch is at now, and why that is only what was last fetched (empty: it is not).

    Raises: Refused when the remote has no such branch.
    """
    repository, remote = desk.repository, desk.remote
    if not remote:
        return repository.refs.resolve(f"refs/heads/{desk.base}") or planned, ""
    try:
        tip = repository.remotes.tip(remote, f"refs/heads/{desk.base}")
        if tip is None:
            raise Refused(f"{remote} has no branch {visible(desk.base)}.", _renamed(remote))
        if tip != planned and repository.refs.resolve(tip) is None:
            repository.remotes.fetch(remote, desk.base)
    except (Unavailable, TimedOut) as sick:
        return repository.refs.resolve(f"refs/remotes/{remote}/{desk.base}") or planned, sick.cause
    return tip, ""


def _renamed(remote: str) -> str:
    return (
        f"If it was renamed: run git fetch --prune {remote} and git remote set-head {remote} -a, or set registry.ref."
    )


_PUSHED_PER_S = 1 << 20
"""The bytes of a large push that a slow line and the server's checks take in a second."""


def send(desk: Desk, ref: str, commit: str, entry: Entry, size: int | None = None) -> Sent:
    """Push one ref and read it back from the remote.

    ``size`` is that of the new files in bytes, ``None`` where git is to be asked. A large push has more time.

    Raises: Refused with the server's words; Unavailable when the journal cannot be written. Nothing was sent then.
    """
    branch, remote = ref.removeprefix("refs/heads/"), desk.home(ref)
    entry.step("push", commit=commit)
    lost = ""
    try:
        weight = desk.repository.history.weight(commit, remote) if size is None else size
        deadline_s = desk.push_s + weight / _PUSHED_PER_S
        result = desk.repository.remotes.push(remote, ref, commit, deadline_s)
        if not result.accepted:
            kind = Conflict if result.moved else Refused
            raise kind(f"{remote} refuses {visible(branch)}: {result.words}", _remedy(result))
    except (Unavailable, TimedOut) as sick:
        lost = sick.cause
    try:
        tip = desk.repository.remotes.tip(remote, ref, pushed=True)
    except ConsoleError as sick:
        unknown = f"Whether {remote} has it is unknown: {lost or sick.cause}"
        return Sent(False, f"{unknown} {later(branch)}", settled=False)
    if tip == commit:
        return Sent(True, f"{remote} has it" + (", although its answer was lost." if lost else ", read back."))
    return Sent(False, f"{lost or f'{remote} took the push and does not show it.'} {later(branch)}")


_AGAIN = "then start the change again."
_WORDING = {
    "Signed-off-by": f"Set signoff = true under [commit] of your configuration, {_AGAIN}",
    "Change-Id": f'Set trailers = ["Change-Id: {{change_id}}"] under [commit] of your configuration, {_AGAIN}',
}


def _remedy(result: PushResult) -> str:
    return _WORDING.get(result.wants, f"Fix the problem that it reports, {_AGAIN}")


def later(branch: str) -> str:
    """Say what to do about a ref that the remote does not have."""
    if not branch.startswith(CHANGE_PREFIXES):
        return "Nothing is known to have changed."
    return f"The branch stays local; push it with: mlconsole push {branch}"


# Settlement of interrupted changes: done, not done, or unknown, by asking the repository and the remote.


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
