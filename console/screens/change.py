"""Screens for two small changes: put an artifact into staging, and clear staging or shadow (contract §2, §5)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.types import CSSPathType
from textual.widgets import Button, ContentSwitcher, Input, Label

from console.screens.promote.pages import PlanPage, PlanScreen
from console.screens.writing import SubmissionPage, Write
from ml.errors import ConsoleError
from ml.ports import Progress
from ml.promotion.values import Plan
from ml.stage import Stage
from widgets.drawing import glyphs_of, progress_words
from widgets.facts import Fact, Facts
from widgets.quiet_widget import LineInput

ARTIFACTS = "artifacts/onnx/"
"""Default artifact folder, used when no stage of a model has one."""


class ChangeScreen(PlanScreen):
    """Asks for the change's inputs, shows its plan, and writes it once, after confirmation."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["pushed.tcss", "change.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "next", "Plan", id="change.next", tooltip="Show the plan; this writes nothing"),
    ]
    CHANGE: ClassVar[str]
    """Name of the change, at the beginning of a sentence."""
    CONFIRM: ClassVar[str]
    """Label of the button that writes."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model
        self._plan: Plan | None = None
        self._planning = False
        self._write = Write(self, self.CHANGE)

    @property
    def model_name(self) -> str:
        """The model to change."""
        return self._model

    @abstractmethod
    def fields(self) -> ComposeResult:
        """The input fields above the reason."""

    @abstractmethod
    def planner(self, reason: str) -> Callable[[], Plan] | None:
        """Return a function that makes the plan from the typed inputs; ``None`` while an input is missing."""

    # --- frame -------------------------------------------------------------------------------------------------------
    def body(self) -> ComposeResult:
        """The question, the plan, and the receipt."""
        with ContentSwitcher(initial="question", id="pages"):
            with VerticalScroll(id="question", can_focus=False):
                yield from self.fields()
                yield Label("Why? The reason goes into registry, commit and pull request.")
                yield LineInput(id="reason", max_length=500)
            yield PlanPage(id="plan")
            yield SubmissionPage(id="answer")

    def buttons(self) -> ComposeResult:
        """Buttons: show the plan, write the change, and plan again after a conflict."""
        yield Button("Show the plan", id="next", compact=True, disabled=True)
        yield Button(self.CONFIRM, id="confirm", compact=True)
        yield Button("Plan again", id="again", compact=True)

    def begin(self) -> None:
        """Ask for the inputs."""
        self._ask("Press Tab to reach the fields. Nothing is written until you confirm the plan.")

    def _ask(self, notice: str, *, loud: bool = False) -> None:
        self._plan, self._planning = None, False
        self._turn("question")
        self._offer("next")
        self.query_one("#cancel", Button).label = "Cancel"
        self._arm()
        self.say(notice, loud=loud)

    def _turn(self, page: str) -> None:
        self.query_one("#pages", ContentSwitcher).current = page

    def _offer(self, *shown: str) -> None:
        for button in ("next", "confirm", "again"):
            self.query_one(f"#{button}").display = button in shown

    def _arm(self) -> None:
        self.query_one("#next", Button).disabled = not self._ready
        self.refresh_bindings()

    @property
    def _ready(self) -> bool:
        return not self._planning and self._plan is None and self._planner() is not None

    def _planner(self) -> Callable[[], Plan] | None:
        reason = self.typed("reason")
        return self.planner(reason) if reason else None

    def typed(self, field: str) -> str:
        """Return a field's text, without blanks around it."""
        return self.query_one(f"#{field}", Input).value.strip()

    # --- the plan ----------------------------------------------------------------------------------------------------
    def action_next(self) -> None:
        """Make the plan from the typed inputs."""
        planner = self._planner()
        if planner is None or not self._ready:
            return
        self._planning = True
        self.query_one("#cancel").focus()
        self._arm()
        self.say("Making the plan.")
        self.work(f"plan for {self._model}", planner, self._planned, self._not_planned)

    def verifying(self, progress: Progress) -> None:
        """Report a verification's progress; called on the action's thread."""
        self.call_later(self._verified, progress)

    def _verified(self, progress: Progress) -> None:
        if self._planning:
            self.say(f"Verifying: {progress_words(progress)}")

    def _planned(self, plan: Plan) -> None:
        self._plan, self._planning = plan, False
        self.query_one(PlanPage).show(plan)
        self._turn("plan")
        self._offer("confirm")
        self._arm()
        self.say(f"{self.CONFIRM} writes one branch for review. Nothing is written yet.")

    def _not_planned(self, error: ConsoleError) -> None:
        self._ask(str(error), loud=True)

    def _confirm(self) -> None:
        """Submit the plan. The plan is taken away by this call, so a second call finds nothing."""
        plan, self._plan = self._plan, None
        if plan is not None:
            submitted, session = plan, self.console.session
            self._write.start(
                f"{plan.target.action} {self._model}", lambda report: session.changes.submit(submitted, report)
            )

    # --- what the person does ----------------------------------------------------------------------------------------
    def on_input_changed(self, event: Input.Changed) -> None:
        """Enable the plan button once every field is filled."""
        event.stop()
        self._arm()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter moves to the next field; in the last field it does nothing."""
        event.stop()
        if event.input.id != "reason":
            self.focus_next()

    def pressed(self, button: str) -> None:
        """Handle a button: show the plan, write it, or start again after a conflict."""
        if button == "confirm":
            self._confirm()
        elif button == "again":
            self._ask("")
            self.action_next()
        else:
            self.action_next()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the plan's keys only on the plan, and the key that makes the plan only before it."""
        page = self.query_one("#pages", ContentSwitcher).current if self.is_mounted else None
        if action == "next":
            return (True if self._ready else None) if page == "question" else False
        if action in ("tab", "page"):
            return page == "plan"
        return super().check_action(action, parameters)

    @property
    def unfinished(self) -> str:
        """Return a sentence while the change is being written."""
        return self._write.unfinished

    @property
    def copyable(self) -> str:
        """Return the receipt's next command."""
        return self._write.next_command


