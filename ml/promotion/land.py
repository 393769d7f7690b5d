"""Landing: the base branch becomes a change branch's commit, after the gate passed (contract §5).

That is a fast-forward for a fresh change. A change that waited lands by a merge, which dates the landing. Where the
base moved on by other models only, a merge carries the change there, as the gate allows (contract §14, Binding).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ml.errors import Conflict, Invalid, Refused, Unavailable
from ml.policy import parse_policy
from ml.ports import Progress, Report
from ml.promotion.approvals import homes, in_the_way, name_aside, usual_name
from ml.promotion.carry import joined
from ml.promotion.gate.authority import Electorate, signature_of, why_no_approval
from ml.promotion.publish import Desk, Sent, send
from ml.promotion.repository import CHANGE_PREFIXES, Person
from ml.promotion.values import Landing
from ml.records.journal import Entry
from ml.text import visible
from ml.verdict import Gate, Verdict

_FRESH = timedelta(minutes=5)
"""A change that is older is landed by a merge. It is one step of a soak's tape by default."""


def land(branch: str, desk: Desk, report: Report | None = None, *, now: datetime, expected: str = "") -> Landing:
    """Bring a change branch into the base branch, on the remote where there is one.

    The base becomes the branch's commit. It becomes a merge of both where the base moved on by what the change is not
    about, and where the branch waited: its commit is dated by the plan, and a soak counts nothing before the landing.
    A server that takes no merges gets the branch's commit all the same: a date must not hold up a rollback.

    Args:
        now: the landing's time.
        expected: the commit that a person looked at and confirmed; empty lands what the branch holds now.

    Raises:
        Refused: there is no such branch, the base holds it already, the server refuses, or the base is checked out here
            and has no remote.
        Conflict: the branch is at another commit than expected, the same model moved on the base since the branch was
            made, or the base moved during the landing.
        Invalid: the gate says no, with its first reason.
        Unavailable: the remote is out of reach, or the result of the push is unknown.
    """
    repository = desk.repository
    with repository.writer.exclusive():
        _tell(report, "fetch", 0, desk.base)
        base, head = ends(branch, desk)
        _require_same(branch, head, expected)
        _require_to_do(branch, desk, base, head)
        forward = repository.history.is_ancestor(base, head)
        waited = now - repository.history.commit(head).at > _FRESH
        if forward and not waited:
            return _landed(branch, desk, base, head, report)
        merge = joined(repository, desk.places, (base, head), branch, desk.base, now)
        try:
            return _landed(branch, desk, base, merge, report)
        except Refused:
            if not forward:
                raise
            return _landed(branch, desk, base, head, report)


def _landed(branch: str, desk: Desk, base: str, head: str, report: Report | None) -> Landing:
    """Move the base to a commit that the gate passes."""
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
    """Return the tips of the base and of a change branch: on the remote as fetched just now, else here.

    Raises: Refused when there is no such branch; Unavailable when the remote is out of reach.
    """
    repository, remote = desk.repository, desk.remote
    folders = ["refs/heads/"]
    if remote:
        repository.remotes.fetch(remote, desk.base, fork=desk.fork)
        folders = [*(f"refs/remotes/{each}/" for each in (remote, desk.fork) if each), *folders]
    base = repository.refs.resolve(folders[0] + desk.base)
    if base is None:
        raise Refused(f"There is no base branch {visible(desk.base)}.", "Correct registry.ref.")
    known = branch.startswith(CHANGE_PREFIXES)
    heads = (repository.refs.resolve(folder + branch) for folder in folders) if known else iter(())
    head = next((found for found in heads if found), None)
    if head is None:
        raise Refused(f"There is no change branch {visible(branch)}.", "See the open changes with `mlconsole status`.")
    return base, head


def _require_same(branch: str, head: str, expected: str) -> None:
    """Refuse what nobody looked at: the branch got another commit since it was shown."""
    if expected and head != expected:
        raise Conflict(
            f"{visible(branch)} is at {head[:12]} now, and {expected[:12]} was shown.",
            "Look at the change again. Nothing was done.",
        )


def _require_to_do(branch: str, desk: Desk, base: str, head: str) -> None:
    """Refuse to land twice: the answer of a first landing may have been lost."""
    if desk.repository.history.is_ancestor(head, base):
        raise Refused(
            f"{visible(desk.base)} holds {visible(branch)} already.",
            "Nothing is left to land. Where it was taken back since, plan it anew.",
        )


def _require_open(branch: str, gates: tuple[Gate, ...]) -> None:
    closed = [gate for gate in gates if not gate.verdict.opens]
    if closed or not gates:
        why = "; ".join(f"{gate.name} is {gate.verdict}: {gate.why}" for gate in closed) or "nothing was judged"
        raise Invalid(
            f"The gate refuses {visible(branch)}: {why}.", "Fix the problem that it reports. Nothing was landed."
        )


