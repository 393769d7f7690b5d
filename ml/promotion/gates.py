"""The gates of each step besides service levels: names, verification, role, freeze (contract §5). Pure."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ml.artifacts.ids import parse_id
from ml.clock import format_utc, span
from ml.contract import Source
from ml.errors import ConsoleError, Refused
from ml.ports import Finished, Runner
from ml.promotion.lfs import restore
from ml.promotion.repository import Reader
from ml.promotion.values import ACK_GATE, KILL_GATE, Ack, Target
from ml.registry.history import condemned
from ml.registry.schema import Model
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Check, Code, Finding, Gate, Verdict, finding

if TYPE_CHECKING:
    from ml.artifacts.verification import Verification
    from ml.policy import Checks, Policy


ID_GATE = "artifact_id"
NEW_GATE = "not_staged"
VERIFY_GATE = "verify"
REPORT_GATE = "train_report"
GOLDEN_GATE = "golden"
ROLE_GATE = "role"
FREEZE_GATE = "freeze"
CONDEMNED_GATE = "condemned"
_TOLD_ONLY = frozenset({"train_report", "contract", "batch", "variety"})
"""Checks of an artifact that refuse no rollback to it."""
_WRONG = (Verdict.FAIL, Verdict.ERROR, Verdict.VACUOUS)


def artifact_id_gate(artifact_id: str) -> Gate:
    """The id follows the convention, its date is a real one."""
    try:
        parse_id(artifact_id)
    except ValueError as error:
        return finding(Verdict.FAIL, Code.ID_MALFORMED, str(error), artifact=artifact_id).gate(ID_GATE)
    return finding(Verdict.PASS, Code.SOUND, f"{artifact_id} is well-formed", artifact=artifact_id).gate(ID_GATE)


def verify_gate(verification: Verification) -> Gate:
    """The artifact passes every check; never waivable."""
    amiss = verification.amiss
    if amiss:
        why = f"{amiss.name}: {amiss.why}"
        found = finding(verification.verdict, Code.CHECK_FAILED, why, check=amiss.name, found=str(amiss.code))
    else:
        number = len(verification.checks)
        why = f"{number} checks of {verification.artifact_id}"
        found = finding(verification.verdict, Code.SOUND, why, checks=number, artifact=verification.artifact_id)
    return found.gate(VERIFY_GATE, evidence=verification.model_sha256, waivable=False)


def return_gate(verification: Verification) -> Gate:
    """Check an artifact that was active before: its bytes are whole, and the model runs.

    Its documents and the quality of its answers were judged when it first became active; problems there are reported
    and block nothing.
    """
    stated = (check.facts for check in verification.checks if check.name == "contract")
    guessed = any(("source", str(Source.DEFAULT)) in facts for facts in stated)
    told = [check for check in verification.checks if _only_told(check, guessed=guessed)]
    kept = tuple(check for check in verification.checks if check not in told)
    warnings = [check for check in told if check.verdict in _WRONG]
    gate = verify_gate(replace(verification, checks=kept))
    said = "".join(f"; {check.name} is {check.verdict}: {check.why}" for check in warnings)
    return replace(gate, why=f"{gate.why}{said}") if gate.verdict.opens else gate


def _only_told(check: Check, *, guessed: bool) -> bool:
    """True if a problem found by a check is reported, and refuses no rollback.

    ``guessed``: neither the policy, which may have a mistake now, nor the manifest states the model's contract.
    """
    if check.name == "golden":
        return check.verdict is Verdict.VACUOUS
    return check.name in _TOLD_ONLY or (guessed and check.code is Code.CONTRACT_BROKEN)


def train_report_gate(verification: Verification) -> Gate:
    """There is a train report, and it names the same model. An absent one is NO_DATA: not enough for staging."""
    return verification.check("train_report").found.gate(REPORT_GATE)


def golden_gate(verification: Verification) -> Gate:
    """The model still gives its golden answers; VACUOUS where it ships none, because then none could be wrong."""
    check = verification.check("golden")
    if check.verdict is Verdict.NO_DATA and verification.verdict is Verdict.PASS:
        why = "the artifact ships no golden vectors, so a regression could not show"
        return finding(Verdict.VACUOUS, Code.NO_VECTORS, why).gate(GOLDEN_GATE)
    return check.found.gate(GOLDEN_GATE)


def not_staged_gate(model: Model | None, artifact_id: str) -> Gate:
    """Check that the artifact is in no stage of the model yet."""
    there = [
        stage for stage in Stage if model and (pointer := model.pointer(stage)) and pointer.artifact_id == artifact_id
    ]
    if there:
        why = f"it is in {there[0]} already"
        return finding(Verdict.FAIL, Code.IN_A_STAGE, why, stage=str(there[0])).gate(NEW_GATE)
    return finding(Verdict.PASS, Code.IN_NO_STAGE, "it is in no stage yet").gate(NEW_GATE)


def condemned_gate(model: Model, artifact_id: str) -> Gate:
    """No rollback left this artifact; one that did can only come back by a waiver."""
    if artifact_id in condemned(model):
        shown = visible(artifact_id)
        return finding(Verdict.FAIL, Code.LEFT_BY_ROLLBACK, f"a rollback left {shown}", artifact=shown).gate(
            CONDEMNED_GATE
        )
    return finding(Verdict.PASS, Code.NEVER_LEFT, "no rollback left it").gate(CONDEMNED_GATE)


def role_gate(policy: Policy, actor: str, action: Action, to_stage: Stage) -> Gate:
    """The person may do this: operators for active, developers for the rest; rollback needs no role."""
    who = visible(actor)
    if action is Action.ROLLBACK:
        found = finding(Verdict.PASS, Code.ROLE_NOT_NEEDED, "a rollback needs no role")
    elif to_stage is not Stage.ACTIVE:
        found = _role(policy, policy.is_developer(actor), who, "developer", "a developer")
    else:
        found = _role(policy, policy.is_operator(actor), who, "operator", "an operator")
    return found.gate(ROLE_GATE, waivable=False)


def _role(policy: Policy, verdict: Verdict, who: str, role: str, called: str) -> Finding:
    if verdict is Verdict.VACUOUS:
        return finding(verdict, Code.NO_OPERATORS, "the policy names no operators, so nobody could fail this")
    if verdict.opens:
        proven = policy.ack.signed
        declared = "" if proven else " (self-declared, because the policy asks for no signature)"
        return finding(verdict, Code.ROLE_HELD, f"{who} is {called}{declared}", who=who, role=role, proven=proven)
    return finding(verdict, Code.ROLE_MISSING, f"{who} is not {called}", who=who, role=role)


def freeze_gate(policy: Policy, now: datetime) -> Gate:
    """No freeze window holds this moment."""
    window = policy.frozen_at(now)
    if window is None:
        return finding(Verdict.PASS, Code.NOT_FROZEN, "no freeze window").gate(FREEZE_GATE)
    why = f"frozen until {format_utc(window.end)}: {visible(window.reason)}"
    return finding(Verdict.FAIL, Code.FROZEN, why, until=window.end).gate(FREEZE_GATE)


def permission_gates(policy: Policy, target: Target, now: datetime) -> tuple[Gate, ...]:
    """The gates ``freeze`` and ``role`` of a change, for checklists and rollbacks alike.

    Every plan refuses a closed gate, and the server's gate judges both again by the commit. A freeze stops what stages
    and promotes; a rollback or a withdrawal is possible at any time.
    """
    role = role_gate(policy, target.actor, target.action, target.to_stage)
    if target.action in (Action.ROLLBACK, Action.WITHDRAW):
        return (role,)
    return freeze_gate(policy, now), role


def kill_gates(engaged: bool | None) -> tuple[Gate, ...]:
    """The gate that a kill closes for a promotion to active; none while the switch is off. ``None``: it is unknown.

    Whoever means to change the live model while it is stopped, such as for a fix that must be there before the release,
    waives it with a reason. A rollback and a withdrawal need no waiver.
    """
    if engaged is False:
        return ()
    if engaged is None:
        why = "nobody can tell whether the kill switch is on"
        return (finding(Verdict.NO_DATA, Code.KILL_SWITCH_UNKNOWN, why).gate(KILL_GATE),)
    why = (
        "the kill switch is on: release it first, or waive this and say why the live model changes while it is stopped"
    )
    return (finding(Verdict.FAIL, Code.KILL_SWITCH_ON, why).gate(KILL_GATE),)


def kill_warnings(engaged: bool | None, to_stage: Stage) -> tuple[str, ...]:
    """List the warnings for a promotion to active while the kill switch is on, or unknown (``None``)."""
    if to_stage is not Stage.ACTIVE or engaged is False:
        return ()
    state = "is on" if engaged else "cannot be read"
    return (f"The kill switch {state}: what becomes active decides nothing until it is released.",)


def freeze_exemption(policy: Policy, now: datetime) -> str:
    """Name the freeze window that a rollback overrides, for its record; empty where there is none."""
    window = policy.frozen_at(now)
    return f"frozen until {format_utc(window.end)}: {visible(window.reason)}" if window else ""


# The acknowledgement: a phrase typed exactly, good once, for one artifact, evidence and registry (contract §5).


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
    """Say why an acknowledgement does not cover a change: one clause, empty when it does.

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


