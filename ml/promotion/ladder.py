"""The receipt ladder of a change, computed from facts: how far it came, by what proof, and what to do next. Pure.

A rung is reached only by a proof of its own. What cannot be asked is unknown, and never counted as reached or missed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ml.promotion.ladder_engines import deployed, serving
from ml.promotion.rungs import (
    Checks,
    Ending,
    Facts,
    ForgeState,
    How,
    Ladder,
    Outcome,
    Proof,
    ProofKind,
    Request,
    Review,
    Rung,
    State,
    Step,
    Subject,
    Why,
)
from ml.text import visible

_SHORT = 12
_AFTER_LANDING = (Rung.DEPLOYED, Rung.SERVING)


def ladder(subject: Subject, facts: Facts, now: datetime) -> Ladder:
    """Compute the ladder of a change as of ``now``."""
    merged = _merged(subject, facts)
    in_engines = deployed(subject, facts, merged)
    steps = (
        _planned(subject),
        _pushed(subject, facts),
        _checked(subject, facts),
        _approved(subject, facts),
        merged,
        in_engines,
        serving(subject, facts, in_engines),
    )
    request = facts.forge.about(subject.branch, subject.commit)
    address = visible(request.address, limit=400) if request is not None else ""
    return _ended(Ladder(subject=subject, as_of=now, steps=steps, address=address), facts)


def outcome(found: Ladder, until: Rung) -> Outcome:
    """The answer to a wait for one rung.

    A rung above MERGED that the change does not need counts as reached once the change landed. A rung that stays
    unknown by the configuration is UNKNOWN at once.
    """
    step = found.step(until)
    landed = found.step(Rung.MERGED).state is State.REACHED
    if step.state is State.REACHED or (step.state is State.NOT_NEEDED and (landed or until not in _AFTER_LANDING)):
        return Outcome.REACHED
    if found.ending is not Ending.OPEN:
        return Outcome.ENDED
    if step.state is State.UNKNOWN and step.lasting:
        return Outcome.UNKNOWN
    return Outcome.WAITING


def _planned(subject: Subject) -> Step:
    why = f"{visible(subject.by)} planned it as commit {subject.commit[:_SHORT]}."
    proof = Proof(ProofKind.COMMIT, subject.commit)
    return Step(
        rung=Rung.PLANNED, state=State.REACHED, code=Why.PROVEN, why=why, at=subject.at, by=subject.by, proof=proof
    )


def _pushed(subject: Subject, facts: Facts) -> Step:
    remote = facts.remote
    if not remote.name:
        why = "This repository has no remote."
        return Step(rung=Rung.PUSHED, state=State.NOT_NEEDED, code=Why.NO_REMOTE, why=why)
    where, branch, landed = visible(remote.name), visible(subject.branch), facts.base.landed
    at, by = (remote.pushed.at, remote.pushed.by) if remote.pushed else (None, "")
    if landed is None and remote.why:
        last = "had the branch" if remote.tip == subject.commit else "did not have the branch"
        why = f"Unknown: {where} does not answer; at the last fetch it {last}."
        return Step(rung=Rung.PUSHED, state=State.UNKNOWN, code=Why.REMOTE_SILENT, why=why, todo=remote.why)
    if landed is None and remote.tip != subject.commit:
        return _not_there(subject, facts)
    if landed is not None:
        why, base = f"{where} has it in {visible(facts.base.name)}.", visible(facts.base.name)
        proof = Proof(ProofKind.BASE, f"{base} holds it in {landed.commit}")
    else:
        why = f"{where} has the branch."
        proof = Proof(ProofKind.REMOTE_REF, f"{where} refs/heads/{branch} at {subject.commit}")
    return Step(rung=Rung.PUSHED, state=State.REACHED, code=Why.PROVEN, why=why, at=at, by=by, proof=proof)


def _not_there(subject: Subject, facts: Facts) -> Step:
    """The rung PUSHED where the remote answers and has another commit, or none."""
    remote, where, todo = facts.remote, visible(facts.remote.name), f"mlconsole push {visible(subject.branch)}"
    if remote.tip is not None:
        why = f"{where} has another commit on the branch, {remote.tip[:_SHORT]}."
        todo = "Look at both commits; a branch is never overwritten."
        return Step(rung=Rung.PUSHED, state=State.FAILED, code=Why.OTHER_COMMIT, why=why, todo=todo)
    if remote.pushed is not None:
        why, at, by = f"{where} had the branch, and it is gone from there.", remote.pushed.at, remote.pushed.by
        return Step(rung=Rung.PUSHED, state=State.WAITING, code=Why.GONE, why=why, at=at, by=by, todo=todo)
    why = "The branch is only in this clone."
    return Step(rung=Rung.PUSHED, state=State.WAITING, code=Why.LOCAL_ONLY, why=why, todo=todo)


# CHECKED and APPROVED: the forge, the landing by this machine, and signed approvals in git.


def _checked(subject: Subject, facts: Facts) -> Step:
    by_forge = _checked_by_forge(subject, facts)
    record = facts.base.recorded
    if by_forge.state is not State.UNKNOWN or record is None or facts.base.landed is None:
        return by_forge
    # `land` runs the gate first and writes its line only after the base moved.
    proof = Proof(ProofKind.AUDIT, f"line {record.seq} of the audit log: the gate passed and the change was landed")
    why = f"The gate passed here when {visible(record.by)} landed it."
    return Step(
        rung=Rung.CHECKED, state=State.REACHED, code=Why.PROVEN, why=why, at=record.at, by=record.by, proof=proof
    )


def _checked_by_forge(subject: Subject, facts: Facts) -> Step:
    request, unknown = _request(Rung.CHECKED, subject, facts)
    if request is None:
        return unknown
    proof, named = _by_forge(request), ", ".join(request.failed)
    match request.checks:
        case Checks.PASSED:
            why = f"All checks of {subject.commit[:_SHORT]} passed."
            return Step(
                rung=Rung.CHECKED, state=State.REACHED, code=Why.PROVEN, why=why, at=request.checks_at, proof=proof
            )
        case Checks.FAILED:
            why, todo = (
                f"Checks failed: {named or 'unnamed'}.",
                f"Look at {request.address}; then plan the change anew.",
            )
            state, code = State.FAILED, Why.CHECKS_FAILED
        case Checks.RUNNING:
            why, todo = f"Checks are running: {named or 'unnamed'}.", f"Wait for them: {request.address}"
            state, code = State.WAITING, Why.CHECKS_RUN
        case Checks.NONE:
            why, todo = "The forge runs no check of this commit.", _gate_here(facts)
            state, code = State.UNKNOWN, Why.NO_CHECK
        case _:
            why, todo = "The forge did not say how its checks stand.", f"Look at {request.address}"
            state, code = State.UNKNOWN, Why.CHECKS_UNREAD
    return Step(rung=Rung.CHECKED, state=state, code=code, why=why, proof=proof, todo=todo)


def _approved(subject: Subject, facts: Facts) -> Step:
    git = _approved_by_git(subject, facts)
    forge = facts.forge.about(subject.branch, subject.commit)
    if git.state is State.REACHED or forge is None or forge.head != subject.commit:
        return git
    who, proof = ", ".join(forge.reviewers), _by_forge(forge)
    if forge.review is Review.CHANGES:
        why, todo = "A reviewer asks for changes.", f"Look at {forge.address}; then plan the change anew."
        return Step(rung=Rung.APPROVED, state=State.FAILED, code=Why.CHANGES_REQUESTED, why=why, proof=proof, todo=todo)
    if git.state is not State.NOT_NEEDED:
        return git  # the gate counts signed approvals in git, and a forge's approval is none
    if forge.review is Review.APPROVED:
        why, at = f"The forge says that it is approved{f' by {who}' if who else ''}.", forge.reviewed_at
        return Step(rung=Rung.APPROVED, state=State.REACHED, code=Why.PROVEN, why=why, at=at, by=who, proof=proof)
    if forge.review is Review.REQUIRED and facts.base.landed is None:
        why, todo = "The forge asks for a review.", f"Ask for one: {forge.address}"
        return Step(
            rung=Rung.APPROVED, state=State.WAITING, code=Why.APPROVALS_MISSING, why=why, proof=proof, todo=todo
        )
    return git


def _approved_by_git(subject: Subject, facts: Facts) -> Step:
    approvals = facts.approvals
    if approvals.needed is None:
        why = approvals.why or "The policy of the base cannot be read."
        return Step(rung=Rung.APPROVED, state=State.UNKNOWN, code=Why.RULES_UNREAD, why=why)
    who = ", ".join(approvals.by)
    if approvals.by and len(approvals.by) >= approvals.needed:
        proof = Proof(ProofKind.APPROVALS, f"refs/approvals/{subject.commit}/, signed by {who}")
        why = f"Approved by {who}, signed."
        return Step(
            rung=Rung.APPROVED, state=State.REACHED, code=Why.PROVEN, why=why, at=approvals.at, by=who, proof=proof
        )
    if approvals.needed <= 0:
        why = "The rules ask for no approval of this change."
        return Step(rung=Rung.APPROVED, state=State.NOT_NEEDED, code=Why.NO_APPROVAL_ASKED, why=why)
    missing = approvals.needed - len(approvals.by)
    why = f"{missing} more operator{'s' if missing > 1 else ''} must approve it."
    todo = f"Another operator runs: mlconsole approve {visible(subject.branch)}"
    return Step(rung=Rung.APPROVED, state=State.WAITING, code=Why.APPROVALS_MISSING, why=why, todo=todo)


def _request(rung: Rung, subject: Subject, facts: Facts) -> tuple[Request | None, Step]:
    """The forge's request of exactly this commit; else ``None`` and an unknown rung that says why there is none."""
    forge = facts.forge
    found = forge.about(subject.branch, subject.commit)
    lasting = False
    if forge.state is ForgeState.NONE:
        code, why = Why.NO_FORGE, forge.why or "There is no forge here."
        lasting = True
    elif forge.state is not ForgeState.ANSWERED:
        code, why = Why.FORGE_SILENT, forge.why or "The forge does not answer."
    elif found is None:
        code, why = Why.NO_REQUEST, "The forge has no request for this branch."
    else:
        code, why = Why.OTHER_COMMIT, f"The forge's request is about another commit, {found.head[:_SHORT]}."
    todo = forge.remedy or _gate_here(facts)
    unknown = Step(rung=rung, state=State.UNKNOWN, code=code, why=f"Unknown: {why}", todo=todo, lasting=lasting)
    return (found if found is not None and found.head == subject.commit else None), unknown


