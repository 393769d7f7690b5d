"""The authority behind a change: author, trailers, clock, role, freeze, ACK, waivers (contract §5, §8). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ml.clock import format_utc, parse_utc, span
from ml.policy import Policy
from ml.promotion.approvals import homes
from ml.promotion.gate.case import Case, Move, passed, refused
from ml.promotion.gates import CONDEMNED_GATE, FREEZE_GATE, freeze_gate, misfit, role_gate
from ml.promotion.repository import CommitInfo, Reader, Signature, Signatures
from ml.promotion.signers import believed, hands_of
from ml.promotion.values import ACK_GATE, Ack, Target
from ml.registry.history import condemned
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Code, Gate, Verdict

SKEW = timedelta(minutes=5)
"""The allowed difference between clocks of operators and servers."""


def author(case: Case, move: Move) -> Gate:
    """The event names the commit's author, and the trailers say the same as the event."""
    made_by = case.commit.author.email
    if not case.policy.same_person(move.by, made_by):
        return refused("author", f"the event is by {visible(move.by)}, the commit by {visible(made_by)}")
    for key, expected in _trailers(move).items():
        found = case.commit.trailer(key)
        if found != expected:
            shown = visible(found) or "missing"
            return refused("author", f"the commit's trailer {key} is {shown}, the event says {visible(expected)}")
    return passed("author", visible(made_by))


def _trailers(move: Move) -> dict[str, str]:
    expected = {"Model": move.name, "Artifact": move.artifact_id, "To-Stage": str(move.to_stage)}
    if move.event.from_stage:
        expected["From-Stage"] = move.event.from_stage
    ack, evidence = (_mapping(move, key) for key in ("ack", "evidence"))
    if ack:
        expected |= {"Ack": str(ack.get("phrase")), "Ack-By": str(ack.get("by"))}
    if evidence:
        expected["Evidence-SHA256"] = str(evidence.get("sha256"))
    return expected


def _mapping(move: Move, key: str) -> Mapping[str, object]:
    value = move.written.get(key)
    return value if isinstance(value, dict) else {}


def clock(case: Case, now: datetime | None) -> Gate:
    """Check the commit's time: not before its parent, and not in the future, as far as a clock can tell."""
    at = case.commit.at
    if at < case.parent.at - SKEW:
        return refused("clock", f"it is dated {format_utc(at)}, before its parent of {format_utc(case.parent.at)}")
    if now and at > now + SKEW:
        return refused("clock", f"it is dated {format_utc(at)}, which is in the future")
    return passed("clock", format_utc(at))


def role(case: Case, move: Move) -> Gate:
    """The author may make this change, by the base's policy."""
    return role_gate(case.policy, move.by, move.action, move.to_stage)


def freeze(case: Case, move: Move, now: datetime | None) -> Gate:
    """No promotion is dated in a freeze window or lands in one, unless an operator waived that; the rest is exempt.

    The commit's date is its author's claim. ``now``, the judge's clock, is ``None`` in a review of old history.
    """
    if move.action is not Action.PROMOTE:
        return passed(FREEZE_GATE, f"a {move.action} is not held up by freeze windows")
    moments = (case.commit.at, *((now,) if now else ()))
    judged = [freeze_gate(case.policy, moment) for moment in moments]
    gate = next((each for each in judged if not each.verdict.opens), judged[0])
    return gate.waived("the event says so") if not gate.verdict.opens and FREEZE_GATE in waived_gates(move) else gate


def affects_trading(move: Move) -> bool:
    """True if the change decides which artifact trades."""
    return move.action is Action.PROMOTE and move.to_stage is Stage.ACTIVE


def _earlier_evidence(move: Move) -> frozenset[str]:
    """The digests of the evidence that the model's earlier events carry, archived ones included."""
    said = [(event.model_extra or {}).get("evidence") for event in move.past.history]
    return frozenset(str(one.get("sha256")) for one in said if isinstance(one, dict))


