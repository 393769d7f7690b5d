"""Signatures and approvals: who provably stands behind a change, by the keys that the base allows (SPEC §5, §8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ml.clock import format_utc
from ml.policy import Policy
from ml.promotion.gate.case import Case, passed, refused
from ml.promotion.repository import APPROVALS, CommitInfo, Reader, Signature
from ml.promotion.signers import believed
from ml.stage import Action
from ml.text import visible
from ml.verdict import Code, Gate, Verdict


def signature_of(
    repository: Reader, commit: str, signers: bytes | None, now: datetime | None = None, by: str = ""
) -> Signature:
    """A commit's signature, judged by a list of allowed signers; ``None``: there is no list, so nobody is allowed.

    git judges each key at the commit's date, and here it must be valid at ``now`` too, the judge's clock (``None``:
    that clock is no witness). Where one key has several people, ``by`` is the one who is looked for first.
    """
    if signers is None:
        return Signature(good=False, why="the base has no list of allowed signers")
    if by:
        found = repository.signature(commit, believed(signers, now, only=by))
        if found.good:
            return found
    found = repository.signature(commit, believed(signers, now))
    if found.good or now is None:
        return found
    dated = repository.signature(commit, believed(signers))
    if not dated.good:
        return dated
    who = visible(dated.principal)
    return Signature(good=False, why=f"the key of {who} that signed it is not valid at {format_utc(now)}, now")


def signed(policy: Policy, signature: Signature, by: str, *, exempt: str = "") -> Gate:
    """Where the base asks for signatures, the author's own key signed the commit.

    ``exempt`` says why this change needs none, as a rollback does not; empty where it does.
    """
    if exempt:
        return passed("signature", exempt)
    if not policy.ack.signed:
        why = f"self-declared: nothing proves that {visible(by)} made it, because the policy asks for no signature"
        return passed("signature", why, code=Code.SELF_DECLARED, who=visible(by))
    if not signature.good:
        return refused("signature", f"the commit is not proven to be its author's: {signature.why}")
    if signature.principal != by:
        return refused("signature", f"it was signed by {visible(signature.principal)}, and made by {visible(by)}")
    return passed("signature", signature.why, code=Code.SIGNED, who=visible(by))


def exemption(action: Action) -> str:
    """Why an action needs neither signature nor approval; empty where it does."""
    return "" if action in (Action.STAGE, Action.PROMOTE) else f"a {action} needs none"


def approved(
    repository: Reader, case: Case, signature: Signature, by: str, *, exempt: str = "", now: datetime | None = None
) -> Gate:
    """Enough operators stand behind the change: its author, and others by a signed approval of this very commit.

    ``now`` is the judge's clock, see `signature_of`.
    """
    needed = case.policy.approvals - 1
    if needed <= 0 or exempt:
        return passed("approvals", exempt or "the policy asks for no second pair of eyes")
    found = list(_approvals(repository, case, now))
    why_not = ""
    others: set[str] = set()
    for approval in found:
        why = _misfit(case, approval, signature, by)
        why_not = why or why_not
        if not why:
            others.add(approval.signature.principal)
    if len(others) < needed:
        missing = f"{needed - len(others)} more operators must approve {case.commit.sha[:12]}"
        return refused("approvals", f"{missing} ({why_not})" if why_not else missing)
    return passed("approvals", f"approved by {visible(', '.join(sorted(others)))}")


@dataclass(frozen=True, slots=True)
class _Approval:
    commit: CommitInfo
    signature: Signature


def _approvals(repository: Reader, case: Case, now: datetime | None) -> Iterator[_Approval]:
    for _, sha in repository.refs(f"{APPROVALS}{case.commit.sha}/"):
        if repository.resolve(sha) != sha:
            continue  # anybody may have left something there that is no commit
        commit = repository.commit(sha)
        yield _Approval(commit, signature_of(repository, sha, case.signers, now, commit.author.email))


def _misfit(case: Case, approval: _Approval, author: Signature, by: str) -> str:
    """Why an approval does not count: one clause, empty when it does."""
    principal = approval.signature.principal
    shown = visible(principal or approval.commit.author.email)
    same_key = author.good and author.key == approval.signature.key
    reasons = (
        (not approval.signature.good, f"the approval by {shown} does not count: {approval.signature.why}"),
        (approval.commit.parents != (case.commit.sha,), f"the approval by {shown} is of another commit"),
        (approval.commit.trailer("Approves") != case.commit.sha, f"the approval by {shown} names another commit"),
        (principal == by or same_key, f"the author's own approval by {shown} does not count"),
        (case.policy.is_operator(principal) is not Verdict.PASS, f"{shown} is no operator"),
    )
    return next((why for wrong, why in reasons if wrong), "")