def _by_forge(request: Request) -> Proof:
    return Proof(ProofKind.FORGE, f"{request.tool}: {request.address} at {request.head}")


def _gate_here(facts: Facts) -> str:
    if facts.base.landed is not None:
        return ""
    return "The gate runs with `mlconsole land`, before anything is landed."


# MERGED: by git alone.


def _merged(subject: Subject, facts: Facts) -> Step:
    base, name = facts.base, visible(facts.base.name)
    landed, request = base.landed, facts.forge.about(subject.branch, subject.commit)
    said = request if request is not None and request.state == "merged" and request.head == subject.commit else None
    if landed is not None:
        at = landed.at or (base.recorded.at if base.recorded else None) or (said.ended_at if said else None)
        by = (base.recorded.by if base.recorded else "") or (said.ended_by if said else "") or landed.by
        how = {
            How.FAST_FORWARD: "is this commit or goes on from it",
            How.MERGE: f"took it by the merge {landed.commit[:_SHORT]}",
            How.CONTENT: f"holds the same change in {landed.commit[:_SHORT]}",
        }[landed.how]
        proof = Proof(ProofKind.BASE, f"{name} at {base.commit} holds it in {landed.commit}")
        return Step(
            rung=Rung.MERGED, state=State.REACHED, code=Why.PROVEN, why=f"{name} {how}.", at=at, by=by, proof=proof
        )
    if base.why:
        return Step(rung=Rung.MERGED, state=State.UNKNOWN, code=Why.BASE_UNREAD, why=f"Unknown: {base.why}")
    if facts.remote.name and facts.remote.why:
        why = f"Unknown: {visible(facts.remote.name)} does not answer; at the last fetch {name} did not have it."
        return Step(rung=Rung.MERGED, state=State.UNKNOWN, code=Why.REMOTE_SILENT, why=why, todo=facts.remote.why)
    if said is not None:
        why = f"The forge says that it is merged, and {name} does not hold it yet."
        return Step(rung=Rung.MERGED, state=State.WAITING, code=Why.NOT_MERGED, why=why, todo=f"Look at {said.address}")
    open_request = f", or merge {request.address}" if request is not None and request.state == "open" else ""
    todo = f"mlconsole change land {visible(subject.branch)}{open_request}"
    return Step(rung=Rung.MERGED, state=State.WAITING, code=Why.NOT_MERGED, why=f"{name} does not hold it.", todo=todo)


