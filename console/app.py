"""The Textual application: four views of the data in `console.watching`, with one key table. Nothing here blocks."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import BindingType
from textual.types import CSSPathType

from console.acting import ActingApp
from console.f9 import KillKey
from console.keys import APP_BINDINGS, keymap_of, kill_keys
from console.polling import Workshop
from console.screens.view import ViewScreen
from console.status import Breaches
from console.terminal.filters import AsciiFilter, VisibleFilter
from console.themes import THEMES, VARIABLES, theme_name
from ml.errors import Usage
from ml.text import visible

if TYPE_CHECKING:
    from concurrent.futures import Future

    from textual.driver import Driver
    from textual.filter import LineFilter
    from textual.screen import Screen

    from ml.board import Board, Glance
    from ml.clock import Clock
    from ml.records.drafts import Drafts
    from ml.session import Session


def _stages() -> Screen[None]:
    from console.screens.stages import StagesScreen  # noqa: PLC0415 a screen is loaded when it is first shown

    return StagesScreen()


def _soak() -> Screen[None]:
    from console.screens.soak import SoakScreen  # noqa: PLC0415

    return SoakScreen()


def _history() -> Screen[None]:
    from console.screens.history import HistoryScreen  # noqa: PLC0415

    return HistoryScreen()


def _log() -> Screen[None]:
    from console.screens.history import LogScreen  # noqa: PLC0415

    return LogScreen()


def _commands() -> Any:
    from console.keys import ConsoleCommands  # noqa: PLC0415

    return ConsoleCommands


class ConsoleApp(ActingApp):
    """The interface to one session.

    Args:
        session: what views ask; its methods block, so only threads call them.
        clock: the time of every age on screen.
        theme: a name of `console.themes`, or one of Textual's own; empty chooses by the terminal.
        keymap: binding id → keys, from the user's configuration.
        ascii_only: draw with ASCII characters only.
        read_only: no action that changes anything; the session enforces it too.
        kill_key: whether the kill key works in this session.
        poll_seconds, fetch_seconds: rest between two looks at the board, and at the remote.
        environment, production: what the header says until the first board tells it.
        drafts: opens the place where the wizard keeps what is typed; ``None`` keeps nothing.
        names: the first frame's names, where they are being read already.
    """

    TITLE = "mlconsole"
    # Load the first view's style sheet now as well: every later sheet makes Textual parse all of them again.
    CSS_PATH: ClassVar[CSSPathType | None] = ["theme.tcss", "screens/view.tcss", "screens/stages.tcss"]
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "stages": _stages,
        "soak": _soak,
        "history": _history,
        "log": _log,
    }
    DEFAULT_MODE = "stages"
    COMMANDS: ClassVar[set[Any]] = {_commands}
    BINDINGS: ClassVar[list[BindingType]] = list(APP_BINDINGS)
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (80, "-normal"), (120, "-wide")]  # noqa: RUF012 as above it
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-low"), (24, "-high"), (36, "-tall")]  # noqa: RUF012

    def __init__(  # noqa: PLR0913 the interface's settings, each by name
        self,
        session: Session,
        clock: Clock,
        *,
        theme: str = "",
        keymap: Mapping[str, str] | None = None,
        ascii_only: bool = False,
        read_only: bool = False,
        kill_key: bool = True,
        poll_seconds: float = 5.0,
        fetch_seconds: float = 30.0,
        environment: str = "",
        production: bool = False,
        drafts: Callable[[], Drafts] | None = None,
        names: Future[Glance] | None = None,
    ) -> None:
        self._variables_of: dict[str, dict[str, str]] = {}
        colorless = "NO_COLOR" in os.environ
        super().__init__(
            session,
            clock,
            read_only=read_only,
            place=(environment, production),
            poll_seconds=poll_seconds,
            fetch_seconds=fetch_seconds,
            driver_class=_driver_class(),
            # Textual's monochrome mode still sends gray colors, so only native colors can be switched off completely.
            ansi_color=True if colorless else None,
            names=names,
        )
        self.workshop = Workshop()
        self._open_drafts = drafts
        self.bug: Exception | None = None
        """The unexpected exception that ended the application, if any."""
        self.kill_keys = frozenset(kill_keys(keymap or {}))
        self.kill_allowed = kill_key
        self._switch = KillKey(session, clock, self.post_message, allowed=kill_key)
        self._breaches = Breaches()
        self._leaving = False
        self.animation_level = "none"
        few_colors = colorless or self.console.color_system in (None, "standard")
        self._start_with(theme_name(theme, few_colors=few_colors))
        self.set_class(ascii_only, "-ascii")
        self._doors: tuple[LineFilter, ...] = (VisibleFilter(), AsciiFilter()) if ascii_only else (VisibleFilter(),)
        self.set_keymap(keymap_of(keymap or {}))

    def _start_with(self, theme: str) -> None:
        """Put the first theme into the style sheet before the sheet is parsed, to avoid parsing it twice."""
        for each in THEMES:
            self.register_theme(each)
        if theme not in self.available_themes:
            raise Usage(f"There is no theme {visible(theme)!r}.", f"Known: {', '.join(sorted(self.available_themes))}.")
        self.set_reactive(ConsoleApp.theme, theme)
        self.update_classes(
            {
                f"-theme-{theme}": True,
                "-dark-mode": self.current_theme.dark,
                "-light-mode": not self.current_theme.dark,
            },
            update=False,
        )
        self._parsed_variables = self.get_css_variables()
        self.stylesheet.set_variables(self._parsed_variables)

    def refresh_css(self, animate: bool = True) -> None:
        """Parse the style sheets again if something they use has changed."""
        variables = self.get_css_variables()
        if variables != self._parsed_variables:
            self._parsed_variables = variables
            super().refresh_css(animate)

    def get_css_variables(self) -> dict[str, str]:
        """Return the theme's variables.

        They are cached per theme: Textual asks often, and generating them takes milliseconds.
        """
        if self.theme not in self._variables_of:
            self._variables_of[self.theme] = super().get_css_variables()
        return dict(self._variables_of[self.theme])

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return defaults of our variables for themes that do not define them."""
        return VARIABLES

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return the filters that every line passes before it reaches the terminal."""
        return [*super().get_line_filters(), *self._doors]

    @cached_property
    def drafts(self) -> Drafts | None:
        """The store that keeps the wizard's drafts."""
        return self._open_drafts() if self._open_drafts is not None else None

    # --- the end -------------------------------------------------------------------------------------------------
    def end(self, code: int) -> None:
        """Leave with an exit code after running writes have finished. A thread waits for them."""

        def leave() -> None:
            while not self.workshop.drained(1.0):
                pass
            self.call_from_thread(self.exit, code, code)

        if self.workshop.drained(0.0):
            self.exit(code, code)
        else:
            threading.Thread(target=leave, name="leave", daemon=True).start()

    async def action_quit(self) -> None:
        """Leave. While a write runs, the operator has to ask twice."""
        if (writing := self.workshop.writing) and not self._leaving:
            self._leaving = True
            self.say(f"Still writing: {', '.join(writing)}. Press ^q again to leave when that is done.", severe=True)
        else:
            self.end(0)

    def _handle_exception(self, error: Exception) -> None:
        if self._exit:
            return  # The application is ending: a screen that is closed while it opens cannot find its parts.
        # Textual would print local variables, which may hold secrets. The caller writes a report from `bug` instead.
        self.bug = self.bug or error
        super()._handle_exception(error)
        self._exit_renderables.clear()
        self._return_code = 70

    # --- the kill switch -----------------------------------------------------------------------------------------
    def engage_kill(self) -> None:
        """Engage the kill switch. Callable from any thread; returns at once."""
        self._switch.press()

    def action_kill(self) -> None:
        """Engage the kill switch if the driver did not handle the key already."""
        self.engage_kill()

    def on_kill_pressed(self) -> None:
        """Show the kill screen on top of any open screen."""
        from console.screens.kill import KillScreen  # noqa: PLC0415

        if not any(isinstance(screen, KillScreen) for screen in self.screen_stack):
            self.push_screen(KillScreen())

    def on_kill_not_here(self) -> None:
        """Explain how to engage the kill switch outside this session."""
        self.say("The kill key is off in this session (--no-kill). In a shell: `mlconsole kill on`.")

    # --- the watch after a promotion -----------------------------------------------------------------------------
    def watch_board(self, board: Board | None) -> None:
        """Ring once for each new breach of a watched model, and show that model unless a screen is open."""
        fresh = self._breaches.fresh(board.watches if board is not None else ())
        if fresh:
            self.bell()
            if isinstance(self.screen, ViewScreen) and self.model_name not in {each.model for each in fresh}:
                self.select(fresh[0].model)


def _driver_class() -> type[Driver] | None:
    """Return our driver on a terminal, and Textual's choice in a browser."""
    if "TEXTUAL_DRIVER" in os.environ or sys.__stdin__ is None or not sys.__stdin__.isatty():
        return None
    from console.terminal.driver import ConsoleDriver  # noqa: PLC0415 it needs a terminal to be of use

    return ConsoleDriver
