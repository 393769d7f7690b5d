"""State of the promotion wizard without its screen: steps, draft, and the obstacles on each page."""

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
    """Pages of the wizard. Each value is the page's name on the step line."""

    CHECKLIST = "Checklist"
    REASON = "Reason"
    ACK = "ACK"
    PLAN = "Plan"
    SUBMIT = "Submit"


def steps(to_stage: Stage) -> tuple[Step, ...]:
    """Return a step's pages in order. Only a step to active needs an ACK."""
    return tuple(step for step in Step if step is not Step.ACK or to_stage is Stage.ACTIVE)


def possible_steps(model: ModelView | None) -> tuple[tuple[Stage, str], ...]:
    """Return the possible steps of a model by the board: each next stage with the artifact that would enter it."""
    if model is None:
        return ()
    possible = ((Stage.ACTIVE, model.shadow.artifact_id), (Stage.SHADOW, model.staging.artifact_id))
    return tuple((to_stage, artifact_id) for to_stage, artifact_id in possible if artifact_id)


def empty_draft(target: Target) -> Draft:
    """Return a draft for a frozen target, with nothing typed yet."""
    return Draft(model=target.model, to_stage=target.to_stage, model_sha256=target.model_sha256)


@dataclass(frozen=True, slots=True)
class Judged:
    """A checklist with the typed answers that it was judged by."""

    checklist: Checklist
    draft: Draft

    def holds_for(self, draft: Draft) -> bool:
        """Return True when the draft has the same finding and waivers, so judging again would change nothing."""
        return (self.draft.finding, self.draft.waivers) == (draft.finding, draft.waivers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wizard:
    """State of one promotion. Each change makes a new state.

    ``busy`` names the running background action; no other action starts meanwhile. ``trouble`` is an error to show
    before everything else. ``resumed`` means that the draft was typed before this screen was opened. ``progress`` holds
    the last state of each step of the write, which ends in a ``submission`` or in a ``failure``. The ACK is never kept:
    it goes straight from its field into the plan.
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

    # --- shown values ------------------------------------------------------------------------------------------------
    @property
    def steps(self) -> tuple[Step, ...]:
        """The pages of this step."""
        return steps(self.target.to_stage)

    @property
    def shown_gates(self) -> tuple[Gate, ...]:
        """Return the gates, including waivers that are typed but not judged yet."""
        reasons = dict(self.draft.waivers)
        return tuple(
            gate.waived(reasons[gate.name]) if gate.name in reasons and _can_waive(gate) else gate
            for gate in self.gates
        )

    @property
    def blocking(self) -> tuple[Gate, ...]:
        """Return the judged gates that block the checklist page; empty while something else blocks it."""
        judged = self.step is Step.CHECKLIST and self.judged and not self.busy
        return _standing_in_the_way(self.shown_gates) if judged else ()

    @property
    def obstacle(self) -> str:
        """Return the reason why this page cannot be left forwards now; empty when it can."""
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
        """Return the next thing to do on a page that is complete; empty where the page itself says it."""
        if self.step is Step.CHECKLIST:
            resumed = "Your earlier input is restored. " if self.resumed else ""
            waived = f"{len(self.draft.waivers)} waived by you. " if self.draft.waivers else ""
            return f"{resumed}{waived}No gate blocks. Press ^N to go on."
        if self.step is Step.PLAN:
            return "Nothing is written yet. Press Tab to reach Submit, then Enter."
        return ""

    @property
    def conflicted(self) -> bool:
        """Return True when the registry has changed since the target was frozen.

        Start again then; nothing is replayed.
        """
        return isinstance(self.failure, Conflict)

    @property
    def way_on(self) -> str:
        """Return the label of the next button; empty when no page follows."""
        if self.step is Step.SUBMIT:
            return "Start again" if self.conflicted else ""
        return "Submit" if self.step is Step.PLAN else "Next"

    # --- transitions -------------------------------------------------------------------------------------------------
    def judging(self) -> Wizard:
        """Return the state in which every gate is being judged again."""
        return replace(self, busy="Judging the gates.", trouble="", gates=(), judged=None, plan=None)

    def with_gate(self, gate: Gate) -> Wizard:
        """Return the state with one more gate, judged or running."""
        if any(each.name == gate.name for each in self.gates):
            return replace(self, gates=tuple(gate if each.name == gate.name else each for each in self.gates))
        return replace(self, gates=(*self.gates, gate))

    def with_progress(self, progress: Progress) -> Wizard:
        """Return the state with the judging's progress. Progress after the end is ignored."""
        return replace(self, busy=f"Judging the gates: {progress_words(progress)}") if self.busy else self

    def with_checklist(self, checklist: Checklist, draft: Draft) -> Wizard:
        """Return the state with all gates judged.

        When a closed gate needs an answer, go back to its page.
        """
        judged = replace(self, busy="", gates=checklist.gates, judged=Judged(checklist, draft))
        closed = tuple(gate for gate in checklist.blockers if gate.name != ACK_GATE)
        if self.step in (Step.ACK, Step.PLAN) and closed:
            back = Step.REASON if all(_answered_later(gate) for gate in closed) else Step.CHECKLIST
            return replace(judged, step=back, trouble=blocked(closed))
        return judged

    def typed(self, reason: str, finding: str) -> Wizard:
        """Return the state with the reason page's texts."""
        return replace(self, draft=replace(self.draft, reason=reason, finding=finding), trouble="")

    def waived(self, gate: str, reason: str) -> Wizard:
        """Return the state with a typed waiver, to be judged with the next checklist. An empty reason removes it."""
        others = tuple(pair for pair in self.draft.waivers if pair[0] != gate)
        waivers = (*others, (gate, reason)) if reason else others
        return replace(self, draft=replace(self.draft, waivers=waivers), trouble="")

    def onwards(self) -> Wizard:
        """Return the state on the next page."""
        return replace(self, step=self.steps[self.steps.index(self.step) + 1], trouble="")

    def backwards(self) -> Wizard:
        """Return the state on the page before, if there is one. The plan is discarded."""
        return replace(self, step=self.steps[max(0, self.steps.index(self.step) - 1)], trouble="", plan=None)

    def planning(self) -> Wizard:
        """Return the state in which a plan is computed. With a typed ACK, the session judges every gate once more."""
        again = "Judging every gate once more after the ACK. " if Step.ACK in self.steps else ""
        return replace(self, busy=f"{again}Computing the plan; nothing is written.", trouble="", plan=None)

    def planned(self, plan: Plan) -> Wizard:
        """Return the state with a finished plan."""
        return replace(self, busy="", plan=plan)

    def submitting(self) -> Wizard:
        """Return the state in which the plan is submitted, which happens once."""
        return replace(self, step=Step.SUBMIT, busy="Writing the change.", trouble="", plan=None, progress=())

    def progressed(self, progress: Progress) -> Wizard:
        """Return the state with one more step of the write."""
        return replace(self, progress=(*(each for each in self.progress if each.step != progress.step), progress))

    def submitted(self, submission: Submission) -> Wizard:
        """Return the state with the written change."""
        return replace(self, busy="", submission=submission)

    def failed(self, error: ConsoleError) -> Wizard:
        """Return the state after an error. A failed write and a conflict have a page of their own."""
        if self.step is Step.SUBMIT or isinstance(error, Conflict):
            return replace(self, step=Step.SUBMIT, busy="", trouble="", failure=error)
        return replace(self, busy="", trouble=str(error))

    @property
    def checklist(self) -> Checklist | None:
        """The checklist, if it was judged by the answers typed now."""
        return self.judged.checklist if self.judged and self.judged.holds_for(self.draft) else None


def blocked(gates: tuple[Gate, ...]) -> str:
    """List the blocking gates in one line: ``BLOCKED by alerts (NO_DATA), errors (FAIL).``; one gate alone adds its
    reason."""
    named = ", ".join(f"{gate.name} ({gate.verdict})" for gate in gates)
    if len(gates) == 1:
        return f"BLOCKED by {named}: {gates[0].why}"
    return f"BLOCKED by {named}." if gates else ""


def _missing(draft: Draft) -> str:
    """List the texts still to be typed before the plan; empty when none."""
    if not draft.reason.strip():
        return "Type a reason: it goes into the registry, the commit and the pull request."
    if draft.to_stage is Stage.ACTIVE and not draft.finding.strip():
        return "Type what you saw on the dashboards: the review gate waits for it."
    return ""


def _standing_in_the_way(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Return closed gates, except those that only wait for an answer on a later page."""
    return tuple(gate for gate in gates if not gate.verdict.opens and not _answered_later(gate))


def _answered_later(gate: Gate) -> bool:
    return gate.verdict is Verdict.WAIT and gate.name in (REVIEW_GATE, ACK_GATE)


def _can_waive(gate: Gate) -> bool:
    return gate.waivable and not gate.verdict.opens