def acknowledged(case: Case, move: Move, registry_blob: str) -> Gate:
    """Check the acknowledgement of a step to active: exactly this artifact, evidence and registry, in time.

    An acknowledgement with evidence that an earlier event carries has been used before.
    """
    if not affects_trading(move):
        return passed(ACK_GATE, "this change needs no acknowledgement")
    given, why = _read_ack(_mapping(move, "ack"))
    if given is None:
        return refused(ACK_GATE, why)
    if given.evidence_sha256 in _earlier_evidence(move):
        return refused(ACK_GATE, "the acknowledgement was used for an earlier change")
    policy = case.policy.ack
    if given.expires_at - given.at > timedelta(minutes=policy.expires_minutes):
        return refused(ACK_GATE, f"it claims to be good for longer than {policy.expires_minutes:g} minutes")
    evidence = str(_mapping(move, "evidence").get("sha256"))
    target = _target(case, move, registry_blob)
    why = misfit(given, phrase=policy.phrase, target=target, evidence_sha256=evidence, now=move.made_at)
    return (
        refused(ACK_GATE, f"the acknowledgement does not cover this: {visible(why)}")
        if why
        else passed(ACK_GATE, f"given by {visible(given.by)} at {format_utc(given.at)}")
    )


def _read_ack(written: Mapping[str, object]) -> tuple[Ack | None, str]:
    if not written:
        return None, "there is no acknowledgement"
    try:
        text = {key: str(written[key]) for key in Ack.__dataclass_fields__}
        at, expires_at = parse_utc(text.pop("at")), parse_utc(text.pop("expires_at"))
    except (KeyError, ValueError):
        return None, "the acknowledgement is incomplete"
    return Ack(at=at, expires_at=expires_at, **text), ""


def _target(case: Case, move: Move, registry_blob: str) -> Target:
    pointer = move.after.active
    assert pointer is not None
    return Target.of(
        move.action,
        move.name,
        move.to_stage,
        pointer,
        base_commit=case.parent.sha,
        registry_blob=registry_blob,
        opened_at=move.made_at,
        actor=move.by,
    )


def waived_gates(move: Move) -> frozenset[str]:
    """The gates that the event says were waived."""
    said = move.written.get("waivers")
    return (
        frozenset(str(one.get("gate")) for one in said if isinstance(one, dict))
        if isinstance(said, list)
        else frozenset()
    )


def waivers(case: Case, move: Move) -> Gate:
    """Only waivable gates were waived, by an operator; a condemned artifact came back by a waiver alone."""
    waived = waived_gates(move)
    if move.action is Action.PROMOTE and move.artifact_id in condemned(move.past) and CONDEMNED_GATE not in waived:
        return refused("waivers", f"{visible(move.artifact_id)} was left by a rollback, and nobody waived that")
    for name in sorted(waived):
        if not case.policy.waivable(name):
            return refused("waivers", f"the gate {visible(name)} cannot be waived")
    if waived and case.policy.is_operator(move.by) is not Verdict.PASS:
        return refused(
            "waivers", f"{visible(move.by)} is no operator and cannot waive {visible(', '.join(sorted(waived)))}"
        )
    return passed("waivers", ", ".join(sorted(waived)) or "none")


# Signatures and approvals, checked against the keys that the base allows (contract §5, §8).


def signature_of(
    signatures: Signatures, commit: str, signers: bytes | None, now: datetime | None = None, by: str = ""
) -> Signature:
    """Check a commit's signature by a list of allowed signers; ``None``: there is no list, so nobody is allowed.

    git judges each key at the commit's date, and here it must be valid at ``now`` too, the judge's clock (``None``:
    that clock is no witness). Where one key has several people, ``by`` is the one who is looked for first.
    """
    if signers is None:
        return Signature(good=False, why="the base has no list of allowed signers")
    if by:
        found = signatures.judge(commit, believed(signers, now, only=by))
        if found.good:
            return found
    found = signatures.judge(commit, believed(signers, now))
    if found.good or now is None:
        return found
    dated = signatures.judge(commit, believed(signers))
    if not dated.good:
        return dated
    who = visible(dated.principal)
    return Signature(good=False, why=f"the key of {who} that signed it is not valid at {format_utc(now)}, now")


