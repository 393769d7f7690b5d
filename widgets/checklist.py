"""Gates of one promotion as a list: verdict, name, value, limit and reason, and the chosen gate in full."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive, var
from textual.widgets import Static

from ml.board import ModelView
from ml.clock import hours
from ml.judgement import gates_of
from ml.text import visible
from ml.units import amount
from ml.verdict import Gate, Verdict, worst
from widgets.drawing import MARKS, WORD_WIDTH, Glyphs, fit, fit_line, glyphs_of, summary
from widgets.row_list import RowList

_MARK, _NAME, _AMOUNT = WORD_WIDTH + 2, 12, 9
_HEAD = f"  {'VERDICT':<{_MARK}} {'GATE':<{_NAME}} {'VALUE':>{_AMOUNT}} {'LIMIT':>{_AMOUNT}}  WHY"


class GateRows(RowList):
    """One row per gate."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "waive", "Waive", id="checklist.waive", tooltip="Waive the chosen gate with a typed reason"),
    ]

    gates: reactive[tuple[Gate, ...]] = reactive((), init=False)

    class WaiverAsked(Message):
        """The operator wants to waive ``gate``. The screen decides whether that is possible."""

        def __init__(self, rows: GateRows, gate: Gate) -> None:
            super().__init__()
            self.rows = rows
            self.gate = gate

        @property
        def control(self) -> GateRows:
            """The list."""
            return self.rows

    @property
    def chosen(self) -> Gate | None:
        """The gate under the cursor."""
        return self.gates[self.cursor] if self.cursor < len(self.gates) else None

    def watch_gates(self, gates: tuple[Gate, ...]) -> None:
        """Repaint rows that changed."""
        self.count = len(gates)
        self.renew()

    def row(self, index: int) -> Content:
        """Return one gate in columns."""
        return Content(self.lead(index)) + gate_line(self.gates[index], glyphs_of(self.app))

    def action_waive(self) -> None:
        """Ask for a waiver of the chosen gate."""
        if self.chosen:
            self.post_message(self.WaiverAsked(self, self.chosen))


class ChecklistView(Vertical):
    """Shows ``gates`` in their order, and the chosen one's full explanation below them."""

    DEFAULT_CSS = """
    ChecklistView { height: auto; }
    ChecklistView > Static { height: 1; color: $quiet; }
    ChecklistView > .why { height: auto; max-height: 4; margin: 1 0 0 2; color: $foreground; }
    """

    gates: reactive[tuple[Gate, ...]] = reactive((), init=False)

    def compose(self) -> ComposeResult:
        """Heading, rows, and the chosen gate in words."""
        yield Static(_HEAD, markup=False)
        yield GateRows()
        yield Static(classes="why", markup=False)

    def on_mount(self) -> None:
        """Show values that were set before the rows existed."""
        self._show(self.gates)

    def watch_gates(self, gates: tuple[Gate, ...]) -> None:
        """Show the gates judged so far."""
        if self.is_mounted:
            self._show(gates)

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Explain the chosen gate."""
        message.stop()
        self._explain()

    def _show(self, gates: tuple[Gate, ...]) -> None:
        self.query_one(GateRows).gates = gates
        self._explain()

    def _explain(self) -> None:
        chosen = self.query_one(GateRows).chosen
        self.query_one(".why", Static).update(explanation(chosen) if chosen else Content("No gate is judged yet."))


def gate_line(gate: Gate, glyphs: Glyphs) -> Content:
    """Return one gate as a line of columns. The caller cuts it to its width."""
    mark = MARKS[gate.verdict]
    value, limit = (f"{amount(each, gate.unit, limit=gate.limit):>{_AMOUNT}}" for each in (gate.value, gate.limit))
    return Content.assemble(
        (mark.text(ascii_only=glyphs.ascii_only), mark.color),
        f" {fit(visible(gate.name), _NAME, glyphs)} {value} ",
        (limit, "$quiet"),
        ("  " + visible(gate.why), "$quiet" if gate.verdict.opens else ""),
    )


def explanation(gate: Gate) -> Content:
    """Return a gate's full explanation, and whether it can be waived."""
    never = "" if gate.waivable or gate.verdict.opens else " This gate can never be waived."
    return Content.assemble(f"{visible(gate.name)}: {visible(gate.why)}", (never, "$quiet"))


# Gates between a stage and the next: one summary line, and the gates with their reasons.

_GATE_LIST_NAME = 11
_ORDER = tuple(reversed(Verdict))


class GateList(RowList):
    """The ``gates`` of a step, the most severe first."""

    gates: var[tuple[Gate, ...]] = var((), init=False)

    def watch_gates(self, gates: tuple[Gate, ...]) -> None:
        """Repaint rows that changed."""
        self._shown = tuple(sorted(gates, key=lambda gate: _ORDER.index(gate.verdict)))
        self.count = len(gates)
        self.renew()

    def row(self, index: int) -> Content:
        """Return verdict, name and reason of one gate."""
        gate, glyphs = self._shown[index], glyphs_of(self.app)
        mark = MARKS[gate.verdict]
        return Content.assemble(
            "  ",
            (mark.text(ascii_only=glyphs.ascii_only), mark.color),
            " ",
            fit(visible(gate.name, limit=40), _GATE_LIST_NAME, glyphs),
            " ",
            (visible(gate.why), "$quiet" if gate.verdict.opens else ""),
        )


def closed(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Return the gates that block the next step."""
    return tuple(gate for gate in gates if not gate.verdict.opens)


def gate_summary(model: ModelView, glyphs: Glyphs, width: int = 1000) -> Content:
    """Summarize a step's gates and window: ``GATE shadow→active · … · BLOCKED: 1 FAIL``.

    The window is left out where all that does not fit into ``width`` cells.
    """
    if not model.step:
        return Content.assemble(("GATE ", "bold"), ("no promotion is possible: staging and shadow are empty", "$quiet"))
    dot = f" {glyphs.dot} "
    step = visible(model.step).replace("→", glyphs.arrow)
    window = f"{dot}window {hours(model.soak.required_s)}" if model.soak is not None else ""
    verdicts = tuple(gate.verdict for gate in gates_of(model))
    state = (f"BLOCKED: {summary(verdicts)}", MARKS[worst(verdicts)].color)
    if not model.gates:
        state = (f"{MARKS[worst(verdicts)].word}: not judged yet", "$quiet")
    elif all(verdict.opens for verdict in verdicts):
        waived = verdicts.count(Verdict.WAIVED)
        state = (f"OPEN, {waived} WAIVED" if waived else "OPEN", "$verdict-good bold")
    lines = (Content.assemble(("GATE ", "bold"), step, (shown, "$quiet"), dot, state) for shown in (window, ""))
    return fit_line(lines, width, glyphs)
