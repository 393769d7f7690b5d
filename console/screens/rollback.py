"""Rollback screen: one screen, one key, no ACK (contract §6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.types import CSSPathType
from textual.widgets import Button, ContentSwitcher, Input, Label

from console.screens.pushed import PushedScreen
from console.screens.writing import SubmissionPage, Write
from ml.board import Board
from ml.clock import span
from ml.errors import ConsoleError
from ml.promotion.values import Candidate, RollbackPlan
from ml.text import visible
from ml.units import amount
from ml.verdict import Check, worst
from widgets.drawing import MARKS, Glyphs, fit, glyphs_of
from widgets.facts import Fact, Facts
from widgets.quiet_widget import LineInput
from widgets.row_list import RowList

# Text of a rollback: from, to, reason, verification, other targets, and changes that could undo it.

_LABEL = 10


class CandidateRows(RowList):
    """Possible rollback targets, best first. Enter prepares the chosen one and commits nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Prepare", id="rollback.choose", key_display="Enter",
                tooltip="Prepare a rollback to this artifact"),
    ]  # fmt: skip

    candidates: reactive[tuple[Candidate, ...]] = reactive((), init=False)

    class Chosen(Message):
        """The operator chose another target."""

        def __init__(self, candidate: Candidate) -> None:
            super().__init__()
            self.candidate = candidate

    def watch_candidates(self, candidates: tuple[Candidate, ...]) -> None:
        """Repaint rows that changed."""
        self.count = len(candidates)
        self.renew()

    def row(self, index: int) -> Content:
        """Return verdict, artifact, time served, and the reason for the verdict."""
        candidate, glyphs = self.candidates[index], glyphs_of(self.app)
        mark = MARKS[candidate.verdict]
        served = f"served {span(candidate.tenure_s)}" if candidate.tenure_s is not None else ""
        return Content.assemble(
            self.lead(index),
            (mark.text(ascii_only=glyphs.ascii_only), mark.color),
            f" {fit(visible(candidate.artifact_id), 28, glyphs)} ",
            (f"{served:<14} ", "$quiet"),
            (visible(candidate.why), "$quiet" if candidate.verdict.opens else ""),
        )

    def action_choose(self) -> None:
        """Ask for another target."""
        if self.cursor < len(self.candidates):
            self.post_message(self.Chosen(self.candidates[self.cursor]))


class RollbackPage(VerticalScroll, can_focus=False):
    """Shows one prepared rollback, and takes its reason."""

    def compose(self) -> ComposeResult:
        """Facts, reason, targets and warnings. Facts for the decision stand above the scrolling part."""
        yield Facts(id="facts", label_width=_LABEL)
        with Horizontal(id="why"):
            yield Label("reason", classes="quiet")
            yield LineInput(id="reason", max_length=500)
        yield Label("Targets (Shift+Tab): Enter prepares another one", classes="quiet", id="where")
        yield CandidateRows()
        yield Facts(id="cautions", label_width=_LABEL)

    def show(self, prepared: RollbackPlan, now: datetime) -> None:
        """Show a prepared rollback."""
        self.show_facts(prepared, now)
        self.query_one("#why").display = prepared.plan is not None
        self.query_one("#where").display = bool(prepared.candidates)
        self.query_one(CandidateRows).candidates = prepared.candidates
        self.query_one("#cautions", Facts).facts = tuple(cautions(prepared))

    def show_facts(self, prepared: RollbackPlan, now: datetime) -> None:
        """Show the rollback's effect and its age."""
        self.query_one("#facts", Facts).facts = tuple(facts(prepared, glyphs_of(self.app), now))

    @property
    def reason(self) -> Input:
        """The field of the reason."""
        return self.query_one("#reason", Input)


def facts(prepared: RollbackPlan, glyphs: Glyphs, now: datetime) -> Iterator[Fact]:
    """Return from, to, reason, verification and its age, and breaches."""
    yield Fact.of("from", prepared.from_artifact or "nothing is active", "bold")
    if prepared.plan is not None:
        served = f"  served {span(prepared.tenure_s)} before" if prepared.tenure_s is not None else ""
        yield Fact("to", Content.assemble((visible(prepared.to_artifact), "bold"), (served, "$quiet")))
        yield Fact.of("why", prepared.why)
    if prepared.checks:
        ago = f"; prepared {span((now - prepared.built_at).total_seconds())} ago" if prepared.built_at else ""
        yield Fact("verified", Content.assemble(verification(prepared.checks, glyphs), (ago, "$quiet")))
    for reading in prepared.breaching:
        mark = MARKS[reading.verdict]
        value, limit = (amount(each, reading.unit, limit=reading.limit) for each in (reading.value, reading.limit))
        words = f" {visible(reading.name)} {value}, limit {limit}"
        yield Fact("breaching", Content.assemble((mark.text(ascii_only=glyphs.ascii_only), mark.color), words))


