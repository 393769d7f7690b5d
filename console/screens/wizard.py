"""What the promotion wizard knows apart from its screen: its steps, its draft, and why it may not go on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from ml.promotion.values import ACK_GATE, REVIEW_GATE, Checklist, Target
from ml.stage import Stage
from ml.verdict import Gate, Verdict


class Step(Enum):
    """One page of the wizard; the value is its name on the step line."""

    CHECKLIST = "Checklist"
    REASON = "Reason"
    ACK = "ACK"
    PLAN = "Plan"
    SUBMIT = "Submit"


def steps(to_stage: Stage) -> tuple[Step, ...]:
    """The pages of a hop in order; only a hop to active asks for an ACK."""
    return tuple(step for step in Step if step is not Step.ACK or to_stage is Stage.ACTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a person typed for one promotion, worth keeping over a lost connection.

    It belongs to the artifact whose digest it names: another artifact starts from an empty draft. The ACK is
    no part of it, because an ACK is typed anew each time.
    """

    model: str
    to_stage: Stage
    model_sha256: str
    reason: str = ""
    finding: str = ""
    waivers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, target: Target) -> Draft:
        """An empty draft for a frozen target."""
        return cls(model=target.model, to_stage=target.to_stage, model_sha256=target.model_sha256)

    def belongs_to(self, target: Target) -> bool:
        """Whether this draft was written for exactly this artifact and hop."""
        mine = (self.model, self.to_stage, self.model_sha256)
        return mine == (target.model, target.to_stage, target.model_sha256)

    def waive(self, gate: str, reason: str) -> Draft:
        """The draft with one more waiver; an empty reason takes the waiver back."""
        others = tuple(pair for pair in self.waivers if pair[0] != gate)
        return replace(self, waivers=(*others, (gate, reason)) if reason else others)


@dataclass(frozen=True, slots=True)
class Judged:
    """A checklist together with the typed answers that it was judged by."""

    checklist: Checklist
    finding: str
    waivers: tuple[tuple[str, str], ...]

    def by(self, draft: Draft) -> bool:
        """Whether it was judged by the answers that the draft holds now."""
        return (self.finding, self.waivers) == (draft.finding, draft.waivers)


def blocking(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """The gates that stand in the way now: closed, and not merely waiting for an answer of a later page."""
    return tuple(gate for gate in gates if not gate.verdict.opens and not _answered_later(gate))


def _answered_later(gate: Gate) -> bool:
    return gate.verdict is Verdict.WAIT and gate.name in (REVIEW_GATE, ACK_GATE)


def sentence(gates: tuple[Gate, ...]) -> str:
    """Which gates block, worst known first, in one line: ``BLOCKED by alerts (NO_DATA), errors (FAIL)``."""
    named = ", ".join(f"{gate.name} ({gate.verdict})" for gate in gates)
    return f"BLOCKED by {named}." if gates else ""


def missing(step: Step, draft: Draft, to_stage: Stage) -> str:
    """What the person still has to type on this page before it may be left; empty when nothing."""
    if step is not Step.REASON:
        return ""
    if not draft.reason.strip():
        return "Type a reason: it goes into the registry, the commit and the pull request."
    if to_stage is Stage.ACTIVE and not draft.finding.strip():
        return "Type what you saw on the dashboards: the review gate waits for it."
    return ""
