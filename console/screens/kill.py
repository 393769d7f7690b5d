"""Kill screen: the switch and its receipt, from the moment the key is pressed (contract §7)."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.types import CSSPathType
from textual.widgets import Button, Input, Label, Static

from console.messages import KillArrived
from console.screens.pushed import PushedScreen
from ml.board import KillView, Rung
from ml.clock import format_utc
from ml.text import visible
from widgets.ack_input import AckInput
from widgets.quiet_widget import LineInput
from widgets.receipt_ladder import ReceiptLadder, summary


class KillScreen(PushedScreen):
    """Shows the receipt ladder as the application reads it. The screen only displays; the kill key itself acts."""

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
        """Follow the switch and its errors."""
        self.title_is("Kill switch")
        self.watch(self.app, "kill", lambda view: self._show())
        self.watch(self.app, "problems", lambda problems: self._show())

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
_UNCLEAR = "UNCLEAR. F9 rewrites the kill file and stops models; U rewrites it and lets them act."
_UNKNOWN = "UNKNOWN. The kill file cannot be read, so it is not known whether engines obey it."
_ELSEWHERE = "ON, engaged elsewhere. U releases engines that read this clone's file; the steps above do the rest."
_WAITING = "Waiting for the engines' own metrics to prove it."
_BY_RUNG = {
    Rung.IDLE: "The switch is off. F9 engages it at once, from every screen, without a question.",
    Rung.UNPROVEN: "NOT PROVEN for silent engines. Make sure that they are stopped.",
    Rung.UNCONFIRMED: "NOT PROVEN. Do the steps by hand now; this screen keeps watching.",
}
_PROVEN = {
    True: "Released, and the engines' own metrics prove it. This screen keeps watching.",
    False: "ML is off, and the engines' own metrics prove it. U releases, R rolls back.",
}


def _advice(view: KillView | None) -> str:
    """Return the next thing to know or do, by how far the switch is confirmed."""
    if view is None:
        return ""
    if view.unwritten:
        return _UNWRITTEN
    if view.engaged is None:
        return _UNCLEAR if view.unclear else _UNKNOWN
    if view.by_engines and not view.releasing:
        return _ELSEWHERE
    return _PROVEN[view.releases] if view.rung is Rung.CONFIRMED else _BY_RUNG.get(view.rung, _WAITING)


# Release screen: a typed word, a reason, and the objections to a release (contract §7).

WORD = "RELEASE"


class ReleaseScreen(PushedScreen):
    """Releases the switch once word and reason are typed, then shows the receipt."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["pushed.tcss", "release.tcss"]

    def __init__(self) -> None:
        super().__init__()
        self._busy = False

    def body(self) -> ComposeResult:
        """The switch's state, the objections to a release, the reason, and the word."""
        with VerticalScroll(can_focus=False):
            yield Static(id="state", markup=False)
            yield Static(id="warnings", markup=False)
            yield Label("Why do you release it? The reason goes into the audit log.")
            yield LineInput(id="reason", max_length=500)
            yield Label("Type this word to let inference start again:")
            yield AckInput(WORD)

    def buttons(self) -> ComposeResult:
        """The button that releases."""
        yield Button("Release", id="release", compact=True, disabled=True)

    def begin(self) -> None:
        """Follow the switch, and look for objections to a release."""
        self.title_is("Release the kill switch")
        self.watch(self.app, "kill", self._show_state)
        self.query_one("#warnings", Static).update("Checking for reasons against a release …")
        session = self.console.session

        def check() -> tuple[str, ...]:  # on the thread, because the part may be made there
            return session.boards.release_warnings()

        self.work("check before a release", check, self._warn, self.complain)

    def _show_state(self, view: KillView | None) -> None:
        self.query_one("#state", Static).update(Content("\n").join(_state(view)))

    def _warn(self, warnings: tuple[str, ...]) -> None:
        shown = self.query_one("#warnings", Static)
        lines = [f"! {visible(warning)}" for warning in warnings] or ["No reason against a release is known."]
        shown.update(Content("\n".join(lines)))
        shown.set_class(bool(warnings), "-fail")

    @property
    def _ready(self) -> bool:
        reason = self.query_one("#reason", Input).value.strip()
        return bool(reason) and self.query_one(AckInput).matches and not self._busy

    def _arm(self) -> None:
        self.query_one("#release", Button).disabled = not self._ready

    def on_input_changed(self, event: Input.Changed) -> None:
        """Enable the release once reason and word are typed."""
        event.stop()
        self._arm()

    def on_ack_input_changed(self, message: AckInput.Changed) -> None:
        """Enable the release once reason and word are typed."""
        self._arm()

    def on_ack_input_confirmed(self, message: AckInput.Confirmed) -> None:
        """Enter in the field does the same as the button."""
        self._release()

    def pressed(self, button: str) -> None:
        """Handle the release button."""
        self._release()

    def _release(self) -> None:
        if not self._ready:
            self.say("Type a reason as well." if not self._busy else "The switch is being released.")
            return
        self._busy = True
        self._arm()
        self.say("Releasing.")
        typed, reason = self.query_one(AckInput).typed, self.query_one("#reason", Input).value.strip()
        session = self.console.session
        self.work(
            "release the kill switch",
            lambda: session.kill.release(typed, reason),
            self._released,
            self._refused,
            writes=True,
        )

    def _released(self, view: KillView) -> None:
        self.app.post_message(KillArrived(view))
        if any(isinstance(screen, KillScreen) for screen in self.app.screen_stack):
            self.dismiss()
        else:
            self.app.switch_screen(KillScreen())

    def _refused(self, error: Exception) -> None:
        self._busy = False
        self.query_one(AckInput).clear()
        self._arm()
        self.say(str(error), loud=True)


def _state(view: KillView | None) -> list[Content]:
    if view is None:
        return [Content("The switch has not been read yet.")]
    if view.engaged is False and view.releasing:
        return [Content("It was released, but that is not proven yet. Releasing it again sends the release again.")]
    if view.engaged is False:
        return [Content("The switch is already off. Releasing it again changes nothing.")]
    if view.engaged is None:
        return [Content(f"It is not known whether the switch is on: {visible(view.problem)}")]
    if view.by_engines:
        rows = [Content.assemble("Engines are blocked: ", (summary(view), "bold"), f". {visible(view.beside)}")]
        reach = "This releases engines that read this clone's kill file, or that its actuators reach."
        return [*rows, Content(reach), *(Content.styled(visible(step), "$quiet") for step in view.manual[1:2])]
    since = f" since {format_utc(view.requested_at)}" if view.requested_at else ""
    by = f" by {visible(view.by)}" if view.by else ""
    rows = [Content.assemble("Engaged", since, by, ": ", (summary(view), "bold"))]
    return [*rows, Content.styled(f"reason: {visible(view.reason)}", "$quiet")] if view.reason else rows
