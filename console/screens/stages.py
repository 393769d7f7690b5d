"""Stages view: the artifacts in a model's three stages, its gauges, and the gates that block the next promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from console.screens.view import ViewScreen
from ml.judgement import gates_of, live_of
from ml.stage import Stage
from ml.text import visible
from widgets.banners import WatchLine
from widgets.checklist import GateList, closed
from widgets.drawing import glyphs_of
from widgets.event_list import BranchLines
from widgets.model_list import ModelList
from widgets.slo_gauge import SloGauges, reading_text
from widgets.soak_tape import SoakTapes
from widgets.stage_pane import StagePane

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from console.protocol import Console
    from ml.board import Board, KillView, ModelView


class StagesScreen(ViewScreen):
    """Three live panes with the gate line between them. Details follow below once anything is judged."""

    NAME = "stages"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "pane(-1)", "Stage left", show=False, id="pane.left", tooltip="The stage before"),
        Binding("right,l", "pane(1)", "Stage right", show=False, id="pane.right", tooltip="The stage after"),
    ]

    def body(self) -> ComposeResult:
        """Panes and gate line: the first frame shows only these."""
        with Horizontal(id="panes"):
            for stage in Stage:
                yield StagePane(stage)
        yield Static(id="gate", markup=False)

    def on_mount(self) -> None:
        """Follow the board."""
        self.follow("now", self._show_now)
        self.follow("checking", self._show_checking)
        self.follow("model", self._show_model)
        self.follow("kill", self._show_stopped)
        self._stand_on(Stage.SHADOW)

    # --- updates -----------------------------------------------------------------------------------------------------
    async def _show_checking(self, checking: bool) -> None:
        for pane in self.query(StagePane):
            pane.checking = checking
        self._show_gate(self.console.model)
        if not checking:
            await self.query_one("#body").mount(StageDetails())
            self.focus_list()

    def _show_model(self, model: ModelView | None) -> None:
        for pane in self.query(StagePane):
            pane.model = model
        self._show_gate(model)

    def _show_stopped(self, kill: KillView | None) -> None:
        from ml.judgement import stopped  # noqa: PLC0415 not part of the first frame

        for pane in self.query(StagePane):
            pane.killed = stopped(kill)

    def _show_now(self, now: datetime) -> None:
        for pane in self.query(StagePane):
            pane.now = now

    def _show_gate(self, model: ModelView | None) -> None:
        self.query_one("#gate", Static).update(self._gate_line(model), layout=False)

    def on_resize(self) -> None:
        """Leave out more or less of the gate line."""
        if not self.console.checking:
            self.call_after_refresh(lambda: self._show_gate(self.console.model))

    def _gate_line(self, model: ModelView | None) -> Content:
        if self.console.checking:
            return Content.assemble(("checking …", "$quiet"))
        if self.console.board is not None and self.console.board.registry.problem:
            return Content.assemble(
                ("GATE ", "bold"), ("closed: registry or policy cannot be read safely", "$verdict-bad")
            )
        if model is None:
            return Content.assemble(("The registry holds no model yet: `mlconsole stage DIR --model NAME`.", "$quiet"))
        from widgets.checklist import gate_summary  # noqa: PLC0415 not part of the first frame

        return gate_summary(model, glyphs_of(self.app), self.query_one("#gate").size.width or self.size.width)

    # --- navigation --------------------------------------------------------------------------------------------------
    def on_stage_pane_chosen(self, event: StagePane.Chosen) -> None:
        """Note the stage in focus."""
        event.stop()
        self._stand_on(event.stage)

    def action_pane(self, by: int) -> None:
        """Move to the previous or next stage."""
        panes = list(self.query(StagePane))
        at = next((index for index, pane in enumerate(panes) if pane.has_class("-current")), 0)
        pane = panes[max(0, min(at + by, len(panes) - 1))]
        self.set_focus(pane)  # Set it now, not by a message: the next key may be the one that promotes this stage.
        self._stand_on(pane.stage)

    def _stand_on(self, stage: Stage) -> None:
        for pane in self.query(StagePane):
            pane.set_class(pane.stage is stage, "-current")

    @property
    def stage(self) -> Stage | None:
        """The stage in focus."""
        return self.focused.stage if isinstance(self.focused, StagePane) else None

    @property
    def _details(self) -> StageDetails | None:

        details = self.query(StageDetails)
        return details.first() if details else None

    def filtered(self, pattern: str) -> None:
        """Show only the models that match."""
        if self._details is not None:
            self._details.filtered(pattern)

    def focus_list(self) -> None:
        """Focus the models when there are several, else the gauges."""
        if self._details is not None:
            self._details.focus_list()

    def chosen_text(self) -> str:
        """Return the artifact of the pane in focus, else the chosen gauge with its query."""
        model = self.console.model
        if model is not None and self.stage is not None:
            return model.stage(self.stage).artifact_id or ""
        return self._details.chosen_text() if self._details is not None else ""


# Details below the panes: closed gates, gauges, the chosen gauge in words, models, open changes, the soak.


class StageDetails(Vertical):
    """Details that follow the application's variables. Mounted once something is judged."""

    @property
    def console(self) -> Console:
        """The application."""
        return cast("Console", self.app)

    def compose(self) -> ComposeResult:
        """Closed gates, gauges, the chosen gauge in words, models and open gates, watch, and open changes."""
        yield GateList(id="closed")
        yield SloGauges(id="gauges")
        yield Static(id="detail", markup=False)
        with Horizontal(id="lower"):
            yield ModelList(id="models")
            yield GateList(id="gates")
        yield SoakTapes(id="tapes")
        yield WatchLine()
        yield BranchLines(most=1)

    def on_mount(self) -> None:
        """Follow the board."""
        shown: dict[str, Callable[[Any], None]] = {
            "now": self._show_now,
            "board": self._show_board,
            "models": self._show_models,
            "model": self._show_model,
        }
        for name, show in shown.items():
            self.watch(self.app, name, show)

    def _show_now(self, now: datetime) -> None:
        self.query_one(SloGauges).now = now
        self.query_one(BranchLines).now = now
        self.query_one(WatchLine).now = now

    def _show_board(self, board: Board | None) -> None:
        self.query_one(BranchLines).branches = board.registry.branches if board is not None else ()
        self.query_one(WatchLine).watches = board.watches if board is not None else ()

    def _show_models(self, models: tuple[ModelView, ...]) -> None:
        self.set_class(len(models) > 1, "-many")
        self.query_one(ModelList).models = models
        unproven = frozenset(model.name for model in models if not live_of(model).verdict.opens)
        self.query_one(WatchLine).unproven = unproven

    def _show_model(self, model: ModelView | None) -> None:
        gates = gates_of(model) if model is not None else ()
        stopping = closed(gates)
        self.query_one("#closed", GateList).gates = stopping
        self.query_one("#gates", GateList).gates = tuple(gate for gate in gates if gate not in stopping)
        gauges = self.query_one(SloGauges)
        gauges.gates = gates
        gauges.readings = model.readings if model is not None else ()
        self.query_one(SoakTapes).report = model.soak if model is not None else None
        if model is not None:
            self.query_one(ModelList).choose(model.name)

    def on_slo_gauges_chosen(self, event: SloGauges.Chosen) -> None:
        """Explain the chosen gauge."""
        event.stop()
        words = Content("")
        if event.reading is not None:
            words = Content.assemble(visible(event.reading.why), "\n", (visible(event.reading.query), "$quiet"))
        self.query_one("#detail", Static).update(words, layout=False)

    def on_model_list_chosen(self, event: ModelList.Chosen) -> None:
        """Show the chosen model."""
        event.stop()
        self.console.select(event.name)

    def filtered(self, pattern: str) -> None:
        """Show only the models that match."""
        self.query_one(ModelList).pattern = pattern

    def focus_list(self) -> None:
        """Focus the models when there are several, else the gauges."""
        self.query_one("#models" if self.has_class("-many") else "#gauges").focus()

    def chosen_text(self) -> str:
        """Return the chosen gauge with its query."""
        reading = self.query_one(SloGauges).chosen
        return reading_text(reading) if reading is not None else ""
