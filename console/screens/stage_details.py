"""The lower part of the first view: closed gates, gauges, the chosen one in words, models, changes, the soak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from ml.board.judgement import gates_of, live_of
from ml.text import visible
from widgets.branch_lines import BranchLines
from widgets.gate_list import GateList, closed
from widgets.model_list import ModelList
from widgets.slo_gauge import SloGauges, reading_text
from widgets.soak_tape import SoakTapes
from widgets.watch_line import WatchLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from console.app import ConsoleApp
    from ml.board import Board, ModelView


class StageDetails(Vertical):
    """Follows the application by itself, from the moment that something is judged."""

    @property
    def console(self) -> ConsoleApp:
        """The application."""
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        """Gates that are closed, gauges, the chosen one in words, models and open gates, watch, open changes."""
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
        """Another model is looked at."""
        event.stop()
        self.console.select(event.name)

    def filtered(self, pattern: str) -> None:
        """Show only the models that match."""
        self.query_one(ModelList).pattern = pattern

    def focus_list(self) -> None:
        """The models where there are several, else the gauges."""
        self.query_one("#models" if self.has_class("-many") else "#gauges").focus()

    def chosen_text(self) -> str:
        """The chosen gauge with its query."""
        reading = self.query_one(SloGauges).chosen
        return reading_text(reading) if reading is not None else ""
