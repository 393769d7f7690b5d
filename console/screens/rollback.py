"""Rollback: one screen, one key, no ACK (SPEC §6)."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.types import CSSPathType
from textual.widgets import Button, ContentSwitcher, Input

from console.screens.rollback_page import CandidateRows, RollbackPage
from console.screens.submission import SubmissionPage
from console.screens.writing import WritingScreen
from ml.board import Board
from ml.errors import ConsoleError
from ml.promotion.values import RollbackPlan


class RollbackScreen(WritingScreen):
    """Shows the pre-armed rollback of a model; confirming commits and pushes it, once."""

    CHANGE = "The rollback"
    CSS_PATH: ClassVar[CSSPathType | None] = ["pushed.tcss", "rollback.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "confirm", "Roll back", id="rollback.confirm", tooltip="Commit and push this rollback now"),
    ]

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model
        self._prepared: RollbackPlan | None = None
        self._to: str | None = None
        self._proposed = ""

    @property
    def model_name(self) -> str:
        """The model whose rollback this is."""
        return self._model

    def body(self) -> ComposeResult:
        """The question, then the answer."""
        with ContentSwitcher(initial="question", id="pages"):
            yield RollbackPage(id="question")
            yield SubmissionPage(id="answer")

    def buttons(self) -> ComposeResult:
        """The one that writes, and one for after a conflict."""
        yield Button("Roll back", id="confirm", compact=True, disabled=True)
        yield Button("Prepare again", id="again", compact=True)

    def begin(self) -> None:
        """Ask for the default target; from then on the age of what is shown counts, and whether it still holds."""
        self.title_is(f"Roll back {self._model}")
        self._prepare(None)
        self.watch(self.console, "now", self._age, init=False)
        self.watch(self.console, "board", self._compare, init=False)

    def _prepare(self, to: str | None) -> None:
        self._prepared, self._to = None, to
        self.turn("question")
        self.query_one("#again").display = False
        self.query_one("#cancel", Button).label = "Cancel"
        self._arm(f"Verifying {to}." if to else "Fetching the prepared rollback.")
        action = partial(self.console.operations.rollback_plan, self._model, to)
        self.work(f"prepare a rollback of {self._model}", action, self._ready, self._not_ready)

    def _ready(self, prepared: RollbackPlan) -> None:
        self._prepared = prepared
        page = self.query_one(RollbackPage)
        page.show(prepared, self.console.clock.now())
        if page.reason.value == self._proposed:
            page.reason.value = self._proposed = prepared.reason
        self.query_one("#confirm").display = prepared.plan is not None
        self._arm("" if prepared.plan else f"NOTHING TO ROLL BACK. {prepared.why}")

    def _age(self, now: datetime | None) -> None:
        if self._prepared is not None and now is not None:
            self.query_one(RollbackPage).show_facts(self._prepared, now)

    def _compare(self, board: Board | None) -> None:
        """Prepare anew what was prepared on a registry that has moved since; its confirmation would be refused."""
        plan = self._prepared.plan if self._prepared is not None else None
        commit = board.registry.commit if board is not None else ""
        if plan is not None and commit and commit != plan.target.base_commit:
            self._prepare(self._to)

    def _not_ready(self, error: ConsoleError) -> None:
        self._arm("")
        self.complain(error)

    def _arm(self, notice: str) -> None:
        """Open the way on when there is something to confirm, and say what else is the matter."""
        self.query_one("#confirm", Button).disabled = not self._armed
        self.say(notice)
        self.refresh_bindings()

    @property
    def _armed(self) -> bool:
        reason = self.query_one(RollbackPage).reason.value.strip()
        return self._prepared is not None and self._prepared.plan is not None and bool(reason)

    # --- what the person does ----------------------------------------------------------------------------------------
    def on_candidate_rows_chosen(self, message: CandidateRows.Chosen) -> None:
        """Prepare another target, unless it is known to be bad."""
        candidate = message.candidate
        if self._prepared is None or candidate.artifact_id == self._prepared.to_artifact:
            return
        if candidate.verdict.opens:
            self._prepare(candidate.artifact_id)
        else:
            self.say(f"{candidate.artifact_id} is refused: {candidate.why}", loud=True)

    def on_input_changed(self, event: Input.Changed) -> None:
        """A rollback without a reason is not armed."""
        event.stop()
        if self._prepared and self._prepared.plan:
            self._arm("" if event.value.strip() else "Type a reason.")

    def pressed(self, button: str) -> None:
        """Confirm, or prepare again after a conflict."""
        if button == "again":
            self._prepare(None)
        else:
            self.action_confirm()

    def action_confirm(self) -> None:
        """Hand the prepared rollback over. It is gone with this call, so a second one finds nothing."""
        if not self._armed:
            return
        prepared, self._prepared = self._prepared, None
        assert prepared
        reason = self.query_one(RollbackPage).reason.value.strip()
        self._arm("")
        self.write(f"roll back {self._model}", partial(self.console.operations.rollback, prepared, reason))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The confirming key is dimmed while there is nothing to confirm."""
        if action == "confirm" and self.is_mounted:
            return True if self._armed and not self.hidden else None
        return super().check_action(action, parameters)
