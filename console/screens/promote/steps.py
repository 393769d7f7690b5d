"""What the promotion wizard knows apart from its screen: its steps, its draft, and why it may not go on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from ml.board import ModelView
from ml.errors import Conflict, ConsoleError
from ml.ports import Progress
from ml.promotion.values import ACK_GATE, REVIEW_GATE, Checklist, Plan, Submission, Target
from ml.records.drafts import Draft
from ml.stage import Stage
from ml.verdict import Gate, Verdict
from widgets.drawing import progress_words


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


def hops(model: ModelView | None) -> tuple[tuple[Stage, str], ...]:
    """Where a model could go next, as the board shows it: the stage, and the artifact that would enter it."""
    if model is None:
        return ()
    possible = ((Stage.ACTIVE, model.shadow.artifact_id), (Stage.SHADOW, model.staging.artifact_id))
    return tuple((to_stage, artifact_id) for to_stage, artifact_id in possible if artifact_id)


def empty_draft(target: Target) -> Draft:
    """Nothing is typed yet for a frozen target."""
    return Draft(model=target.model, to_stage=target.to_stage, model_sha256=target.model_sha256)


@dataclass(frozen=True, slots=True)
class Judged:
    """A checklist together with the typed answers that it was judged by."""

    checklist: Checklist
    draft: Draft

    def holds_for(self, draft: Draft) -> bool:
        """Whether judging again could change anything: finding and waivers are the same."""
        return (self.draft.finding, self.draft.waivers) == (draft.finding, draft.waivers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wizard:
    """The whole state of one promotion; each change makes a new one.

    ``busy`` says what goes on in the background; meanwhile nothing else starts. ``trouble`` is what the person
    must know before anything else. ``resumed``: the draft was typed before this screen was opened. ``progress``
    holds the last state of each step of the write, which ends in a ``submission`` or in a ``failure``. The ACK
    is never kept: it goes straight from its field into the plan.
    """

    target: Target
    draft: Draft
    step: Step = Step.CHECKLIST
    busy: str = ""
    trouble: str = ""
    resumed: bool = False
    gates: tuple[Gate, ...] = ()
    judged: Judged | None = None
    plan: Plan | None = None
    progress: tuple[Progress, ...] = ()
    submission: Submission | None = None
    failure: ConsoleError | None = None

    # --- what is shown -----------------------------------------------------------------------------------------------
    @property
    def steps(self) -> tuple[Step, ...]:
        """The pages of this hop."""
        return steps(self.target.to_stage)

    @property
    def shown_gates(self) -> tuple[Gate, ...]:
        """The gates as they stand with waivers that are typed but not judged yet."""
        reasons = dict(self.draft.waivers)
        return tuple(
            gate.waived(reasons[gate.name]) if gate.name in reasons and _can_waive(gate) else gate
            for gate in self.gates
        )

    @property
    def blocking(self) -> tuple[Gate, ...]:
        """The judged gates that keep the checklist from being left; none while something else does."""
        judged = self.step is Step.CHECKLIST and self.judged and not self.busy
        return _standing_in_the_way(self.shown_gates) if judged else ()

    @property
    def obstacle(self) -> str:
        """Why this page cannot be left forwards now; empty when it can."""
        if self.busy:
            return self.busy
        if self.step is Step.CHECKLIST:
            return blocked(self.blocking) if self.judged else "The gates are not judged."
        if self.step is Step.REASON:
            return _missing(self.draft)
        if self.step is Step.PLAN and self.plan is None:
            return "There is no plan."
        return ""

    @property
    def hint(self) -> str:
        """What to do next on a page that can be left; empty where the page itself says it."""
        if self.step is Step.CHECKLIST:
            resumed = "What you typed before is here again. " if self.resumed else ""
            waived = f"{len(self.draft.waivers)} waived by you. " if self.draft.waivers else ""
            return f"{resumed}{waived}Nothing blocks. ^N goes on."
        if self.step is Step.PLAN:
            return "Nothing is written yet. Tab to Submit, then Enter."
        return ""

    @property
    def conflicted(self) -> bool:
        """Whether the registry moved underneath; then one starts again from a new target, and nothing is replayed."""
        return isinstance(self.failure, Conflict)

    @property
    def way_on(self) -> str:
        """What the button that leads on says; empty where nothing follows."""
        if self.step is Step.SUBMIT:
            return "Start again" if self.conflicted else ""
        return "Submit" if self.step is Step.PLAN else "Next"

    # --- what happens ------------------------------------------------------------------------------------------------
    def judging(self) -> Wizard:
        """Every gate is about to be judged anew."""
        return replace(self, busy="Judging the gates.", trouble="", gates=(), judged=None, plan=None)

    def with_gate(self, gate: Gate) -> Wizard:
        """One gate is known, or known to be running."""
        if any(each.name == gate.name for each in self.gates):
            return replace(self, gates=tuple(gate if each.name == gate.name else each for each in self.gates))
        return replace(self, gates=(*self.gates, gate))

    def with_progress(self, progress: Progress) -> Wizard:
        """The judging came further; what comes after its end is of no interest."""
        return replace(self, busy=f"Judging the gates: {progress_words(progress)}") if self.busy else self

    def with_checklist(self, checklist: Checklist, draft: Draft) -> Wizard:
        """All gates are judged. Where one is closed on a page behind the reason, back to where it is answered."""
        judged = replace(self, busy="", gates=checklist.gates, judged=Judged(checklist, draft))
        closed = tuple(gate for gate in checklist.blockers if gate.name != ACK_GATE)
        if self.step in (Step.ACK, Step.PLAN) and closed:
            back = Step.REASON if all(_answered_later(gate) for gate in closed) else Step.CHECKLIST
            return replace(judged, step=back, trouble=blocked(closed))
        return judged

    def typed(self, reason: str, finding: str) -> Wizard:
        """The reason page holds these texts now."""
        return replace(self, draft=replace(self.draft, reason=reason, finding=finding), trouble="")

    def waived(self, gate: str, reason: str) -> Wizard:
        """A waiver is typed, to be judged with the next checklist; an empty reason takes it back."""
        others = tuple(pair for pair in self.draft.waivers if pair[0] != gate)
        waivers = (*others, (gate, reason)) if reason else others
        return replace(self, draft=replace(self.draft, waivers=waivers), trouble="")

    def onwards(self) -> Wizard:
        """On the next page."""
        return replace(self, step=self.steps[self.steps.index(self.step) + 1], trouble="")

    def backwards(self) -> Wizard:
        """On the page before, or where it is when that is the first. The plan is given up."""
        return replace(self, step=self.steps[max(0, self.steps.index(self.step) - 1)], trouble="", plan=None)

    def planning(self) -> Wizard:
        """A plan is being computed, for which a typed ACK makes the façade judge every gate once more."""
        again = "Judging every gate once more after the ACK. " if Step.ACK in self.steps else ""
        return replace(self, busy=f"{again}Computing the plan; nothing is written.", trouble="", plan=None)

    def planned(self, plan: Plan) -> Wizard:
        """The plan is there."""
        return replace(self, busy="", plan=plan)

    def submitting(self) -> Wizard:
        """The plan is handed over, once."""
        return replace(self, step=Step.SUBMIT, busy="Writing the change.", trouble="", plan=None, progress=())

    def progressed(self, progress: Progress) -> Wizard:
        """One step of the write came further."""
        return replace(self, progress=(*(each for each in self.progress if each.step != progress.step), progress))

    def submitted(self, submission: Submission) -> Wizard:
        """The change is written."""
        return replace(self, busy="", submission=submission)

    def failed(self, error: ConsoleError) -> Wizard:
        """What was under way ended in an error; a failed write and a conflict have a page of their own."""
        if self.step is Step.SUBMIT or isinstance(error, Conflict):
            return replace(self, step=Step.SUBMIT, busy="", trouble="", failure=error)
        return replace(self, busy="", trouble=str(error))

    @property
    def checklist(self) -> Checklist | None:
        """The checklist, if it was judged by the answers that are typed now."""
        return self.judged.checklist if self.judged and self.judged.holds_for(self.draft) else None


def blocked(gates: tuple[Gate, ...]) -> str:
    """Which gates block, in one line: ``BLOCKED by alerts (NO_DATA), errors (FAIL).``; one alone says why itself."""
    named = ", ".join(f"{gate.name} ({gate.verdict})" for gate in gates)
    if len(gates) == 1:
        return f"BLOCKED by {named}: {gates[0].why}"
    return f"BLOCKED by {named}." if gates else ""


def _missing(draft: Draft) -> str:
    """What still has to be typed before the plan; empty when nothing."""
    if not draft.reason.strip():
        return "Type a reason: it goes into the registry, the commit and the pull request."
    if draft.to_stage is Stage.ACTIVE and not draft.finding.strip():
        return "Type what you saw on the dashboards: the review gate waits for it."
    return ""


def _standing_in_the_way(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Closed gates, but for those that merely wait for an answer of a later page."""
    return tuple(gate for gate in gates if not gate.verdict.opens and not _answered_later(gate))


def _answered_later(gate: Gate) -> bool:
    return gate.verdict is Verdict.WAIT and gate.name in (REVIEW_GATE, ACK_GATE)


def _can_waive(gate: Gate) -> bool:
    return gate.waivable and not gate.verdict.opens
