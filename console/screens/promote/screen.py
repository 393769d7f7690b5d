"""Promotion wizard: one model, one step, one frozen target, five pages (contract §5)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.types import CSSPathType
from textual.widgets import Button, ContentSwitcher, Input, Static

from console.screens.open_change import OpenChangeScreen
from console.screens.promote.controller import DraftKeeper, Promotion
from console.screens.promote.pages import (
    AckPage,
    ChecklistPage,
    PlanPage,
    PlanScreen,
    ReasonPage,
    SameStepPage,
    StepPage,
)
from console.screens.promote.steps import Step, Wizard, possible_steps
from console.screens.review import ReviewScreen
from console.screens.writing import SubmissionPage
from console.status import next_command
from ml.errors import ConsoleError
from ml.promotion.rungs import Ladder
from ml.promotion.values import Target
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Gate
from widgets.ack_input import AckInput
from widgets.checklist import GateRows
from widgets.drawing import glyphs_of
from widgets.quiet_widget import LineInput

# Dialog for the reason of one waiver.


class WaiveScreen(ModalScreen[str | None]):
    """Closes with the typed reason, or with ``None`` when the gate is not waived."""

    AUTO_FOCUS = "#cancel"
    CSS_PATH = "waive.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="waive.leave", tooltip="Leave the gate as it is"),
    ]

    def __init__(self, gate: Gate, reason: str = "") -> None:
        """Ask about a gate. ``reason`` is the earlier reason; an empty field takes the waiver back."""
        super().__init__()
        self._gate = gate
        self._reason = reason

    def compose(self) -> ComposeResult:
        """The gate, and the field for the reason."""
        with Vertical(id="dialog", classes="box") as box:
            box.border_title = f"Waive {visible(self._gate.name)}"
            yield Static(f"{self._gate.verdict}: {visible(self._gate.why)}", markup=False)
            yield Static(
                "The waiver, your name and this reason go into the registry, the evidence and the pull request.",
                classes="quiet",
            )
            yield LineInput(self._reason, id="why", placeholder="Why may this gate stay closed?", max_length=500)
            with Horizontal(id="choices"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Waive", id="waive", compact=True, disabled=not self._reason)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Require a reason for a waiver."""
        event.stop()
        waive = self.query_one("#waive", Button)
        waive.disabled = not event.value.strip() and not self._reason
        waive.label = "Take back" if self._reason and not event.value.strip() else "Waive"

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Close with the reason, or without a waiver."""
        event.stop()
        self.dismiss(self.query_one(Input).value.strip() if event.button.id == "waive" else None)

    def action_leave(self) -> None:
        """Close without a waiver."""
        self.dismiss(None)


_PAGES = {
    Step.CHECKLIST: ("checklist-page", "GateRows"),
    Step.REASON: ("reason-page", "#reason"),
    Step.ACK: ("ack-page", "#cancel"),
    Step.PLAN: ("plan-page", "#cancel"),
    Step.SUBMIT: ("submission-page", "#outcome"),
}
"""The page of each step, and its first focus. A held Enter must never find a confirming button there."""


class PromoteScreen(PlanScreen):
    """Promotes one model by one step. The target is frozen when the screen opens; later polls do not change it.

    Args:
        model: the model's name in the registry.
        to_stage: where to; ``None`` offers what the board shows to be possible.
    """

    CSS_PATH: ClassVar[CSSPathType | None] = ["../pushed.tcss", "promote.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "next", "Next", id="promote.next", tooltip="Go to the next page; this never submits"),
        Binding("f4", "charts", "Charts", id="promote.charts", tooltip="Charts of the 24 h for the review"),
        Binding("f5", "rejudge", "Judge again", id="promote.rejudge", tooltip="Judge every gate again"),
    ]

    def __init__(self, model: str, to_stage: Stage | None) -> None:
        super().__init__()
        self._model = model
        self._wanted = to_stage
        self._shown: Wizard | None = None
        self._promotion: Promotion | None = None

    # --- frame -------------------------------------------------------------------------------------------------------
    @property
    def model_name(self) -> str:
        """The model to promote."""
        return self._model

    def body(self) -> ComposeResult:
        """One page at a time, below the line of steps."""
        yield Static(id="steps", markup=False)
        with ContentSwitcher(initial="checklist-page", id="pages"):
            yield StepPage(id="step-page")
            yield SameStepPage(id="same-step-page")
            yield ChecklistPage(id="checklist-page")
            yield ReasonPage(id="reason-page")
            yield AckPage(id="ack-page")
            yield PlanPage(id="plan-page")
            yield SubmissionPage(id="submission-page")

    def buttons(self) -> ComposeResult:
        """Next, and behind it Back: the first Tab must not lead to a button with which Enter discards a typed ACK."""
        yield Button("Next", id="next", compact=True, disabled=True)
        yield Button("Back", id="back", compact=True, disabled=True)

    def begin(self) -> None:
        """Freeze the target, or ask for the step when several are possible."""
        drafts = DraftKeeper(self.console.drafts, self.work, self.complain)
        self._promotion = Promotion(self.console.session, self, self._model, drafts)
        self.title_is(f"Promote {self._model}")
        board = self.console.board
        possible = possible_steps(board.model(self._model) if board else None)
        if self._wanted is None and len(possible) > 1:
            self.query_one(StepPage).offer(possible)
            self._turn("step-page", "#cancel")
        else:
            self._look_around(self._wanted or (possible[0][0] if possible else Stage.SHADOW))

    def _look_around(self, to_stage: Stage) -> None:
        """Look for an open promotion of the same step before anything is judged. What is known here is enough."""
        self._turn(*_PAGES[Step.CHECKLIST])
        self.say("Looking for an open promotion of the same step.")
        session, freeze = self.console.session, partial(self.promotion.open, to_stage)

        def found(same: tuple[Ladder, ...]) -> None:
            if not same:
                self._freeze(freeze)
                return
            self.query_one(SameStepPage).show(same, to_stage, self.console.clock.now())
            self._turn("same-step-page", "#cancel")
            self.say("Nothing is judged yet. Escape leaves everything as it is.")

        def unknown(error: ConsoleError) -> None:
            self._freeze(freeze)  # the target is read from the same repository, and reports what is wrong there

        same_step = f"look for another promotion of {self._model}"
        self.work(same_step, lambda: session.ladders.same_step(self._model, to_stage, fetch=False), found, unknown)

    def _freeze(self, freeze: Callable[[], None]) -> None:
        self._shown = None
        self._turn(*_PAGES[Step.CHECKLIST])
        self.say("Freezing the target: artifact, digest and base commit.")
        freeze()

    def _turn(self, page: str, focus: str) -> None:
        self.query_one("#pages", ContentSwitcher).current = page
        self.query_one(focus).focus()

    @property
    def promotion(self) -> Promotion:
        """The promotion, available once the screen is mounted."""
        assert self._promotion, "the screen is not mounted"
        return self._promotion

    # --- updates from the promotion ----------------------------------------------------------------------------------
    def soon(self, callback: Callable[..., object], *args: object) -> None:
        """Call a function on the event loop. Callable from any thread."""
        self.call_later(callback, *args)

    def printed(self, line: str) -> None:
        """Show a line that the unit tests printed."""
        self.query_one(ChecklistPage).printed(line)

    def show(self, wizard: Wizard) -> None:
        """Show a state. A page is filled and gets the focus when it is entered."""
        before, self._shown = self._shown, wizard
        if before is None:
            self._introduce(wizard.target)
            self.query_one(ReasonPage).open(wizard.draft, wizard.target.to_stage)
        if before is None or before.step is not wizard.step:
            self._turn(*_PAGES[wizard.step])
        if wizard.step is Step.ACK and wizard.checklist and not _asks_already(before):
            board = self.console.board
            self.query_one(AckPage).ask(wizard.target, wizard.checklist, board.environment if board else "")
        self.query_one(ChecklistPage).show(wizard.shown_gates)
        if wizard.judged:
            self.query_one(ReasonPage).odd(wizard.judged.checklist.oddities)
        if wizard.plan and (before is None or before.plan is not wizard.plan):
            self.query_one(PlanPage).show(wizard.plan)
        if wizard.step is Step.SUBMIT:
            self.query_one(SubmissionPage).show(wizard.progress, wizard.submission, wizard.failure)
        self._show_frame(wizard)

    def _introduce(self, target: Target) -> None:
        arrow = glyphs_of(self.app).arrow
        facts = (
            target.artifact_id,
            f"sha256 {target.model_sha256[:10]}",
            f"base {target.base_commit[:7]}",
            f"frozen {target.opened_at:%H:%M:%SZ}",
        )
        self.title_is(f"Promote {target.model}  {target.from_stage or ''} {arrow} {target.to_stage}", *facts)

    def _show_frame(self, wizard: Wizard) -> None:
        steps = self.query_one("#steps", Static)
        steps.update(_step_line(wizard, glyphs_of(self.app).pointer))
        steps.display = True
        self.say(wizard.trouble or wizard.obstacle or wizard.hint, loud=bool(wizard.trouble) or bool(wizard.blocking))
        over = wizard.step is Step.SUBMIT
        onwards, back = self.query_one("#next", Button), self.query_one("#back", Button)
        onwards.label = wizard.way_on or "Next"
        onwards.display = bool(wizard.way_on)
        onwards.disabled = bool(wizard.obstacle) or (wizard.step is Step.ACK and not self.query_one(AckInput).matches)
        back.display = not over
        back.disabled = bool(wizard.busy) or wizard.step is Step.CHECKLIST
        self.query_one("#cancel", Button).label = "Close" if over else "Cancel"
        self.refresh_bindings()

    # --- what the person does ----------------------------------------------------------------------------------------
    def on_step_page_chosen(self, message: StepPage.Chosen) -> None:
        """Take the chosen step. It does not change afterwards."""
        self._look_around(message.to_stage)

    def on_same_step_page_answered(self, message: SameStepPage.Answered) -> None:
        """Open the change that is open already, or promote once more, knowingly."""
        if message.branch:
            self.app.switch_screen(OpenChangeScreen(message.branch))
        else:
            self._freeze(partial(self.promotion.open, message.to_stage))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Keep the typed text on every keystroke."""
        event.stop()
        if self._shown and self._shown.step is Step.REASON:
            self.promotion.typed(*self.query_one(ReasonPage).typed())

    def on_ack_input_changed(self, message: AckInput.Changed) -> None:
        """Enable or disable the next button as the phrase changes."""
        if self._shown:
            self._show_frame(self._shown)

    def on_ack_input_confirmed(self, message: AckInput.Confirmed) -> None:
        """Take the confirmed phrase."""
        self.promotion.acknowledge(message.phrase)

    def on_gate_rows_waiver_asked(self, message: GateRows.WaiverAsked) -> None:
        """Ask for the waiver's reason, or explain why the gate cannot be waived."""
        gate = message.gate
        if self._shown is None or self._shown.busy:
            return
        pending = dict(self._shown.draft.waivers).get(gate.name, "")
        if not gate.waivable:
            self.say(f"{gate.name} can never be waived.", loud=True)
        elif gate.verdict.opens and not pending:
            self.say(f"{gate.name} is open; there is nothing to waive.")
        else:
            self.app.push_screen(WaiveScreen(gate, pending), partial(self._waive, gate.name))

    def _waive(self, gate: str, reason: str | None) -> None:
        if reason is not None:
            self.promotion.waive(gate, reason)

    def pressed(self, button: str) -> None:
        """Handle Back and Next. Only the button labeled Submit submits."""
        if button == "back":
            self.promotion.backwards()
        elif self._shown and self._shown.conflicted:
            self._freeze(self.promotion.start_again)
        elif self._shown and self._shown.step is Step.ACK:
            self.promotion.acknowledge(self.query_one(AckInput).typed)
        elif self._shown and self._shown.step is Step.PLAN:
            self.promotion.submit()
        else:
            self.action_next()

    def action_next(self) -> None:
        """Go on from the checklist or the reason page."""
        if self._shown:
            self.promotion.onwards()

    def action_rejudge(self) -> None:
        """Judge all gates again."""
        if self._shown and not self._shown.busy:
            self.promotion.judge()

    def action_charts(self) -> None:
        """Show the charts that the reviewer has to look at."""
        self.app.push_screen(ReviewScreen(self._model))

    @property
    def unfinished(self) -> str:
        """Return a sentence while the change is being written."""
        writing = self._shown is not None and self._shown.step is Step.SUBMIT and bool(self._shown.busy)
        return "Writing the change. Press Escape when it has finished." if writing else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only the keys that work on this page. The next key is dimmed while something blocks the page."""
        shown = self._shown
        step = shown.step if shown else None
        if action == "next":
            offered = step in (Step.CHECKLIST, Step.REASON)
            return None if offered and shown and shown.obstacle else offered
        if action == "rejudge":
            return step is Step.CHECKLIST
        if action == "charts":
            return step in (Step.CHECKLIST, Step.REASON) and bool(shown and shown.target.to_stage is Stage.ACTIVE)
        if action in ("tab", "page"):
            return step is Step.PLAN
        return super().check_action(action, parameters)

    @property
    def copyable(self) -> str:
        """Return the receipt's next command."""
        return next_command(self._shown.submission) if self._shown and self._shown.submission else ""


def _asks_already(wizard: Wizard | None) -> bool:
    """Return True when the ACK page already asks for this phrase; asking again would clear the typed text."""
    return wizard is not None and wizard.step is Step.ACK and wizard.checklist is not None


def _step_line(wizard: Wizard, pointer: str) -> Content:
    """Return all steps in order, with the current one in brackets so that it shows without color."""
    names = [
        (f"[{step.value}]", "bold") if step is wizard.step else (f" {step.value} ", "$quiet") for step in wizard.steps
    ]
    return Content(f" {pointer} ").join([Content.styled(*name) for name in names])