def _move_base(desk: Desk, base: str, head: str, entry: Entry) -> Sent:
    repository, remote = desk.repository, desk.remote
    ref = f"refs/heads/{desk.base}"
    if not remote:
        if repository.refs.checked_out(desk.base):
            raise Refused(
                f"{visible(desk.base)} is checked out here, and a working tree is never moved under its operator.",
                f"Run git merge --ff-only {head}.",
            )
        entry.step("move", old=base)
        repository.refs.move(ref, head, base)
        return Sent(True, "moved here")
    sent = send(desk, ref, head, entry)
    tracking = f"refs/remotes/{remote}/{desk.base}"
    if sent.there and repository.refs.resolve(tracking) == base:
        # git's own push moves it too, except in clones that track nothing.
        repository.refs.move(tracking, head, base)
    return sent


def _tell(report: Report | None, step: str, done: int, note: str) -> None:
    if report:
        report(Progress(step, done, 3, note))


# Approval by a second operator: signed, and bound to one commit (docs/decisions/approvals.md).
#
# An approval is a signed commit that changes no file, has the approved commit as its only parent, and names it in a
# trailer. Its ref is named after its own commit (`ml.promotion.approvals`): that name can hold nothing else, so that
# nobody can take the place of an operator's approval. There approvals are only ever added.


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An approval: the approved commit and branch, its own commit and ref, its author, and if the remote has it."""

    branch: str
    commit: str
    approval: str
    ref: str
    by: str
    pushed: bool
    why: str


def approve(branch: str, desk: Desk, *, now: datetime, expected: str = "") -> Approval:
    """Approve a change branch as it is on the remote now; what was approved before is only pushed again.

    Args:
        expected: the commit that a person looked at; empty approves what the branch holds now.

    Raises:
        Conflict: the branch is at another commit than expected; nothing was written.
        Refused: one's own change, no operator by the base's policy, or a signature that the base's list of allowed
            signers does not know; nothing was written.
        Unavailable: the remote is out of reach.
    """
    repository = desk.repository
    with repository.writer.exclusive():
        base, head = ends(branch, desk)
        _require_same(branch, head, expected)
        person = repository.writer.identity()
        _require_other_operator(desk, base, head, person)
        given = _given(desk, base, head, person, now)
        commit = given or _proven(desk, branch, (base, head), person, now)
        ref = _place(desk, head, commit)
        with desk.journal.begin("approve", branch=branch, remote=desk.remote, ref=ref) as entry:
            if repository.refs.resolve(ref) is None:
                repository.refs.create(ref, commit)
            sent = send(desk, ref, commit, entry, 0) if desk.remote else Sent(False, "This repository has no remote.")
            entry.done()
    return Approval(
        branch=branch, commit=head, approval=commit, ref=ref, by=person.email, pushed=sent.there, why=sent.why
    )


def _given(desk: Desk, base: str, head: str, person: Person, now: datetime) -> str:
    """The approval that this person gave here before and that still counts, else empty."""
    repository, places = desk.repository, desk.places
    rules = Electorate(
        parse_policy(repository.objects.read(base, places.policy)), repository.objects.read(base, places.signers)
    )
    notes = (note for _, note in repository.refs.below(*homes(head)) if repository.refs.resolve(note) == note)
    own = (note for note in notes if repository.history.commit(note).author.email == person.email)
    return next((note for note in own if not why_no_approval(repository, (head, note), note, rules, now)), "")


def _require_other_operator(desk: Desk, base: str, head: str, person: Person) -> None:
    policy = parse_policy(desk.repository.objects.read(base, desk.places.policy))
    if policy.same_person(desk.repository.history.commit(head).author.email, person.email):
        raise Refused("This is your own change, and your own approval does not count.", "Ask another operator.")
    if policy.is_operator(person.email) is not Verdict.PASS:
        raise Refused(f"{visible(person.email)} is no operator by the policy of the base.", "Ask an operator.")


def _place(desk: Desk, head: str, note: str) -> str:
    """The name of an approval's ref: the usual one, or the one aside where the remote has no room for it.

    Without the hook, anybody with push access can put a ref in the way. On the remote it is somebody's, and stays. What
    a fetch brought here, and the remote has no more, is taken away here.
    """
    repository, way = desk.repository, in_the_way(head)
    if desk.remote and repository.remotes.tip(desk.remote, way) is not None:
        return name_aside(head, note)
    for name, commit in repository.refs.below(way):
        if name == way:
            repository.refs.delete(name, commit)
    return usual_name(head, note)


def _proven(desk: Desk, branch: str, between: tuple[str, str], person: Person, now: datetime) -> str:
    """A signed approval that the gate will count."""
    base, head = between
    message = f"Approve {branch}\n\nApproves: {head}\nApproved-By: {person.email}\n"
    commit = desk.repository.writer.note(head, message, person, now)
    signers = desk.repository.objects.read(base, desk.places.signers)
    signature = signature_of(desk.repository.signatures, commit, signers, now, person.email)
    policy = parse_policy(desk.repository.objects.read(base, desk.places.policy))
    if not signature.good or not policy.same_person(signature.principal, person.email):
        why = signature.why if not signature.good else f"the key is {visible(signature.principal)}'s"
        raise Refused(
            f"An approval must be proven: {why}.", f"Sign with the key that {desk.places.signers} names for you."
        )
    return commit
