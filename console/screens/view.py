"""Base of the four views: header, banners, body, filter, problem line, keys."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Mount
from textual.screen import Screen
from textual.widgets import Input, Static

from console.keys import FOOTER, FOOTER_KILLED, FOOTER_READ_ONLY
from ml.stage import Stage
from widgets.banners import KillBanner, ProblemLine, WatchBanner
from widgets.quiet_widget import LineInput
from widgets.status_line import KeyHint, KeyLine, StatusLine

if TYPE_CHECKING:
    from console.protocol import Console
    from ml.board import KillView

_SOON_S = 0.05
_LONGEST_FILTER = 200
_TOO_SMALL = "This terminal is too small for the console (60×16 at least). `mlconsole status` shows the same as text."


class ViewScreen(Screen[None]):
    """One view. A subclass defines ``body``, follows the application's reactives, and may have a filter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear_filter", "Clear", show=False, id="filter.clear", tooltip="Clear the filter"),
    ]
    NAME: ClassVar[str] = ""
    """The view's mode. The key line marks it."""

    @property
    def console(self) -> Console:
        """The application."""
        return cast("Console", self.app)

    def compose(self) -> ComposeResult:
        """Header, body and keys: the first frame. `_complete` adds the rest of the frame."""
        yield StatusLine()
        with Vertical(id="body"):
            yield from self.body()
        yield KeyLine()

    @abstractmethod
    def body(self) -> ComposeResult:
        """Return the view's widgets."""

    @on(Mount)
    async def frame(self) -> None:
        """Show the keys. Until something is judged, the rest can wait for the first frame."""
        self.bindings_updated_signal.subscribe(self, lambda _: self._show_keys())
        self._show_keys()
        if self.console.checking:
            self.set_timer(_SOON_S, self._complete)
        else:
            await self._complete()

    async def _complete(self) -> None:
        """Add the parts that are hidden in normal operation, and follow the variables that every view shows."""
        too_small = Static(_TOO_SMALL, id="too-small", markup=False)
        await self.mount(KillBanner(), WatchBanner(), too_small, before="#body")
        await self.mount(ProblemLine(), after="#body")
        self.follow("kill", self._show_kill)
        self.follow("board", self._show_breaches)
        self.follow("model", self._show_breaches)
        self.follow("problems", lambda problems: setattr(self.query_one(ProblemLine), "problems", problems))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the clear key only while a filter is open."""
        return self.has_class("-filtering") if action == "clear_filter" else super().check_action(action, parameters)

    def follow(self, name: str, show: Callable[[Any], None] | Callable[[Any], Awaitable[None]]) -> None:
        """Call ``show`` with the value of an application's reactive now and after each change."""
        self.watch(self.app, name, show)

    def _show_kill(self, view: KillView | None) -> None:
        self.query_one(KillBanner).view = view
        self._show_keys()  # The footer offers the release while the switch is not off.

    def _show_breaches(self, _: object) -> None:
        banner, console = self.query_one(WatchBanner), self.console
        banner.may_roll_back = console.offers("rollback")
        banner.chosen = console.model_name
        banner.watches = console.board.watches if console.board is not None else ()

    # --- filter --------------------------------------------------------------------------------------------------
    @property
    def stage(self) -> Stage | None:
        """The stage in focus, in views that have one."""
        return None

    def filtered(self, pattern: str) -> None:
        """Show only matching rows."""

    async def start_filter(self) -> None:
        """Open the filter's input. It is created on first use."""
        if not self.query("#filter"):
            await self.mount(LineInput(placeholder="filter", id="filter", max_length=_LONGEST_FILTER), after="#body")
        self.add_class("-filtering")
        self.query_one("#filter").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Apply the filter while the operator types."""
        event.stop()
        self.filtered(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go back to the list."""
        event.stop()
        self.set_class(bool(event.value), "-filtering")
        self.focus_list()

    def action_clear_filter(self) -> None:
        """Show everything again."""
        self.query("#filter").remove()
        self.remove_class("-filtering")
        self.filtered("")
        self.focus_list()

    def focus_list(self) -> None:
        """Focus the view's main widget."""

    def chosen_text(self) -> str:
        """Return the text that `y` copies; empty when there is none."""
        return ""

    # --- keys ----------------------------------------------------------------------------------------------------
    def _footer(self) -> tuple[str, ...]:
        kill = self.console.kill
        return FOOTER if kill is None or kill.off else FOOTER_KILLED

    def _show_keys(self) -> None:
        active = {each.binding.id: each.binding for each in self.active_bindings.values()}
        ids = FOOTER_READ_ONLY if self.console.read_only else self._footer()
        self.query_one(KeyLine).keys = tuple(
            KeyHint(
                key=self.app.get_key_display(active[name]),
                label=active[name].description,
                here=name == f"view.{self.NAME}",
                loud=name == "kill",
            )
            for name in ("filter.clear", *ids)
            if name in active and self.console.offers(active[name].action)
        )
