"""What stands between a stage and the next: one line that sums the gates up, and the gates with their reasons."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import var

from ml.board import ModelView
from ml.board.judgement import gates_of
from ml.clock import hours
from ml.text import visible
from ml.verdict import Gate, Verdict, worst
from widgets.columns import fit
from widgets.glyphs import Glyphs, glyphs_of
from widgets.row_list import RowList
from widgets.verdicts import MARKS, summary

_NAME = 11
_ORDER = tuple(reversed(Verdict))


class GateList(RowList):
    """The ``gates`` of a hop, the most severe first."""

    gates: var[tuple[Gate, ...]] = var((), init=False)

    def watch_gates(self, gates: tuple[Gate, ...]) -> None:
        """Draw what differs."""
        self._shown = tuple(sorted(gates, key=lambda gate: _ORDER.index(gate.verdict)))
        self.count = len(gates)
        self.renew()

    def row(self, index: int) -> Content:
        """Verdict, name and reason of one gate."""
        gate, glyphs = self._shown[index], glyphs_of(self.app)
        mark = MARKS[gate.verdict]
        return Content.assemble(
            "  ",
            (mark.text(ascii_only=glyphs.ascii_only), mark.color),
            " ",
            fit(visible(gate.name, limit=40), _NAME, glyphs),
            " ",
            (visible(gate.why), "$quiet" if gate.verdict.opens else ""),
        )


def closed(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """The gates that stop the next step."""
    return tuple(gate for gate in gates if not gate.verdict.opens)


def gate_summary(model: ModelView, glyphs: Glyphs) -> Content:
    """Which hop is judged, over which window, and whether it is open: ``GATE shadow→active · … · BLOCKED: 1 FAIL``."""
    if not model.hop:
        return Content.assemble(("GATE ", "bold"), ("no promotion is possible: staging and shadow are empty", "$quiet"))
    dot = f" {glyphs.dot} "
    hop = visible(model.hop).replace("→", glyphs.arrow)
    window = f"{dot}window {hours(model.soak.required_s)}" if model.soak is not None else ""
    verdicts = tuple(gate.verdict for gate in gates_of(model))
    state = (f"BLOCKED: {summary(verdicts)}", MARKS[worst(verdicts)].color)
    if not model.gates:
        state = (f"{MARKS[worst(verdicts)].word}: not judged yet", "$quiet")
    elif all(verdict.opens for verdict in verdicts):
        waived = verdicts.count(Verdict.WAIVED)
        state = (f"OPEN, {waived} WAIVED" if waived else "OPEN", "$verdict-good bold")
    return Content.assemble(("GATE ", "bold"), hop, (window, "$quiet"), dot, state)
