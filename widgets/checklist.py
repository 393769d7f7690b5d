"""The gates of one promotion as a list: verdict, name, value, limit and why, with the chosen gate in full."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import set_cell_size
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ml.clock import span
from ml.text import visible
from ml.verdict import Gate
from widgets.cut import cut
from widgets.glyphs import glyphs_of
from widgets.verdicts import MARKS, WORD_WIDTH

_NAME = 14
_AMOUNT = 9
_MARK = WORD_WIDTH + 2
_BEFORE_WHY = 2 + _MARK + 1 + _NAME + 2 * (_AMOUNT + 1) + 2
_DETAIL_ROWS = 4


class ChecklistView(Widget, can_focus=True):
    """Shows ``gates`` in their order; ``w`` asks to waive the chosen one."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="checklist.up", tooltip="Choose the gate above"),
        Binding("down,j", "move(1)", "Down", show=False, id="checklist.down", tooltip="Choose the gate below"),
        Binding("w", "waive", "Waive", id="checklist.waive", tooltip="Waive the chosen gate with a typed reason"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"checklist--head", "checklist--chosen", "checklist--quiet"}
    DEFAULT_CSS = """
    ChecklistView {
        height: auto;
        .checklist--head { color: $quiet; }
        .checklist--quiet { color: $quiet; }
        .checklist--chosen { text-style: bold; }
    }
    """

    gates: reactive[tuple[Gate, ...]] = reactive((), layout=True)
    """The gates, in the order of the checklist."""

    chosen: reactive[int] = reactive(0)
    """The index of the gate that is shown in full."""

    class WaiverAsked(Message):
        """The operator wants to waive ``gate``; whether that is possible is for the screen to say."""

        def __init__(self, checklist: ChecklistView, gate: Gate) -> None:
            super().__init__()
            self.checklist = checklist
            self.gate = gate

        @property
        def control(self) -> ChecklistView:
            """The list."""
            return self.checklist

    def validate_chosen(self, chosen: int) -> int:
        """Keep the choice inside the list."""
        return max(0, min(chosen, len(self.gates) - 1))

    def watch_gates(self) -> None:
        """A shorter list may have lost the chosen gate."""
        self.chosen = self.validate_chosen(self.chosen)

    def action_move(self, by: int) -> None:
        """Choose another gate."""
        self.chosen += by

    def action_waive(self) -> None:
        """Ask for a waiver of the chosen gate."""
        if self.gates:
            self.post_message(self.WaiverAsked(self, self.gates[self.chosen]))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Heading, gates, a blank line and the chosen gate's own words."""
        return 1 + max(1, len(self.gates)) + 1 + _DETAIL_ROWS

    def render(self) -> Content:
        """The table, then the chosen gate in full."""
        if not self.gates:
            return Content.styled("No gate is judged yet.", ".checklist--quiet")
        rows = [self._row(index, gate) for index, gate in enumerate(self.gates)]
        return Content("\n").join([self._head(), *rows, Content(""), *self._detail(self.gates[self.chosen])])

    def _head(self) -> Content:
        amounts = f"{'VALUE':>{_AMOUNT}} {'LIMIT':>{_AMOUNT}}"
        return Content.styled(f"  {'VERDICT':<{_MARK}} {'GATE':<{_NAME}} {amounts}  WHY", ".checklist--head")

    def _row(self, index: int, gate: Gate) -> Content:
        glyphs = glyphs_of(self.app)
        mark = MARKS[gate.verdict]
        chosen = index == self.chosen
        name = set_cell_size(visible(gate.name), _NAME)
        amounts = f"{amount(gate.value, gate.unit):>{_AMOUNT}} {amount(gate.limit, gate.unit):>{_AMOUNT}}"
        row = Content.assemble(
            f"{glyphs.pointer} " if chosen else "  ",
            (mark.text(ascii_only=glyphs.ascii_only), mark.color),
            (f" {name} {amounts}", ".checklist--chosen" if chosen else ""),
            ("  " + visible(gate.why), ".checklist--quiet" if gate.verdict.opens else ""),
        )
        return cut(row, self.size.width, glyphs)

    def _detail(self, gate: Gate) -> list[Content]:
        """The chosen gate's whole sentence, and whether it can be waived."""
        words = Content(visible(gate.why)).wrap(max(1, self.size.width - 4))[:_DETAIL_ROWS]
        if not gate.waivable and not gate.verdict.opens:
            words = [*words[: _DETAIL_ROWS - 1], Content.styled("This gate can never be waived.", ".checklist--quiet")]
        bar = glyphs_of(self.app).rule
        return [Content.assemble((f"  {bar} ", ".checklist--quiet"), line) for line in words]


def amount(value: float | None, unit: str) -> str:
    """A measured value for a narrow column: ``42.1 ms``, ``6.3 %``, ``24h00m``; a dash for none."""
    if value is None:
        return "-"
    if unit == "ratio":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return span(value)
    return f"{value:.4g} {unit}".rstrip()
