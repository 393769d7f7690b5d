"""Base of every screen pushed on top of the views: header, heading, body, notice, buttons, keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult, RenderResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.renderables.blank import Blank
from textual.screen import ModalScreen
from textual.types import CSSPathType
from textual.widgets import Button, Static

from console.keys import KILL_KEY
from ml.board import KillView
from ml.errors import ConsoleError
from ml.text import visible
from widgets.banners import KillBanner
from widgets.drawing import glyphs_of
from widgets.status_line import KeyHint, KeyLine, StatusLine

if TYPE_CHECKING:
    from console.protocol import Console

T = TypeVar("T")

TOO_SMALL = "This terminal is too small for this screen (60×16 at least). Escape leaves it; the keys are below."

_EVERYWHERE = ("pushed.leave", "kill", "help")


class PushedScreen(ModalScreen[None]):
    """One task that fills the screen. Escape and Cancel always leave it without changing anything.

    The screen is modal, so a view's key, held or injected, cannot open a second task on top of it. The kill key, the
    help and the palette still work. Cancel has the focus at first, so a held or repeated Enter confirms nothing.
    """

    AUTO_FOCUS = "#cancel"
    LEAVE: ClassVar[str] = "Cancel"
    """Label of the button that leaves. Screens that only show something use Close."""
    CSS_PATH: ClassVar[CSSPathType | None] = "pushed.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", id="pushed.leave", tooltip="Leave without changing anything"),
        Binding(
            KILL_KEY, "app.kill", "KILL", id="kill", tooltip="Engage the kill switch, without a question", priority=True
        ),
        Binding("y", "copy", "Copy", id="copy", tooltip="Copy the next command or the chosen row (OSC 52)"),
        Binding("f1,question_mark", "app.help", "Keys", id="help", tooltip="All keys of this screen"),
    ]

    class Settled(Message):
        """A background action ended. ``then`` continues with its result on the event loop."""

        def __init__(self, then: Callable[[], None]) -> None:
            super().__init__()
            self.then = then

    @property
    def console(self) -> Console:
        """The application, with its session, board and clock."""
        return cast("Console", self.app)

    # --- frame -------------------------------------------------------------------------------------------------------
    def compose(self) -> ComposeResult:
        """The frame. Subclasses fill it with `body` and `buttons`."""
        yield StatusLine(self.model_name)
        yield KillBanner()
        yield Static(TOO_SMALL, id="too-small", markup=False)
        yield Static(id="heading", classes="title", markup=False)
        yield Static(id="subject", classes="quiet", markup=False)
        with Vertical(id="body"):
            yield from self.body()
        yield Static(id="notice", markup=False)
        with Horizontal(id="buttons"):
            yield Button(self.LEAVE, id="cancel", compact=True)
            yield from self.buttons()
        yield KeyLine()

    def render(self) -> RenderResult:  # type: ignore[override]  # Screen declares less than it returns itself
        """Cover the view below, even when the terminal's background counts as transparent."""
        own = self.styles.background
        return Blank(self.app.styles.background if own.is_transparent else own)

    @property
    def model_name(self) -> str:
        """The task's model. Empty: the model chosen in the views."""
        return ""

    def body(self) -> ComposeResult:
        """Return the widgets of the task."""
        yield from ()

    def buttons(self) -> ComposeResult:
        """Return the buttons to the right of Cancel."""
        yield from ()

    def on_mount(self) -> None:
        """Follow the switch and the keys. The task starts once the frame is drawn.

        Textual 8.2 caches a height under a counter that it does not raise for a second change before the first
        layout, so what is filled in earlier than that may keep the height of the empty widget.
        """
        self.watch(self.app, "kill", self._show_kill)
        self.bindings_updated_signal.subscribe(self, lambda _: self._show_keys())
        self._show_keys()
        self.call_after_refresh(self.begin)

    def begin(self) -> None:
        """Start the task."""

    def _show_kill(self, view: KillView | None) -> None:
        self.query_one(KillBanner).view = view

    def _show_keys(self) -> None:
        """Show this screen's own keys first, then the keys of every pushed screen."""
        active = [each.binding for each in self.active_bindings.values() if each.enabled]
        shown = [binding for binding in active if binding.show and self.console.offers(binding.action)]
        once: dict[str | None, Binding] = {}
        for binding in shown:
            once.setdefault(binding.id, binding)
        ordered = sorted(once.values(), key=lambda binding: binding.id in _EVERYWHERE)
        self.query_one(KeyLine).keys = tuple(
            KeyHint(self.app.get_key_display(binding), binding.description, loud=binding.id == "kill")
            for binding in ordered
        )

    # --- text
    # ----------------------------------------------------------------------------------------------------------
    def title_is(self, heading: str, *facts: str) -> None:
        """Set the heading, and facts about the task on the line below it."""
        dot = f" {glyphs_of(self.app).dot} "
        self.query_one("#heading", Static).update(Content(visible(heading)))
        subject = self.query_one("#subject", Static)
        subject.update(Content(dot.join(map(visible, facts))))
        subject.display = bool(facts)

    def say(self, text: str, *, loud: bool = False) -> None:
        """Show one or two sentences above the buttons. An empty text removes them."""
        notice = self.query_one("#notice", Static)
        notice.update(Content(visible(text)))
        notice.set_class(loud, "alarm")
        notice.display = bool(text)

    def complain(self, error: ConsoleError) -> None:
        """Show an error's cause and remedy."""
        self.say(str(error), loud=True)

    # --- work --------------------------------------------------------------------------------------------------------
    def work(
        self,
        name: str,
        action: Callable[[], T],
        then: Callable[[T], None],
        failed: Callable[[ConsoleError], None],
        *,
        writes: bool = False,
    ) -> None:
        """Run a blocking action off the event loop, then handle its result or its failure on the loop."""
        self.console.jobs.start(
            self,
            action,
            done=lambda result: self.Settled(partial(then, result)),
            failed=lambda error: self.Settled(partial(failed, error)),
            name=name,
            writes=writes,
        )

    def on_pushed_screen_settled(self, message: Settled) -> None:
        """Continue after a background action."""
        message.stop()
        message.then()

    # --- what the person does ----------------------------------------------------------------------------------------
    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Cancel leaves the screen. The subclass handles other buttons."""
        event.stop()
        if event.button.id == "cancel":
            self.action_leave()
        else:
            self.pressed(event.button.id or "")

    def pressed(self, button: str) -> None:
        """Handle a button other than Cancel."""

    @property
    def copyable(self) -> str:
        """Return the text that Y copies; empty when there is none."""
        return ""

    def action_copy(self) -> None:
        """Copy with OSC 52."""
        if text := self.copyable:
            self.app.copy_to_clipboard(text)
            self.say(f"Copied: {text}")

    @property
    def hidden(self) -> bool:
        """Return True when the terminal is too small to show what a key would confirm."""
        return self.has_class("-tiny") or self.has_class("-flat")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the copy key only when there is something to copy."""
        return bool(self.copyable) if action == "copy" else True

    @property
    def unfinished(self) -> str:
        """Return why leaving must wait, as one sentence; empty when the screen can be left."""
        return ""

    def action_leave(self) -> None:
        """Go back to the view below. While something is being written, say so and stay."""
        if unfinished := self.unfinished:
            self.say(unfinished)
        else:
            self.dismiss()