class WithdrawScreen(ChangeScreen):
    """Clears a model's staging or shadow. An active model is rolled back instead."""

    CHANGE = "The withdrawal"
    CONFIRM = "Withdraw"

    def __init__(self, model: str, stage: Stage) -> None:
        super().__init__(model)
        self._stage = stage

    def fields(self) -> ComposeResult:
        """Return no input: the screen shows the stage's current artifact."""
        yield Facts(id="meaning", label_width=10)

    def begin(self) -> None:
        """Show the artifact that is about to be cleared."""
        self.title_is(f"Withdraw {self._model} from {self._stage}")
        model = self.console.model
        artifact = model.stage(self._stage).artifact_id if model is not None else None
        self.query_one("#meaning", Facts).facts = (
            Fact.of("artifact", artifact or "none"),
            Fact.of("from", f"{self._stage}, which will be empty once this has landed; active does not change"),
        )
        super().begin()

    def planner(self, reason: str) -> Callable[[], Plan]:
        """Return the planner for the stage that had the focus when the screen opened."""
        session = self.console.session
        return lambda: session.changes.plan_withdraw(self._model, self._stage, reason)


class StageScreen(ChangeScreen):
    """Puts a verified artifact directory from the working tree into a model's staging."""

    CHANGE = "The staging"
    CONFIRM = "Stage"

    def __init__(self, model: str, near: str = "") -> None:
        super().__init__(model)
        self._near = near.rpartition("/")[0] + "/" if "/" in near else ARTIFACTS

    def fields(self) -> ComposeResult:
        """Return the fields for model and directory."""
        yield Label("Which model gets the artifact in staging?")
        yield LineInput(self._model, id="model", max_length=80)
        yield Label("Which artifact directory of this clone? It is verified first.")
        yield LineInput(self._near, id="directory", max_length=300)

    def begin(self) -> None:
        """Ask for model and directory."""
        self.title_is(f"Stage an artifact {glyphs_of(self.app).arrow} staging")
        super().begin()

    def planner(self, reason: str) -> Callable[[], Plan] | None:
        """Return the planner for the typed model and directory."""
        directory, model = self.typed("directory"), self.typed("model")
        if not model or not directory or directory.endswith("/"):
            return None
        session = self.console.session
        return lambda: session.changes.plan_stage(directory, model, reason, self.verifying)
