"""Controller of one promotion, from its frozen target to its receipt: it makes the wizard's calls (contract §5)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from console.screens.promote.steps import Step, Wizard, empty_draft
from ml.errors import ConsoleError
from ml.promotion.values import Checklist, Submission, Target
from ml.records.drafts import Draft, Drafts
from ml.session import Session
from ml.stage import Stage

# Keeper of drafts: writes off the event loop, one at a time, and always the newest last.

Start = Callable[[str, Callable[[], None], Callable[[None], None], Callable[[ConsoleError], None]], None]
"""Runs an action on another thread, then continues here, like `console.screens.pushed.PushedScreen.work`."""


class DraftKeeper:
    """Writes drafts as fast as the disk allows. Of drafts that arrive during a write, only the newest is kept.

    Args:
        drafts: where they are kept; ``None`` keeps nothing.
        start: runs one write off the event loop.
        complain: told when a draft cannot be kept.
    """

    def __init__(self, drafts: Drafts | None, start: Start, complain: Callable[[ConsoleError], None]) -> None:
        self._drafts = drafts
        self._start = start
        self._complain = complain
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        self._busy = False

    def keep(self, draft: Draft) -> None:
        """Keep a draft. An empty draft is deleted instead."""
        if self._drafts and (draft.reason or draft.finding or draft.waivers):
            self._soon(partial(self._drafts.keep, draft))
        else:
            self.drop(draft.model, draft.to_stage)

    def drop(self, model: str, to_stage: Stage) -> None:
        """Delete a draft."""
        if self._drafts:
            self._soon(partial(self._drafts.drop, model, to_stage))

    def find(self, model: str, to_stage: Stage, model_sha256: str) -> Draft | None:
        """Return the draft of this artifact and step, if there is one. It reads a file, so call it on a thread."""
        return self._drafts.find(model, to_stage, model_sha256) if self._drafts else None

    def _soon(self, write: Callable[[], None]) -> None:
        with self._lock:
            self._next, busy = write, self._busy
            self._busy = True
        if not busy:
            self._start("keep a draft", self._write_all, lambda _: None, self._complain)

    def _write_all(self) -> None:
        """Write until nothing is left. It runs on a thread, so a screen that closes meanwhile loses nothing."""
        while True:
            with self._lock:
                write, self._next = self._next, None
                if write is None:
                    self._busy = False
                    return
            try:
                write()
            except ConsoleError:
                with self._lock:
                    self._busy = False
                raise


T = TypeVar("T")


class Owner(Protocol):
    """The owner of a promotion: a screen, or a test."""

    def work(
        self,
        name: str,
        action: Callable[[], T],
        then: Callable[[T], None],
        failed: Callable[[ConsoleError], None],
        *,
        writes: bool = False,
    ) -> None:
        """Run a blocking action on another thread, then continue here."""
        ...

    def soon(self, callback: Callable[..., object], *args: object) -> None:
        """Call a function here. Callable from any thread."""
        ...

    def show(self, wizard: Wizard) -> None:
        """Show a changed state."""
        ...

    def printed(self, line: str) -> None:
        """Show a line that the unit tests printed."""
        ...

    def complain(self, error: ConsoleError) -> None:
        """Show an error that left the promotion without a target."""
        ...


class Promotion:
    """Runs the session's calls for one wizard's state, at most one at a time."""

    def __init__(self, session: Session, owner: Owner, model: str, drafts: DraftKeeper) -> None:
        self._session = session
        self._owner = owner
        self._model = model
        self._drafts = drafts
        self.wizard: Wizard | None = None

    def open(self, to_stage: Stage) -> None:
        """Freeze the target, restore its draft, and judge the gates."""

        def freeze() -> tuple[Target, Draft | None]:
            target = self._session.changes.target(self._model, to_stage)
            return target, self._drafts.find(target.model, target.to_stage, target.model_sha256)

        def frozen(frozen_target: tuple[Target, Draft | None]) -> None:
            target, draft = frozen_target
            self.wizard = Wizard(target=target, draft=draft or empty_draft(target), resumed=draft is not None)
            self.judge()

        self._owner.work(f"look at {self._model}", freeze, frozen, self._owner.complain)

    def start_again(self) -> None:
        """Freeze a new target after a conflict. Only the reason is kept; nothing is replayed."""
        before = self._now

        def frozen(target: Target) -> None:
            self.wizard = Wizard(target=target, draft=replace(empty_draft(target), reason=before.draft.reason))
            self._drafts.keep(self.wizard.draft)
            self.judge()

        self._owner.work(
            f"look at {self._model}",
            lambda: self._session.changes.target(self._model, before.target.to_stage),
            frozen,
            self._owner.complain,
        )

    def judge(self) -> None:
        """Judge every gate again, with the answers typed so far."""
        wizard = self._become(self._now.judging())
        session, target, draft, become = self._session, wizard.target, wizard.draft, self._become

        def judged() -> Checklist:
            return session.checklists.judge(
                target,
                finding=draft.finding,
                waivers=dict(draft.waivers),
                report=partial(self._owner.soon, lambda progress: become(self._now.with_progress(progress))),
                on_gate=partial(self._owner.soon, lambda gate: become(self._now.with_gate(gate))),
                on_output=partial(self._owner.soon, self._owner.printed),
            )

        self._work("judge", judged, partial(self._judged, draft))

    def _judged(self, draft: Draft, checklist: Checklist) -> None:
        wizard = self._become(self._now.with_checklist(checklist, draft))
        if wizard.step is Step.PLAN:
            self._plan()

    def waive(self, gate: str, reason: str) -> None:
        """Waive a gate. An empty reason takes the waiver back."""
        self._drafts.keep(self._become(self._now.waived(gate, reason)).draft)

    def typed(self, reason: str, finding: str) -> None:
        """Keep the typed text on every keystroke."""
        self._drafts.keep(self._become(self._now.typed(reason, finding)).draft)

    def onwards(self) -> None:
        """Go on from the checklist or the reason page when nothing blocks it.

        After the reason page, every gate must be judged by the typed answers, so that the ACK covers that evidence.
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
        """Take the typed phrase, then judge every gate once more."""
        if self._now.step is Step.ACK and not self._now.obstacle:
            self._become(self._now.onwards())
            self._plan(phrase)

    def backwards(self) -> None:
        """Go back one page. This discards the plan and the ACK."""
        if not self._now.busy:
            self._become(self._now.backwards())

    def _plan(self, ack: str = "") -> None:
        wizard = self._become(self._now.planning())
        assert wizard.checklist, "no page leads to the plan without it"
        checklist, reason = wizard.checklist, wizard.draft.reason
        self._work(
            "plan",
            lambda: self._session.changes.plan(checklist, reason, ack=ack),
            lambda plan: self._become(self._now.planned(plan)),
        )

    def submit(self) -> None:
        """Submit the plan. The plan is taken away by this call, so a second call finds nothing to submit."""
        plan = self._now.plan
        if plan is None or self._now.busy:
            return
        self._become(self._now.submitting())
        report = partial(self._owner.soon, lambda progress: self._become(self._now.progressed(progress)))
        self._work("promote", lambda: self._session.changes.submit(plan, report), self._submitted, writes=True)

    def _submitted(self, submission: Submission) -> None:
        wizard = self._become(self._now.submitted(submission))
        self._drafts.drop(wizard.target.model, wizard.target.to_stage)

    @property
    def _now(self) -> Wizard:
        assert self.wizard, "there is no target yet"
        return self.wizard

    def _become(self, wizard: Wizard) -> Wizard:
        self.wizard = wizard
        self._owner.show(wizard)
        return wizard

    def _work(self, verb: str, action: Callable[[], T], then: Callable[[T], object], *, writes: bool = False) -> None:
        def done(result: T) -> None:
            then(result)

        self._owner.work(f"{verb} {self._model}", action, done, self._failed, writes=writes)

    def _failed(self, error: ConsoleError) -> None:
        self._become(self._now.failed(error))