# The gate ``unit_tests``: the policy's test command on a clean export of the base commit (runbook, procedure 2).

TESTS_GATE = "unit_tests"

_LONGEST = 1 << 16
_CARRIED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestBench:
    """The settings of the unit tests: a clean export of ``commit``, with the policy's command and deadline."""

    __test__ = False

    repository: Reader
    commit: str
    checks: Checks
    run: Runner
    environ: Mapping[str, str]


def unit_tests_gate(bench: TestBench, on_output: Callable[[str], None] | None = None) -> Gate:
    """Run the policy's test command on a clean export; ``on_output`` takes its lines, already made visible.

    The tests see neither secrets nor settings of the operator's session: only a few variables are carried over. The
    gate's evidence is the SHA-256 of the whole log.
    """
    command, deadline = bench.checks.unit_tests, bench.checks.deadline_seconds
    lines = _Lines(on_output)
    env = {key: bench.environ[key] for key in _CARRIED if key in bench.environ}
    try:
        with tempfile.TemporaryDirectory(prefix="mlconsole-tests-") as folder:
            bench.repository.objects.export(bench.commit, Path(folder))
            restore(Path(folder), bench.commit, bench.repository.lfs, bench.repository.clone.attributes)
            ended = bench.run(command, deadline_s=deadline, cwd=Path(folder), env=env, on_output=lines.take)
    except (ConsoleError, OSError) as error:
        why = f"the tests could not run: {visible(str(error))}"
        return finding(Verdict.ERROR, Code.TESTS_UNRUN, why).gate(TESTS_GATE)
    lines.end()
    log = hashlib.sha256(ended.out + ended.err).hexdigest()
    return _outcome(ended, deadline, lines.last).gate(TESTS_GATE, evidence=log)


