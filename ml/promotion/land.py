"""Landing: the base branch becomes a change branch's commit, by fast-forward, after the gate passed (SPEC §5)."""

from __future__ import annotations

from ml.errors import Conflict, Invalid, Refused, Unavailable
from ml.ports import Progress, Report
from ml.promotion.desk import Desk, Sent, send
from ml.promotion.repository import CHANGE_PREFIXES
from ml.promotion.values import Landing
from ml.records.journal import Entry
from ml.text import visible
from ml.verdict import Gate


def land(branch: str, desk: Desk, report: Report | None = None) -> Landing:
    """Fast-forward the base branch to a change branch, on the remote where there is one.

    Raises:
        Refused: there is no such branch, the server refuses, or the base is checked out here and has no remote.
        Conflict: the base moved since the branch was made.
        Invalid: the gate says no, with its first reason.
        Unavailable: the remote is out of reach, or whether it landed is not known.
    """
    repository = desk.repository
    with repository.exclusive():
        _tell(report, "fetch", 0, desk.base)
        base, head = ends(branch, desk)
        if not repository.is_ancestor(base, head):
            raise Conflict(
                f"{visible(desk.base)} moved on since {visible(branch)} was made, so it is no fast-forward.",
                "Plan the change anew on what is there now.",
            )
        _tell(report, "gate", 1, branch)
        gates = desk.judge(base, head)
        _require_open(branch, gates)
        _tell(report, "push", 2, desk.base)
        with desk.journal.begin("land", branch=branch, base=desk.base, remote=desk.remote, commit=head) as entry:
            sent = _move_base(desk, base, head, entry)
            if sent.settled:
                entry.done()
    if not sent.there:
        raise Unavailable(sent.why, "Look at the remote before you repeat.")
    return Landing(branch=branch, base=desk.base, commit=head, gates=gates)


def ends(branch: str, desk: Desk) -> tuple[str, str]:
    """Where the base and a change branch are, on the remote as fetched just now, else here.

    Raises: Refused when there is no such branch; Unavailable when the remote is out of reach.
    """
    repository, remote = desk.repository, desk.remote
    folders = ["refs/heads/"]
    if remote:
        repository.fetch(remote, desk.base)
        folders = [f"refs/remotes/{remote}/", *folders]
    base = repository.resolve(folders[0] + desk.base)
    if base is None:
        raise Refused(f"There is no base branch {visible(desk.base)}.", "Correct registry.ref.")
    known = branch.startswith(CHANGE_PREFIXES)
    heads = (repository.resolve(folder + branch) for folder in folders) if known else iter(())
    head = next((found for found in heads if found), None)
    if head is None:
        raise Refused(f"There is no change branch {visible(branch)}.", "See the open changes with `mlconsole status`.")
    return base, head


def _require_open(branch: str, gates: tuple[Gate, ...]) -> None:
    closed = [gate for gate in gates if not gate.verdict.opens]
    if closed or not gates:
        why = "; ".join(f"{gate.name} is {gate.verdict}: {gate.why}" for gate in closed) or "nothing was judged"
        raise Invalid(f"The gate refuses {visible(branch)}: {why}.", "Mend what it names; nothing was landed.")


def _move_base(desk: Desk, base: str, head: str, entry: Entry) -> Sent:
    repository, remote = desk.repository, desk.remote
    ref = f"refs/heads/{desk.base}"
    if not remote:
        if repository.checked_out(desk.base):
            raise Refused(
                f"{visible(desk.base)} is checked out here, and a working tree is never moved under its operator.",
                f"Run git merge --ff-only {head}.",
            )
        entry.step("move", old=base)
        repository.move_ref(ref, head, base)
        return Sent(True, "moved here")
    sent = send(desk, ref, head, entry)
    tracking = f"refs/remotes/{remote}/{desk.base}"
    if sent.there and repository.resolve(tracking) == base:
        # git's own push moves it too, except in clones that track nothing.
        repository.move_ref(tracking, head, base)
    return sent


def _tell(report: Report | None, step: str, done: int, note: str) -> None:
    if report:
        report(Progress(step, done, 3, note))
