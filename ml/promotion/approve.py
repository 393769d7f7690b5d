"""Four eyes: another operator's signed approval, bound to one commit (docs/decisions/approvals.md).

An approval is a signed commit that changes no file, has the approved commit as its only parent, and names it in a
trailer. It lies under ``refs/approvals/<approved commit>/``, where it is only ever added.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from ml.errors import Refused
from ml.policy import parse_policy
from ml.promotion.desk import Desk, Sent, send
from ml.promotion.gate.signing import signature_of
from ml.promotion.land import ends
from ml.promotion.repository import APPROVALS, Person
from ml.text import visible
from ml.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An approval that was given: which commit of which branch, by whom, and whether the remote has it."""

    branch: str
    commit: str
    approval: str
    by: str
    pushed: bool
    why: str


def approve(branch: str, desk: Desk, *, now: datetime) -> Approval:
    """Approve a change branch as it is on the remote now; what was approved before is only pushed again.

    Raises:
        Refused: one's own change, no operator by the base's policy, or a signature that the base's list of allowed
            signers does not know; nothing was written.
        Unavailable: the remote is out of reach.
    """
    repository = desk.repository
    with repository.exclusive():
        base, head = ends(branch, desk)
        person = repository.identity()
        _require_other_operator(desk, base, head, person)
        ref = f"{APPROVALS}{head}/{hashlib.sha256(person.email.encode()).hexdigest()[:16]}"
        given = repository.resolve(ref)
        commit = given or _proven(desk, branch, (base, head), person, now)
        with desk.journal.begin("approve", branch=branch, remote=desk.remote, ref=ref) as entry:
            if given is None:
                repository.create_ref(ref, commit)
            sent = send(desk, ref, commit, entry) if desk.remote else Sent(False, "This repository has no remote.")
            entry.done()
    return Approval(branch=branch, commit=head, approval=commit, by=person.email, pushed=sent.there, why=sent.why)


def _require_other_operator(desk: Desk, base: str, head: str, person: Person) -> None:
    if desk.repository.commit(head).author.email == person.email:
        raise Refused("This is your own change, and your own approval does not count.", "Ask another operator.")
    policy = parse_policy(desk.repository.read(base, desk.places.policy))
    if policy.is_operator(person.email) is not Verdict.PASS:
        raise Refused(f"{visible(person.email)} is no operator by the policy of the base.", "Ask an operator.")


def _proven(desk: Desk, branch: str, between: tuple[str, str], person: Person, now: datetime) -> str:
    """A signed approval that the gate will count."""
    base, head = between
    message = f"Approve {branch}\n\nApproves: {head}\nApproved-By: {person.email}\n"
    commit = desk.repository.write_note_commit(head, message, person, now)
    signers = desk.repository.read(base, desk.places.signers)
    signature = signature_of(desk.repository, commit, signers, now, person.email)
    if not signature.good or signature.principal != person.email:
        why = signature.why if not signature.good else f"the key is {visible(signature.principal)}'s"
        raise Refused(
            f"An approval must be proven: {why}.", f"Sign with the key that {desk.places.signers} names for you."
        )
    return commit
