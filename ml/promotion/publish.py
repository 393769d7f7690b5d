"""Publication of changes: push a ref to the remote, and read it back.

The result of a push is never trusted alone: the remote is asked for the truth (contract §5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ml.errors import Conflict, ConsoleError, Refused, TimedOut, Unavailable
from ml.promotion.paths import Places
from ml.promotion.repository import CHANGE_PREFIXES, PushResult, Repository
from ml.promotion.rungs import ForgeAnswer
from ml.records.journal import Entry, Journal
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
