"""The gates of each hop that are no service levels: names, verification, role, freeze (SPEC §5). Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ml.artifacts.ids import parse_id
from ml.clock import format_utc
from ml.registry.history import condemned
from ml.registry.schema import Model
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Gate, Verdict

if TYPE_CHECKING:
    from ml.artifacts.verification import Verification
    from ml.policy import Policy

ID_GATE = "artifact_id"
NEW_GATE = "not_staged"
VERIFY_GATE = "verify"
REPORT_GATE = "train_report"
GOLDEN_GATE = "golden"
ROLE_GATE = "role"
FREEZE_GATE = "freeze"
CONDEMNED_GATE = "condemned"


def artifact_id_gate(artifact_id: str) -> Gate:
    """The id follows the convention, its date is a real one."""
    try:
        parse_id(artifact_id)
    except ValueError as error:
        return Gate(name=ID_GATE, verdict=Verdict.FAIL, why=str(error))
    return Gate(name=ID_GATE, verdict=Verdict.PASS, why=f"{artifact_id} is well-formed")


def verify_gate(verification: Verification) -> Gate:
    """The artifact passes every check; never waivable."""
    failed = [check for check in verification.checks if check.verdict in (Verdict.FAIL, Verdict.ERROR)]
    why = (
        f"{failed[0].name}: {failed[0].why}"
        if failed
        else f"{len(verification.checks)} checks of {verification.artifact_id}"
    )
    return Gate(
        name=VERIFY_GATE, verdict=verification.verdict, why=why, evidence=verification.model_sha256, waivable=False
    )


def train_report_gate(verification: Verification) -> Gate:
    """There is a train report, and it names the same model. An absent one is NO_DATA: not enough for staging."""
    check = verification.check("train_report")
    return Gate(name=REPORT_GATE, verdict=check.verdict, why=check.why)


def golden_gate(verification: Verification) -> Gate:
    """The model still gives its golden answers; VACUOUS where it ships none, because then none could be wrong."""
    check = verification.check("golden")
    if check.verdict is Verdict.NO_DATA and verification.verdict is Verdict.PASS:
        why = "the artifact ships no golden vectors, so a regression could not show"
        return Gate(name=GOLDEN_GATE, verdict=Verdict.VACUOUS, why=why)
    return Gate(name=GOLDEN_GATE, verdict=check.verdict, why=check.why)


def not_staged_gate(model: Model | None, artifact_id: str) -> Gate:
    """The artifact stands in no stage of the model yet."""
    there = [
        stage for stage in Stage if model and (pointer := model.pointer(stage)) and pointer.artifact_id == artifact_id
    ]
    if there:
        return Gate(name=NEW_GATE, verdict=Verdict.FAIL, why=f"it is in {there[0]} already")
    return Gate(name=NEW_GATE, verdict=Verdict.PASS, why="it is in no stage yet")


def condemned_gate(model: Model, artifact_id: str) -> Gate:
    """No rollback left this artifact; one that did can only come back by a waiver."""
    if artifact_id in condemned(model):
        return Gate(name=CONDEMNED_GATE, verdict=Verdict.FAIL, why=f"a rollback left {visible(artifact_id)}")
    return Gate(name=CONDEMNED_GATE, verdict=Verdict.PASS, why="no rollback left it")


def role_gate(policy: Policy, actor: str, action: Action, to_stage: Stage) -> Gate:
    """The person may do this: operators for active, developers for the rest; rollback needs no role."""
    who = visible(actor)
    if action is Action.ROLLBACK:
        return Gate(name=ROLE_GATE, verdict=Verdict.PASS, why="a rollback needs no role", waivable=False)
    if to_stage is not Stage.ACTIVE:
        verdict = policy.is_developer(actor)
        said = "is" if verdict.opens else "is not"
        return Gate(name=ROLE_GATE, verdict=verdict, why=f"{who} {said} a developer", waivable=False)
    verdict = policy.is_operator(actor)
    why = {
        Verdict.PASS: f"{who} is an operator",
        Verdict.VACUOUS: "the policy names no operators, so nobody could fail this",
    }.get(verdict, f"{who} is not an operator")
    return Gate(name=ROLE_GATE, verdict=verdict, why=why, waivable=False)


def freeze_gate(policy: Policy, now: datetime) -> Gate:
    """No freeze window holds this moment."""
    window = policy.frozen_at(now)
    if window is None:
        return Gate(name=FREEZE_GATE, verdict=Verdict.PASS, why="no freeze window")
    until = format_utc(window.end)
    return Gate(name=FREEZE_GATE, verdict=Verdict.FAIL, why=f"frozen until {until}: {visible(window.reason)}")


def kill_warnings(engaged: bool | None, to_stage: Stage) -> tuple[str, ...]:
    """What a promotion to active is told while the kill switch is on, or ``None``: nobody can tell."""
    if to_stage is not Stage.ACTIVE or engaged is False:
        return ()
    state = "is on" if engaged else "cannot be read"
    return (f"The kill switch {state}: what becomes active decides nothing until it is released.",)


def freeze_exemption(policy: Policy, now: datetime) -> str:
    """What a rollback's record says of the freeze window that it overrides; empty where there is none."""
    window = policy.frozen_at(now)
    return f"frozen until {format_utc(window.end)}: {visible(window.reason)}" if window else ""
