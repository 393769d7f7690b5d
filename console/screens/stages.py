"""The first view: what stands in the three stages of a model, its gauges, and what blocks the next promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from console.screens.view import ViewScreen
from ml.stage import Stage
from ml.text import visible
from widgets.branch_lines import BranchLines
from widgets.gate_list import GateList, gate_summary
from widgets.glyphs import glyphs_of
from widgets.model_list import ModelList
from widgets.slo_gauge import SloGauges, reading_text
from widgets.stage_pane import StagePane

if TYPE_CHECKING:
    from datetime import datetime

    from ml.board import Board, ModelView
    from ml.verdict import Reading


class StagesScreen(ViewScreen):
    """Three live panes, the gate between them, gauges, and the list of models where there are several."""

    NAME = "stages"
    CSS_PATH: ClassVar[list[str]] = ["view.tcss", "stages.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "pane(-1)", "Stage left", show=False, id="pane.left", tooltip="The stage before"),
        Binding("right,l", "pane(1)", "Stage right", show=False, id="pane.right", tooltip="The stage after"),
    ]

    def body(self) -> ComposeResult:
        """Panes, gate line, gauges, detail, gates and models."""
        with Horizontal(id="panes"):
            for stage in Stage:
                yield StagePane(stage)
        yield Static(id="gate", markup=False)
        yield SloGauges(id="gauges")
        yield Static(id="detail", markup=False)
        with Horizontal(id="lower"):
            yield ModelList(id="models")
            yield GateList(id="gates")
        yield BranchLines(most=1)

    def on_mount(self) -> None:
        """Follow the board."""
        super().on_mount()
        self.follow("now", self._show_now)
        self.follow("board", self._show_board)
        self.follow("models", self._show_models)
        self.follow("checking", self._show_checking)
        self.follow("model", self._show_model)
        self._stand_on(Stage.SHADOW)

    # --- showing -------------------------------------------------------------------------------------------------
    def _show_models(self, models: tuple[ModelView, ...]) -> None:
        self.set_class(len(models) > 1, "-many")
        self.query_one(ModelList).models = models

    def _show_checking(self, checking: bool) -> None:
        for pane in self.query(StagePane):
            pane.checking = checking
        self._show_gate(self.console.model)
        if self.focused is None and not checking:
            self.focus_list()

    def _show_model(self, model: ModelView | None) -> None:
        for pane in self.query(StagePane):
            pane.model = model
        self.query_one(SloGauges).readings = model.readings if model is not None else ()
        self.query_one(GateList).gates = model.gates if model is not None else ()
        self._show_gate(model)
        if model is not None:
            self.query_one(ModelList).choose(model.name)

    def _show_board(self, board: Board | None) -> None:
        self.query_one(BranchLines).branches = board.registry.branches if board is not None else ()

    def _show_now(self, now: datetime) -> None:
        for pane in self.query(StagePane):
            pane.now = now
        self.query_one(SloGauges).now = now
        self.query_one(BranchLines).now = now

    def _show_gate(self, model: ModelView | None) -> None:
        self.query_one("#gate", Static).update(self._gate_line(model))

    def _gate_line(self, model: ModelView | None) -> Content:
        if self.console.checking:
            return Content.assemble(("checking …", "$quiet"))
        if model is None:
            return Content.assemble(("The registry holds no model yet: `mlconsole stage DIR --model NAME`.", "$quiet"))
        return gate_summary(model, glyphs_of(self.app))

    def _show_detail(self, reading: Reading | None) -> None:
        words = Content("")
        if reading is not None:
            words = Content.assemble(visible(reading.why), "\n", (visible(reading.query), "$quiet"))
        self.query_one("#detail", Static).update(words)

    # --- intent --------------------------------------------------------------------------------------------------
    def on_slo_gauges_chosen(self, event: SloGauges.Chosen) -> None:
        """Explain the chosen gauge."""
        event.stop()
        self._show_detail(event.reading)

    def on_model_list_chosen(self, event: ModelList.Chosen) -> None:
        """Another model is looked at."""
        event.stop()
        self.console.select(event.name)

    def on_stage_pane_chosen(self, event: StagePane.Chosen) -> None:
        """Another stage is meant."""
        event.stop()
        self._stand_on(event.stage)

    def action_pane(self, by: int) -> None:
        """Go to the stage before or after."""
        panes = list(self.query(StagePane))
        at = next((index for index, pane in enumerate(panes) if pane.has_class("-current")), 0)
        panes[max(0, min(at + by, len(panes) - 1))].focus()

    def _stand_on(self, stage: Stage) -> None:
        for pane in self.query(StagePane):
            pane.set_class(pane.stage is stage, "-current")

    @property
    def stage(self) -> Stage | None:
        """The stage whose pane has the focus."""
        return self.focused.stage if isinstance(self.focused, StagePane) else None

    def filtered(self, pattern: str) -> None:
        """Show only the models that match."""
        self.query_one(ModelList).pattern = pattern

    def focus_list(self) -> None:
        """The models where there are several, else the gauges."""
        self.query_one("#models" if self.has_class("-many") else "#gauges").focus()

    def chosen_text(self) -> str:
        """The artifact of the focused pane, else the chosen gauge with its query."""
        model = self.console.model
        if model is not None and self.stage is not None:
            return model.stage(self.stage).artifact_id or ""
        reading = self.query_one(SloGauges).chosen
        return reading_text(reading) if reading is not None else ""
