"""Whether somebody who may do this did it: author, trailers, clock, role, freeze, ACK, waivers (SPEC §5, §8). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from ml.clock import format_utc, parse_utc
from ml.promotion.ack import misfit
from ml.promotion.gate.case import Case, Move, passed, refused
from ml.promotion.gates import CONDEMNED_GATE, FREEZE_GATE, freeze_gate, role_gate
from ml.promotion.values import ACK_GATE, Ack, Target
from ml.registry.history import condemned
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Gate, Verdict

SKEW = timedelta(minutes=5)
"""By how much clocks of operators and servers may differ."""


def author(case: Case, move: Move) -> Gate:
    """The event names the commit's author, and the trailers say the same as the event."""
    made_by = case.commit.author.email
    if move.by != made_by:
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
    """The commit is neither older than its parent nor from the future, as far as a clock can tell."""
    at = case.commit.at
    if at < case.parent.at - SKEW:
        return refused("clock", f"it is dated {format_utc(at)}, before its parent of {format_utc(case.parent.at)}")
    if now and at > now + SKEW:
        return refused("clock", f"it is dated {format_utc(at)}, which is in the future")
    return passed("clock", format_utc(at))


def role(case: Case, move: Move) -> Gate:
    """The author may make this change, by the base's policy."""
    return role_gate(case.policy, move.by, move.action, move.to_stage)


def freeze(case: Case, move: Move) -> Gate:
    """No promotion is dated in a freeze window, unless an operator waived that; everything else is exempt."""
    if move.action is not Action.PROMOTE:
        return passed(FREEZE_GATE, f"a {move.action} is not held up by freeze windows")
    gate = freeze_gate(case.policy, case.commit.at)
    return gate.waived("the event says so") if not gate.verdict.opens and FREEZE_GATE in waived_gates(move) else gate


def affects_trading(move: Move) -> bool:
    """Whether the change decides what trades, and may not be made lightly."""
    return move.action is Action.PROMOTE and move.to_stage is Stage.ACTIVE


def _earlier_evidence(move: Move) -> frozenset[str]:
    """The digests of the evidence that the model's earlier events carry, archived ones included."""
    said = [(event.model_extra or {}).get("evidence") for event in move.past.history]
    return frozenset(str(one.get("sha256")) for one in said if isinstance(one, dict))


def acknowledged(case: Case, move: Move, registry_blob: str) -> Gate:
    """A hop to active carries an acknowledgement for exactly this artifact, evidence and registry, in its time.

    One whose evidence an earlier event carries was used before.
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
    why = misfit(given, phrase=policy.phrase, target=target, evidence_sha256=evidence, now=case.commit.at)
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
    return Target(
        action=move.action,
        model=move.name,
        from_stage=Stage.SHADOW,
        to_stage=move.to_stage,
        artifact_id=move.artifact_id,
        artifact_dir=pointer.artifact_dir,
        model_sha256=pointer.model_sha256 or "",
        base_commit=case.parent.sha,
        registry_blob=registry_blob,
        opened_at=case.commit.at,
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