def verification(checks: tuple[Check, ...], glyphs: Glyphs) -> Content:
    """Return the worst verdict and the checks by name, with a reason for each closed check."""
    mark = MARKS[worst(check.verdict for check in checks)]
    closed = [check for check in checks if not check.verdict.opens]
    bad = [f"{visible(check.name)} {check.verdict}: {visible(check.why)}" for check in closed]
    names = "; ".join(bad) or ", ".join(visible(check.name) for check in checks)
    return Content.assemble((mark.text(ascii_only=glyphs.ascii_only), mark.color), " ", names)


def cautions(prepared: RollbackPlan) -> Iterator[Fact]:
    """Return warnings: condemned artifacts, branches that would undo the rollback, and the plan's own."""
    if prepared.condemned:
        yield Fact.of("condemned", ", ".join(prepared.condemned))
    yield from Fact.lines("would undo", prepared.reviving, "$verdict-unknown")
    origins = prepared.plan.origins if prepared.plan else ()
    yield from Fact.lines("pointer", tuple(f"{each.field} {each.why}" for each in origins))
    yield from Fact.lines("warning", prepared.plan.warnings if prepared.plan else (), "$verdict-unknown")


class RollbackScreen(PushedScreen):
    """Shows a model's prepared rollback. Confirming commits and pushes it once."""

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
        self._write = Write(self, "The rollback")

    @property
    def model_name(self) -> str:
        """The model to roll back."""
        return self._model

    def body(self) -> ComposeResult:
        """The prepared rollback, then its result."""
        with ContentSwitcher(initial="question", id="pages"):
            yield RollbackPage(id="question")
            yield SubmissionPage(id="answer")

    def buttons(self) -> ComposeResult:
        """Buttons: roll back, and prepare again after a conflict."""
        yield Button("Roll back", id="confirm", compact=True, disabled=True)
        yield Button("Prepare again", id="again", compact=True)

    def begin(self) -> None:
        """Ask for the default target. Afterwards, check every second whether the shown rollback is still valid."""
        self.title_is(f"Roll back {self._model}")
        self._prepare(None)
        self.watch(self.app, "now", self._age, init=False)
        self.watch(self.app, "board", self._compare, init=False)

    def _prepare(self, to: str | None) -> None:
        self._prepared, self._to = None, to
        self.query_one("#pages", ContentSwitcher).current = "question"
        self.query_one("#again").display = False
        self.query_one("#cancel", Button).label = "Cancel"
        self._arm(f"Verifying {to}." if to else "Fetching the prepared rollback.")
        session = self.console.session
        self.work(
            f"prepare a rollback of {self._model}",
            lambda: session.rollbacks.plan(self._model, to),
            self._ready,
            self._not_ready,
        )

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
        """Prepare again after the registry has changed. Confirming the old one would be refused."""
        plan = self._prepared.plan if self._prepared is not None else None
        commit = board.registry.commit if board is not None else ""
        if plan is not None and commit and commit != plan.target.base_commit:
            self._prepare(self._to)

    def _not_ready(self, error: ConsoleError) -> None:
        self._arm("")
        self.complain(error)

    def _arm(self, notice: str) -> None:
        """Enable the confirmation when there is something to confirm, and show any warning."""
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
        """Require a reason for a rollback."""
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
        """Submit the prepared rollback. It is taken away by this call, so a second call finds nothing."""
        if not self._armed:
            return
        prepared, self._prepared = self._prepared, None
        assert prepared
        reason = self.query_one(RollbackPage).reason.value.strip()
        self._arm("")
        session = self.console.session
        self._write.start(f"roll back {self._model}", lambda report: session.rollbacks.submit(prepared, reason, report))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim the confirming key while there is nothing to confirm."""
        if action == "confirm" and self.is_mounted:
            return True if self._armed and not self.hidden else None
        return super().check_action(action, parameters)

    @property
    def unfinished(self) -> str:
        """Return a sentence while the rollback is being written."""
        return self._write.unfinished

    @property
    def copyable(self) -> str:
        """Return the receipt's next command."""
        return self._write.next_command
