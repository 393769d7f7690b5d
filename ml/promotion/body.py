"""The pull request's body: the runbook's evidence section with measured values, ACK, waivers, diff (contract §5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ml.board import SoakReport
from ml.clock import format_utc, hours
from ml.promotion.origins import Origin
from ml.promotion.values import ACK_GATE, REVIEW_GATE, Ack, Target
from ml.slo.soak_gates import ALERTS_GATE
from ml.stage import Action
from ml.text import visible
from ml.units import amount
from ml.verdict import SOAK_GATE, Gate, Verdict

_ACK = """ACK: {phrase}

I have reviewed the shadow metrics and confirm this model
is safe to promote to active trading decisions.
"""
_LABELS = {
    "p99": "p99 latency",
    "p999": "p99.9 latency",
    "p95": "p95 latency",
    "error_rate": "Error rate",
    "alerts": "Alerts",
    "review": "Dashboard",
}
_MARKS = {Verdict.PASS: "✅", Verdict.WAIVED: "⚠️ waived"}
_HEADINGS = {Action.ROLLBACK: "Rollback", Action.WITHDRAW: "Withdrawal", Action.STAGE: "Staging Evidence"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The content of a pull request's body: everything that a reviewer should know of one change."""

    target: Target
    reason: str
    at: datetime
    gates: tuple[Gate, ...]
    diff: str
    evidence_sha256: str = ""
    evidence_path: str = ""
    soak: SoakReport | None = None
    ack: Ack | None = None
    warnings: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()


def body(account: Account) -> str:
    """Return the whole Markdown text. Text from outside goes into code spans and fences, where it has no effect."""
    return "\n\n".join(part for part in _parts(account) if part) + "\n"


def _parts(account: Account) -> Iterator[str]:
    target = account.target
    yield f"## {_HEADINGS.get(target.action, 'Promotion Evidence')}"
    yield "\n".join(_facts(account))
    yield "\n".join(_line(gate, account) for gate in account.gates if gate.name != ACK_GATE)
    waived = [gate for gate in account.gates if gate.verdict is Verdict.WAIVED]
    if waived:
        yield "## Waivers"
        yield "\n".join(f"- **{gate.name}**: {code(gate.why)}" for gate in waived)
    if account.ack:
        yield "## ACK"
        yield _ACK.format(phrase=account.ack.phrase).rstrip()
        yield f"Given by {code(account.ack.by)} at {format_utc(account.ack.at)}."
    if account.warnings:
        yield "## Warnings"
        yield "\n".join(f"- {code(warning)}" for warning in account.warnings)
    if account.origins:
        yield "## The pointer"
        yield "No event in the history holds these fields. This is where they were found:"
        yield "\n".join(f"- {code(each.field)} {code(each.value)}: {code(each.why)}" for each in account.origins)
    yield "## Registry change"
    yield fence(account.diff, "diff")
    if account.evidence_sha256:
        yield f"Evidence: `{account.evidence_path}`, SHA-256 `{account.evidence_sha256}`"


def _facts(account: Account) -> Iterator[str]:
    target = account.target
    way = f"{target.from_stage} → {target.to_stage}" if target.from_stage else f"→ {target.to_stage}"
    yield f"- Model: {code(target.model)}, {way}"
    yield f"- Artifact: {code(target.artifact_id)}, model SHA-256 {code(target.model_sha256 or 'unknown')}"
    yield f"- Reason: {code(account.reason)}"
    proven = any(dict(gate.facts).get("proven") is True for gate in account.gates)
    declared = "" if proven else " (self-declared, no signature is asked for)"
    yield f"- By: {code(target.actor)}{declared} at {format_utc(account.at)}, on commit {code(target.base_commit)}"


def _line(gate: Gate, account: Account) -> str:
    """One line of the runbook's section. A line that has no mark there gets one here only when it is not PASS."""
    mark = _MARKS.get(gate.verdict, f"❌ {gate.verdict}")
    worse = "" if gate.verdict is Verdict.PASS else f" {mark}"
    label = _LABELS.get(gate.name, gate.name)
    soak = account.soak
    if gate.name == SOAK_GATE and soak and soak.started_at:
        tenure = f"{soak.started_at:%Y-%m-%d %H:%M} to {soak.as_of:%Y-%m-%d %H:%M}"
        return f"- Shadow soak: {hours(soak.elapsed_s)} ({tenure}){_besides(soak)}{worse}"
    if gate.name == ALERTS_GATE and gate.verdict is Verdict.PASS:
        return f"- {label}: None firing {mark}"
    if gate.name == REVIEW_GATE:
        folder = account.evidence_path.rpartition("/")[0]
        drawing = f"{code(f'{folder}/review.svg')} " if folder else ""
        return f"- {label}: {drawing}{code(gate.why)}{worse}"
    if not gate.has_minimum and gate.value is not None and gate.limit is not None:
        value, limit = (amount(each, gate.unit, limit=gate.limit, gap="") for each in (gate.value, gate.limit))
        return f"- {label}: {value} (SLO: <{limit}) {mark}"
    return f"- {label}: {code(gate.why)} {mark}"


def _besides(soak: SoakReport) -> str:
    """List further facts for a reviewer: restarts, and numbers tied to the artifact only by mode and time."""
    text = f", {soak.restarts:,} restarts" if soak.restarts else ""
    ties = {"mode": ", by mode only", "mixed": ", in part by mode only"}
    return text + ties.get(soak.attribution, "")


def code(text: str) -> str:
    """Outside text as a code span: neither markup, nor a link, nor a mention. Runs of blanks become one."""
    flat = " ".join(visible(text).split()) or "-"
    marks = "`" * (_longest_run(flat) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{marks}{pad}{flat}{pad}{marks}"


def fence(text: str, language: str) -> str:
    """Outside text of many lines as a fenced block that nothing in it can close."""
    marks = "`" * max(3, _longest_run(text) + 1)
    return f"{marks}{language}\n{visible(text, limit=60_000, lines=True)}\n{marks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