_FORGE = (
    "; a forge that squashes or rebases makes a commit of its own, without the author's signature and without "
    "approvals: land the change by a merge commit, or with `mlconsole land`"
)


def remade(commit: CommitInfo) -> bool:
    """True if somebody else than its author committed it, as a forge that squashes or rebases does."""
    return commit.committer.email != commit.author.email


def signed(policy: Policy, signature: Signature, by: str, *, exempt: str = "", remade: bool = False) -> Gate:
    """Check that the author's own key signed the commit, where the base asks for signatures.

    ``exempt`` says why this change needs none (such as a rollback); empty where it does. ``remade`` adds what to do
    about a commit that a forge made anew.
    """
    if exempt:
        return passed("signature", exempt)
    if not policy.ack.signed:
        why = f"self-declared: nothing proves that {visible(by)} made it, because the policy asks for no signature"
        return passed("signature", why, code=Code.SELF_DECLARED, who=visible(by))
    if not signature.good:
        return refused("signature", f"the commit is not proven to be its author's: {signature.why}{_FORGE * remade}")
    if not policy.same_person(signature.principal, by):
        who = visible(signature.principal)
        return refused("signature", f"it was signed by {who}, and made by {visible(by)}{_FORGE * remade}")
    return passed("signature", signature.why, code=Code.SIGNED, who=visible(by))


def exemption(action: Action) -> str:
    """Say why an action needs neither signature nor approval; empty where it does."""
    return "" if action in (Action.STAGE, Action.PROMOTE) else f"a {action} needs none"


def approved(
    repository: Reader, case: Case, signature: Signature, by: str, *, exempt: str = "", now: datetime | None = None
) -> Gate:
    """Check that enough operators approve: the author, and others by a signed approval of this very commit.

    ``now`` is the judge's clock, see `signature_of`.
    """
    needed = case.policy.approvals - 1
    if needed <= 0 or exempt:
        return passed("approvals", exempt or "the policy asks for no second pair of eyes")
    found = list(_approvals(repository, case, now))
    why_not = ""
    others: dict[str, str] = {}
    hands = hands_of(case.signers or b"", case.policy.person)
    for approval in found:
        who = case.policy.person(approval.signature.principal)
        hand = hands.get(who, who)
        why = _misfit(case, approval, signature, by)
        if not why and hand == hands.get(case.policy.person(by)):
            why = f"{visible(who)} shares a key with the author, so that one person may be both"
        if not why and others.setdefault(hand, who) != who:
            why = f"{visible(who)} shares a key with {visible(others[hand])}, who approves already"
        why_not = why or why_not
    if len(others) < needed:
        missing = f"{needed - len(others)} more operators must approve {case.commit.sha[:12]}"
        return refused("approvals", f"{missing} ({why_not})" if why_not else missing)
    return passed("approvals", f"approved by {visible(', '.join(sorted(others.values())))}")


@dataclass(frozen=True, slots=True)
class _Approval:
    commit: CommitInfo
    signature: Signature


def _approvals(repository: Reader, case: Case, now: datetime | None) -> Iterator[_Approval]:
    for _, sha in repository.refs.below(*homes(case.commit.sha)):
        if repository.refs.resolve(sha) != sha:
            continue  # anybody may have left something there that is no commit
        commit = repository.history.commit(sha)
        by = case.policy.person(commit.author.email)
        yield _Approval(commit, signature_of(repository.signatures, sha, case.signers, now, by))