def _outcome(ended: Finished, deadline_s: float, last: str) -> Finding:
    if ended.timed_out:
        why = f"the tests did not end within {span(deadline_s)}"
        return finding(Verdict.ERROR, Code.TESTS_UNRUN, why, deadline_s=deadline_s)
    if ended.truncated:
        return finding(Verdict.ERROR, Code.TESTS_UNRUN, "the tests printed more than a log may hold")
    if ended.code != 0:
        why = f"the tests ended with {ended.code}: {last or 'no output'}"
        return finding(Verdict.FAIL, Code.TESTS_FAILED, why, exit=ended.code)
    return finding(Verdict.PASS, Code.TESTS_PASSED, last or "the tests ended with 0", exit=0)


class _Lines:
    """Cuts output into lines as it comes, and remembers the last one that says something."""

    def __init__(self, take: Callable[[str], None] | None) -> None:
        self._take = take
        self._rest = b""
        self.last = ""

    def take(self, chunk: bytes) -> None:
        """Take some more output."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > _LONGEST:
            self.end()

    def end(self) -> None:
        """The output is over."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def _line(self, raw: bytes) -> None:
        line = visible(raw.decode("utf-8", "replace").rstrip(), limit=500)
        self.last = line or self.last
        if self._take:
            self._take(line)
