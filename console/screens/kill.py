"""The kill switch and its receipt, from the moment that the key was pressed (SPEC §7)."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.types import CSSPathType

from console.screens.pushed import PushedScreen
from ml.board import KillView, Rung
from widgets.receipt_ladder import ReceiptLadder


class KillScreen(PushedScreen):
    """Shows the receipt ladder as the application reads it back. It only looks: the key alone throws the switch."""

    AUTO_FOCUS = "#receipt"
    LEAVE = "Close"
    CSS_PATH: ClassVar[CSSPathType | None] = ["pushed.tcss", "kill.tcss"]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "app.release", "Release", id="release", tooltip="Release the kill switch"),
        Binding("r", "app.rollback", "Rollback", id="rollback", tooltip="Roll active back to the previous artifact"),
    ]

    def body(self) -> ComposeResult:
        """The ladder, scrollable for many instances."""
        with VerticalScroll(id="receipt"):
            yield ReceiptLadder()

    def begin(self) -> None:
        """Follow the switch, and what goes wrong with it."""
        self.title_is("Kill switch")
        self.watch(self.console, "kill", lambda view: self._show())
        self.watch(self.console, "problems", lambda problems: self._show())

    def _show(self) -> None:
        view = self.console.kill
        self.query_one(ReceiptLadder).view = view
        troubles = [each for each in self.console.problems if each.where == "kill switch"]
        if troubles:
            self.say(f"{troubles[0].what} {troubles[0].remedy}", loud=True)
        else:
            open_ones = (Rung.UNCONFIRMED, Rung.UNPROVEN)
            loud = view is not None and (view.unwritten or view.engaged is None or view.rung in open_ones)
            left_out = [f"{each.what} {each.remedy}" for each in self.console.problems if each.where == "kill target"]
            self.say(" ".join((*left_out, _advice(view))), loud=loud or bool(left_out))


_UNWRITTEN = "NOT WRITTEN. Do the steps by hand now, or make room and press F9 again."
_UNCLEAR = "UNCLEAR. F9 writes the kill file anew and stops models; U writes it anew and lets them act."
_UNKNOWN = "UNKNOWN. The kill file cannot be read, so nobody can tell whether engines obey it."
_ELSEWHERE = "ON, thrown elsewhere. U releases what reads this clone's file; the steps above do the rest."
_WAITING = "Waiting for the engines' own metrics to prove it."
_BY_RUNG = {
    Rung.IDLE: "The switch is off. F9 throws it at once, from every screen, without a question.",
    Rung.UNPROVEN: "NOT PROVEN for engines that are silent. Make sure that they are stopped.",
    Rung.UNCONFIRMED: "NOT PROVEN. Do the steps by hand now; this screen keeps watching.",
}
_PROVEN = {
    True: "Released, and seen in the engines' own metrics. It keeps watching.",
    False: "ML is off, and the engines' own metrics prove it. It keeps watching. U releases, R rolls back.",
}


def _advice(view: KillView | None) -> str:
    """What the person should know or do next, by how far the switch is proven."""
    if view is None:
        return ""
    if view.unwritten:
        return _UNWRITTEN
    if view.engaged is None:
        return _UNCLEAR if view.unclear else _UNKNOWN
    if view.by_engines and not view.releasing:
        return _ELSEWHERE
    return _PROVEN[view.releases] if view.rung is Rung.CONFIRMED else _BY_RUNG.get(view.rung, _WAITING)