def _misfit(case: Case, approval: _Approval, author: Signature, by: str) -> str:
    """Say why an approval does not count: one clause, empty when it does."""
    principal = approval.signature.principal
    shown = visible(principal or approval.commit.author.email)
    same_key = author.good and author.key == approval.signature.key
    reasons = (
        (not approval.signature.good, f"the approval by {shown} does not count: {approval.signature.why}"),
        (approval.commit.parents != (case.commit.sha,), f"the approval by {shown} is of another commit"),
        (approval.commit.trailer("Approves") != case.commit.sha, f"the approval by {shown} names another commit"),
        (case.policy.same_person(principal, by) or same_key, f"the author's own approval by {shown} does not count"),
        (case.policy.is_operator(principal) is not Verdict.PASS, f"{shown} is no operator"),
    )
    return next((why for wrong, why in reasons if wrong), "")


def approver_slot(email: str) -> str:
    """The slot below a commit where a console of the first edition puts an operator's approval."""
    return hashlib.sha256(email.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Electorate:
    """The people who may approve, by the base's policy and its allowed signers (``None`` without such a file)."""

    policy: Policy
    signers: bytes | None


def why_no_approval(
    repository: Reader, slot: tuple[str, str], note: str, rules: Electorate, now: datetime | None
) -> str:
    """One clause about why a commit is no operator's approval for its slot; empty when it is one.

    A server takes nothing else below `APPROVALS`: anything else could stand where an operator's own approval must go,
    and the gate would have to judge the signature of each.

    Args:
        slot: the two last parts of its ref's name, the approved commit and a name of its own.
        note: the commit that the ref would be at.
    """
    return next(_no_approval(repository, slot, note, rules, now), "")


def _no_approval(
    repository: Reader, slot: tuple[str, str], note: str, rules: Electorate, now: datetime | None
) -> Iterator[str]:
    commit, name = slot
    if repository.refs.resolve(note) != note:
        yield "it is no commit"
        return
    given = repository.history.commit(note)
    if given.parents != (commit,) or given.trailer("Approves") != commit:
        yield f"it approves another commit than {visible(commit[:12])}"
        return
    if given.tree != repository.history.commit(commit).tree:
        yield "it changes files, and an approval changes none"
    signature = signature_of(repository.signatures, note, rules.signers, now, given.author.email)
    if not signature.good:
        yield f"nobody proves it: {signature.why}"
    if rules.policy.is_operator(signature.principal) is not Verdict.PASS:
        yield f"{visible(signature.principal)} is no operator"
    if name not in (note, approver_slot(signature.principal)):
        yield f"its name must end in {note}, so that nothing else can stand there"


# Whether a change lands while it is fresh: what waited too long is planned anew on what holds now (contract §14). Pure.

AGE = "age"


def timely(case: Case, now: datetime | None, move: Move | None = None) -> Gate:
    """The change lands within the policy's hours of when it was made, by the judge's clock.

    Otherwise whoever finds an operator's branch of last month could land it today, or squash it into a commit of today.
    Rollbacks are exempt, and so are the first rules, because nobody holds a role yet that an old branch could misuse.

    Args:
        now: the judge's clock; ``None`` where it is no witness, as in a review of old history.
        move: what the change does; ``None`` for a change of the rules.
    """
    exempt = "these are the first rules" if move is None and not case.policy.roles.operators else ""
    if move is not None and move.action is Action.ROLLBACK:
        exempt = exemption(move.action)
    if exempt or now is None:
        return passed(AGE, exempt or "the clock here is no witness of when it landed")
    made_at = min(move.made_at, case.commit.at) if move else case.commit.at
    age, allowed = now - made_at, timedelta(hours=case.policy.ack.lands_within_hours)
    if age > allowed:
        why = (
            f"it is dated {format_utc(made_at)}, {span(age.total_seconds())} ago, and a change lands within "
            f"{case.policy.ack.lands_within_hours:g} hours; plan it anew"
        )
        return refused(AGE, why, code=Code.TOO_OLD, age_s=age.total_seconds())
    return passed(AGE, f"within {case.policy.ack.lands_within_hours:g} hours of its date")
