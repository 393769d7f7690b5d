"""Closing of a change without landing it: its branch goes from the remote, and stays in this clone.

Only a change branch is ever deleted, and only while the remote has exactly the commit that this clone keeps. So nothing
is lost, and a push brings it back.
"""

from __future__ import annotations

from dataclasses import dataclass

from ml.errors import Conflict, ConsoleError, Refused, Unavailable
from ml.promotion.publish import Desk
from ml.promotion.repository import CHANGE_PREFIXES
from ml.text import visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A closed change: its commit, which this clone keeps, and the remote that had its branch (empty: none).

    ``problem`` is why the audit log does not tell of it; empty where it does.
    """

    branch: str
    commit: str
    remote: str
    problem: str = ""


def close(branch: str, desk: Desk, landed: bool) -> Closing:
    """Delete a change branch at the remote, and keep it in this clone.

    Args:
        landed: the change is in the base already.

    Raises:
        Refused: there is no such change branch, it has landed, or the server refuses; nothing was changed.
        Conflict: the remote has another commit than this clone, or its branch moved meanwhile.
        Unavailable, TimedOut: the remote is out of reach, or its answer was lost.
    """
    repository, ref = desk.repository, f"refs/heads/{branch}"
    if landed:
        raise Refused(f"{visible(branch)} has landed.", "A landed change is rolled back or withdrawn, not closed.")
    with repository.writer.exclusive():
        local = repository.refs.resolve(ref) if branch.startswith(CHANGE_PREFIXES) else None
        remote, tip = _there(desk, branch, ref)
        commit = tip or local
        if commit is None:
            raise Refused(f"There is no change branch {visible(branch)}.", "See them with `mlconsole change list`.")
        if tip is not None:
            _keep(desk, ref, local, tip, remote)
            _delete(desk, ref, tip, remote)
    return Closing(branch=branch, commit=commit, remote=remote if tip is not None else "")


def _there(desk: Desk, branch: str, ref: str) -> tuple[str, str | None]:
    """The remote that has the branch, and its commit there."""
    if not branch.startswith(CHANGE_PREFIXES):
        return "", None
    for remote in dict.fromkeys(each for each in (desk.home(ref), desk.remote) if each):
        tip = desk.repository.remotes.tip(remote, ref, pushed=True)
        if tip is not None:
            return remote, tip
    return "", None


def _keep(desk: Desk, ref: str, local: str | None, tip: str, remote: str) -> None:
    """Make sure that this clone has a branch at the commit that goes from the remote."""
    repository = desk.repository
    if local is not None and local != tip:
        raise Conflict(
            f"{visible(remote)} has {tip[:12]} on this branch, and this clone has {local[:12]}.",
            "Look at both commits, and delete the branch that is wrong with git.",
        )
    if repository.refs.resolve(tip) is None:
        repository.remotes.fetch(desk.remote, desk.base, fork=desk.fork)
    if local is None:
        repository.refs.create(ref, tip)


def _delete(desk: Desk, ref: str, tip: str, remote: str) -> None:
    """Delete the branch at the remote, and read the remote back."""
    repository, branch = desk.repository, visible(ref.removeprefix("refs/heads/"))
    lost: ConsoleError | None = None
    try:
        result = repository.remotes.delete(remote, ref, tip, desk.push_s)
        if not result.accepted:
            kind = Conflict if result.moved else Refused
            raise kind(f"{visible(remote)} keeps {branch}: {result.words}", "Nothing was deleted. Look at it again.")
    except Refused:
        raise
    except ConsoleError as sick:
        lost = sick
    if repository.remotes.tip(remote, ref, pushed=True) is not None:
        cause = lost.cause if lost else f"{visible(remote)} took the deletion and still shows {branch}."
        raise Unavailable(cause, "Nothing is known to have changed. Close it again.")
    tracking = f"refs/remotes/{remote}/{ref.removeprefix('refs/heads/')}"
    if repository.refs.resolve(tracking) == tip:
        repository.refs.delete(tracking, tip)
