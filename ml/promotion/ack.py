"""The acknowledgement: a phrase typed exactly, good once, for one artifact, evidence and registry (SPEC §5)."""

from __future__ import annotations

from datetime import datetime, timedelta

from ml.clock import format_utc
from ml.errors import Refused
from ml.promotion.values import ACK_GATE, Ack, Target
from ml.verdict import Code, Gate, Verdict, finding


def acknowledge(
    typed: str, *, phrase: str, expires_minutes: float, target: Target, evidence_sha256: str, by: str, now: datetime
) -> Ack:
    """Take a typed phrase as an acknowledgement of one target and its evidence.

    Raises:
        Refused: it is not the phrase, to the letter and with no blank before or behind it.
    """
    if typed != phrase:
        raise Refused("The acknowledgement is not the phrase.", f"Type {phrase} exactly, with nothing around it.")
    return Ack(
        phrase=phrase,
        by=by,
        at=now,
        expires_at=now + timedelta(minutes=expires_minutes),
        model_sha256=target.model_sha256,
        evidence_sha256=evidence_sha256,
        registry_blob=target.registry_blob,
    )


def misfit(ack: Ack, *, phrase: str, target: Target, evidence_sha256: str, now: datetime) -> str:
    """Why an acknowledgement does not cover a change: one clause, empty when it does.

    Raises nothing: the planner refuses with it, and the gate judges with it.
    """
    good = f"{format_utc(ack.at)} to {format_utc(ack.expires_at)}"
    reasons = (
        (ack.phrase != phrase, "its phrase is not the one that the policy asks for"),
        (ack.by != target.actor, f"it was given by {ack.by}, and the change is made by {target.actor}"),
        (ack.model_sha256 != target.model_sha256, "it was given for another artifact"),
        (ack.evidence_sha256 != evidence_sha256, "it was given for other evidence"),
        (ack.registry_blob != target.registry_blob, "it was given for another state of the registry"),
        (not ack.at <= now <= ack.expires_at, f"it was good from {good} only"),
    )
    return next((why for wrong, why in reasons if wrong), "")


def ack_gate(ack: Ack | None, *, phrase: str, target: Target, evidence_sha256: str, now: datetime) -> Gate:
    """The checklist's line: WAIT until the phrase is typed, then PASS, or FAIL with why it does not cover this."""
    if ack is None:
        return finding(Verdict.WAIT, Code.ACK_AWAITED, f"type {phrase}").gate(ACK_GATE, waivable=False)
    why = misfit(ack, phrase=phrase, target=target, evidence_sha256=evidence_sha256, now=now)
    if why:
        return finding(Verdict.FAIL, Code.ACK_MISFITS, why).gate(ACK_GATE, waivable=False)
    given = f"given by {ack.by} at {format_utc(ack.at)}"
    return finding(Verdict.PASS, Code.ACK_GIVEN, given, by=ack.by, at=ack.at).gate(ACK_GATE, waivable=False)
