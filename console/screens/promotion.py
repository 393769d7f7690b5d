"""One promotion from its frozen target to its receipt: the part of the wizard that asks the façade (SPEC §5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from console.screens.drafting import DraftKeeper
from console.screens.wizard import Step, Wizard, empty_draft
from ml.errors import ConsoleError
from ml.operations import Operations
from ml.promotion.values import Checklist, Submission, Target
from ml.records.drafts import Draft
from ml.stage import Stage

T = TypeVar("T")


class Desk(Protocol):
    """Where a promotion is worked on: a screen, or a test."""

    def work(
        self,
        name: str,
        action: Callable[[], T],
        then: Callable[[T], None],
        failed: Callable[[ConsoleError], None],
        *,
        writes: bool = False,
    ) -> None:
        """Run a blocking action elsewhere, and go on here."""
        ...

    def soon(self, callback: Callable[..., object], *args: object) -> None:
        """Have something called here; may be called from any thread."""
        ...

    def show(self, wizard: Wizard) -> None:
        """The state changed."""
        ...

    def printed(self, line: str) -> None:
        """The unit tests printed a line."""
        ...

    def complain(self, error: ConsoleError) -> None:
        """There is not even a target."""
        ...


class Promotion:
    """Carries one wizard's state through the façade's calls; at most one of them runs at a time."""

    def __init__(self, operations: Operations, desk: Desk, model: str, drafts: DraftKeeper) -> None:
        self._operations = operations
        self._desk = desk
        self._model = model
        self._drafts = drafts
        self.wizard: Wizard | None = None

    def open(self, to_stage: Stage) -> None:
        """Freeze the target, take up the draft of it, and judge."""

        def freeze() -> tuple[Target, Draft | None]:
            target = self._operations.target(self._model, to_stage)
            return target, self._drafts.find(target.model, target.to_stage, target.model_sha256)

        def frozen(found: tuple[Target, Draft | None]) -> None:
            target, draft = found
            self.wizard = Wizard(target=target, draft=draft or empty_draft(target), resumed=draft is not None)
            self.judge()

        self._desk.work(f"look at {self._model}", freeze, frozen, self._desk.complain)

    def start_again(self) -> None:
        """Freeze a new target after a conflict. Only the reason is kept; nothing is replayed."""
        before = self._now

        def frozen(target: Target) -> None:
            self.wizard = Wizard(target=target, draft=replace(empty_draft(target), reason=before.draft.reason))
            self._drafts.keep(self.wizard.draft)
            self.judge()

        action = partial(self._operations.target, self._model, before.target.to_stage)
        self._desk.work(f"look at {self._model}", action, frozen, self._desk.complain)

    def judge(self) -> None:
        """Judge every gate anew, by the answers that are typed now."""
        wizard = self._become(self._now.judging())
        action = partial(
            self._operations.checklist,
            wizard.target,
            finding=wizard.draft.finding,
            waivers=dict(wizard.draft.waivers),
            report=partial(self._desk.soon, lambda progress: self._become(self._now.with_progress(progress))),
            on_gate=partial(self._desk.soon, lambda gate: self._become(self._now.with_gate(gate))),
            on_output=partial(self._desk.soon, self._desk.printed),
        )
        self._work("judge", action, partial(self._judged, wizard.draft))

    def _judged(self, draft: Draft, checklist: Checklist) -> None:
        wizard = self._become(self._now.with_checklist(checklist, draft))
        if wizard.step is Step.PLAN:
            self._plan()

    def waive(self, gate: str, reason: str) -> None:
        """Waive a gate, or take the waiver back with an empty reason."""
        self._drafts.keep(self._become(self._now.waived(gate, reason)).draft)

    def typed(self, reason: str, finding: str) -> None:
        """Keep what is typed, letter by letter."""
        self._drafts.keep(self._become(self._now.typed(reason, finding)).draft)

    def onwards(self) -> None:
        """Leave the checklist or the reason forwards, when nothing is in the way.

        Behind the reason every gate must be judged by what was typed, so that the ACK is about that evidence.
        """
        if self._now.obstacle or self._now.step not in (Step.CHECKLIST, Step.REASON):
            return
        wizard = self._become(self._now.onwards())
        if wizard.step is Step.REASON:
            return
        if wizard.checklist is None:
            self.judge()
        elif wizard.step is Step.PLAN:
            self._plan()

    def acknowledge(self, phrase: str) -> None:
        """Take the typed phrase; every gate is judged once more after it."""
        if self._now.step is Step.ACK and not self._now.obstacle:
            self._become(self._now.onwards())
            self._plan(phrase)

    def backwards(self) -> None:
        """Go one page back; the plan is given up, and with it the ACK."""
        if not self._now.busy:
            self._become(self._now.backwards())

    def _plan(self, ack: str = "") -> None:
        wizard = self._become(self._now.planning())
        assert wizard.checklist, "no page leads to the plan without it"
        action = partial(self._operations.plan, wizard.checklist, wizard.draft.reason, ack=ack)
        self._work("plan", action, lambda plan: self._become(self._now.planned(plan)))

    def submit(self) -> None:
        """Hand the plan over. It is gone with this call, so a second one finds nothing to submit."""
        plan = self._now.plan
        if plan is None or self._now.busy:
            return
        self._become(self._now.submitting())
        report = partial(self._desk.soon, lambda progress: self._become(self._now.progressed(progress)))
        action = partial(self._operations.submit, plan, report=report)
        self._work("promote", action, self._submitted, writes=True)

    def _submitted(self, submission: Submission) -> None:
        wizard = self._become(self._now.submitted(submission))
        self._drafts.drop(wizard.target.model, wizard.target.to_stage)

    @property
    def _now(self) -> Wizard:
        assert self.wizard, "there is no target yet"
        return self.wizard

    def _become(self, wizard: Wizard) -> Wizard:
        self.wizard = wizard
        self._desk.show(wizard)
        return wizard

    def _work(self, verb: str, action: Callable[[], T], then: Callable[[T], object], *, writes: bool = False) -> None:
        def done(result: T) -> None:
            then(result)

        self._desk.work(f"{verb} {self._model}", action, done, self._failed, writes=writes)

    def _failed(self, error: ConsoleError) -> None:
        self._become(self._now.failed(error))