# The end of a change that goes no further.


def _ended(found: Ladder, facts: Facts) -> Ladder:
    base = visible(facts.base.name)
    if found.step(Rung.MERGED).state is State.REACHED:
        if not facts.base.left or found.step(Rung.SERVING).state is State.REACHED:
            return found
        why = f"It landed, and a later change of {base} took its place."
        return replace(found, ending=Ending.SUPERSEDED, ending_why=why)
    closed = _closed(found, facts)
    if closed is not None:
        return closed
    if facts.base.moved:
        why = f"{base} holds another state of {visible(found.subject.model)} by now. Plan the change anew."
        return replace(found, ending=Ending.SUPERSEDED, ending_why=why)
    return found


def _closed(found: Ladder, facts: Facts) -> Ladder | None:
    """The ladder of a change that was closed without landing; ``None`` where it was not."""
    subject, closed = found.subject, facts.remote.closed
    request = facts.forge.about(subject.branch, subject.commit)
    at: datetime | None = None
    by = ""
    if closed is not None and facts.remote.tip != subject.commit:
        at, by, why = closed.at, closed.by, f"{visible(closed.by)} closed it."
    elif request is not None and request.state == "closed" and request.head == subject.commit:
        at, by, why = request.ended_at, request.ended_by, f"Its request was closed: {request.address}"
    elif found.step(Rung.PUSHED).code is Why.GONE:
        why = "Its branch is gone from the remote, and it was not merged."
    else:
        return None
    return replace(found, ending=Ending.CLOSED, ended_at=at, ended_by=by, ending_why=why)
