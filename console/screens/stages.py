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
from widgets.glyphs import glyphs_of
from widgets.stage_pane import StagePane

if TYPE_CHECKING:
    from datetime import datetime

    from console.screens.stage_details import StageDetails
    from ml.board import KillView, ModelView


class StagesScreen(ViewScreen):
    """Three live panes, and the gate between them; below it, as soon as anything is judged, the details."""

    NAME = "stages"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "pane(-1)", "Stage left", show=False, id="pane.left", tooltip="The stage before"),
        Binding("right,l", "pane(1)", "Stage right", show=False, id="pane.right", tooltip="The stage after"),
    ]

    def body(self) -> ComposeResult:
        """Panes and gate line, which is all that the first frame shows."""
        with Horizontal(id="panes"):
            for stage in Stage:
                yield StagePane(stage)
        yield Static(id="gate", markup=False)

    def on_mount(self) -> None:
        """Follow the board."""
        self.follow("now", self._show_now)
        self.follow("checking", self._show_checking)
        self.follow("model", self._show_model)
        self.follow("kill", self._show_kill)
        self._stand_on(Stage.SHADOW)

    # --- showing -------------------------------------------------------------------------------------------------
    async def _show_checking(self, checking: bool) -> None:
        for pane in self.query(StagePane):
            pane.checking = checking
        self._show_gate(self.console.model)
        if not checking:
            from console.screens.stage_details import StageDetails  # noqa: PLC0415 not part of the first frame

            await self.query_one("#body").mount(StageDetails())
            self.focus_list()

    def _show_model(self, model: ModelView | None) -> None:
        for pane in self.query(StagePane):
            pane.model = model
        self._show_gate(model)

    def _show_kill(self, kill: KillView | None) -> None:
        from ml.board.judgement import stopped  # noqa: PLC0415 not part of the first frame

        for pane in self.query(StagePane):
            pane.killed = stopped(kill)

    def _show_now(self, now: datetime) -> None:
        for pane in self.query(StagePane):
            pane.now = now

    def _show_gate(self, model: ModelView | None) -> None:
        self.query_one("#gate", Static).update(self._gate_line(model), layout=False)

    def _gate_line(self, model: ModelView | None) -> Content:
        if self.console.checking:
            return Content.assemble(("checking …", "$quiet"))
        if self.console.board is not None and self.console.board.registry.problem:
            return Content.assemble(
                ("GATE ", "bold"), ("closed: registry or policy cannot be read safely", "$verdict-bad")
            )
        if model is None:
            return Content.assemble(("The registry holds no model yet: `mlconsole stage DIR --model NAME`.", "$quiet"))
        from widgets.gate_list import gate_summary  # noqa: PLC0415 not part of the first frame

        return gate_summary(model, glyphs_of(self.app))

    # --- intent --------------------------------------------------------------------------------------------------
    def on_stage_pane_chosen(self, event: StagePane.Chosen) -> None:
        """Another stage is meant."""
        event.stop()
        self._stand_on(event.stage)

    def action_pane(self, by: int) -> None:
        """Go to the stage before or after."""
        panes = list(self.query(StagePane))
        at = next((index for index, pane in enumerate(panes) if pane.has_class("-current")), 0)
        pane = panes[max(0, min(at + by, len(panes) - 1))]
        self.set_focus(pane)  # at once, not by a message: the next key may be the one that promotes what stands here
        self._stand_on(pane.stage)

    def _stand_on(self, stage: Stage) -> None:
        for pane in self.query(StagePane):
            pane.set_class(pane.stage is stage, "-current")

    @property
    def stage(self) -> Stage | None:
        """The stage whose pane has the focus."""
        return self.focused.stage if isinstance(self.focused, StagePane) else None

    @property
    def _details(self) -> StageDetails | None:
        from console.screens.stage_details import StageDetails  # noqa: PLC0415

        found = self.query(StageDetails)
        return found.first() if found else None

    def filtered(self, pattern: str) -> None:
        """Show only the models that match."""
        if self._details is not None:
            self._details.filtered(pattern)

    def focus_list(self) -> None:
        """The models where there are several, else the gauges."""
        if self._details is not None:
            self._details.focus_list()

    def chosen_text(self) -> str:
        """The artifact of the focused pane, else the chosen gauge with its query."""
        model = self.console.model
        if model is not None and self.stage is not None:
            return model.stage(self.stage).artifact_id or ""
        return self._details.chosen_text() if self._details is not None else ""
