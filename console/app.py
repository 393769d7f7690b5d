"""The Textual application: four views of the session's results, with one key table. Nothing here blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.reactive import var
from textual.types import CSSPathType

from console import tasks
from console.f9 import KillKey
from console.first_look import look_ahead
from console.keys import APP_BINDINGS, MUTATING, keymap_of, kill_keys
from console.messages import Result
from console.polling import Jobs, Pollers, names_read
from console.results import Results
from console.screens.view import ViewScreen
from console.status import Breaches
from console.terminal import driver_class
from console.terminal.filters import AsciiFilter, VisibleFilter
from console.themes import THEMES, VARIABLES, theme_name
from ml.errors import Usage
from ml.text import visible
from widgets.model_list import by_need

if TYPE_CHECKING:
    from concurrent.futures import Future
    from datetime import datetime

    from textual.filter import LineFilter
    from textual.screen import Screen

    from console import messages
    from ml.board import Board, Glance, HistoryRow, KillView, ModelView, Problem, SoakReport
    from ml.clock import Clock
    from ml.promotion.rungs import Ladder
    from ml.records.drafts import Drafts
    from ml.session import Session
    from ml.stage import Stage
    from widgets.status_line import Status


def _commands() -> Any:
    from console.keys import ConsoleCommands  # noqa: PLC0415

    return ConsoleCommands


class ConsoleApp(App[int]):
    """The interface to one session. It takes keys and messages; its parts do the work.

    * `console.polling.Pollers` polls the session, and `console.results.Results` holds what the polls found.
    * `console.polling.Jobs` runs actions that block.
    * `console.f9.KillKey` engages the kill switch.
    * `console.tasks` chooses the screen of each task.

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
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = dict(tasks.VIEWS)
    DEFAULT_MODE = "stages"
    COMMANDS: ClassVar[set[Any]] = {_commands}
    BINDINGS: ClassVar[list[BindingType]] = list(APP_BINDINGS)
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (80, "-normal"), (120, "-wide")]  # noqa: RUF012 as above it
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-low"), (24, "-high"), (36, "-tall")]  # noqa: RUF012

    # Results as plain variables: setting a reactive of an application would repaint the whole screen.
    board: var[Board | None] = var(None, init=False)
    checking: var[bool] = var(True, init=False)
    models: var[tuple[ModelView, ...]] = var((), init=False)
    model: var[ModelView | None] = var(None, init=False)
    kill: var[KillView | None] = var(None, init=False)
    soak: var[SoakReport | None] = var(None, init=False)
    history: var[tuple[HistoryRow, ...] | None] = var(None, init=False)
    log_lines: var[tuple[str, ...] | None] = var(None, init=False)
    changes: var[tuple[Ladder, ...] | None] = var(None, init=False)
    problems: var[tuple[Problem, ...]] = var((), init=False)
    status: var[Status | None] = var(None, init=False)
    now: var[datetime | None] = var(None, init=False)

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
        # Textual's monochrome mode still sends gray colors, so only native colors can be switched off completely.
        super().__init__(driver_class=driver_class(), ansi_color=True if colorless else None)
        self.session = session
        self.clock = clock
        self.read_only = read_only
        self.jobs = Jobs()
        self.bug: Exception | None = None
        """The unexpected exception that ended the application, if any."""
        self.kill_keys = frozenset(kill_keys(keymap or {}))
        self.kill_allowed = kill_key
        self.window_title = ""
        self.now = clock.now()
        self._open_drafts = drafts
        self._results = Results(
            clock, read_only=read_only, environment=environment, production=production, poll_seconds=poll_seconds
        )
        self._pollers = Pollers(session, self.post_message, poll_s=poll_seconds, fetch_s=fetch_seconds)
        self._switch = KillKey(session, clock, self.post_message, allowed=kill_key)
        self._breaches = Breaches()
        self._first_look = names or look_ahead(session.glance)
        self._leaving = False
        self.animation_level = "none"
        few_colors = colorless or self.console.color_system in (None, "standard")
        self._start_with(theme_name(theme, few_colors=few_colors))
        self.set_class(ascii_only, "-ascii")
        self._output_filters: tuple[LineFilter, ...] = (
            (VisibleFilter(), AsciiFilter()) if ascii_only else (VisibleFilter(),)
        )
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
        return [*super().get_line_filters(), *self._output_filters]

    @cached_property
    def drafts(self) -> Drafts | None:
        """The store that keeps the wizard's drafts."""
        return self._open_drafts() if self._open_drafts is not None else None

    # --- results -------------------------------------------------------------------------------------------------
    def on_load(self) -> None:
        """Show the names in the first frame if they are read already, else as soon as they arrive."""
        if self._first_look.done():
            self.take(names_read(self._first_look))
        else:
            self._first_look.add_done_callback(lambda names: self.post_message(names_read(names)))
            self._publish()

    def on_mount(self) -> None:
        """Start polling once the first frame is drawn."""
        self.set_interval(1.0, self._tick)
        self.call_after_refresh(self._pollers.start)

    def on_unmount(self) -> None:
        """Stop polling."""
        self._pollers.end()

    def _tick(self) -> None:
        self.now = self.clock.now()
        if self._results.tick(self.now):
            self._publish()

    @on(Result)
    def take(self, result: Result) -> None:
        """Show the result of a poll, or of an order to the kill switch."""
        self._results.take(result)
        self._publish()

    def _publish(self) -> None:
        """Show the results. Screens and header follow these variables; an equal value repaints nothing."""
        results = self._results
        if results.read_only != self.read_only:
            self.read_only = results.read_only
            self.call_next(self.refresh_bindings)
        self.board, self.checking, self.kill = results.board, results.checking, results.kill
        self.models, self.model = results.models, results.model
        self.soak, self.history, self.log_lines = results.soak, results.history, results.log_lines
        self.problems, self.status, self.changes = results.problems, results.status, results.changes
        if results.kill is not None:
            self._pollers.follow(results.kill)
        self._name_window(results.title)
        self._pollers.look_at(self.current_mode, self.model_name)
        self._pollers.follow_changes(wanted=results.changes_move or self.current_mode == "changes")

    def _name_window(self, title: str) -> None:
        if self._driver is not None and title != self.window_title:
            self.window_title = title
            name_window: Callable[[str], None] | None = getattr(self._driver, "name_window", None)
            if name_window is not None:
                name_window(title)

    @property
    def model_name(self) -> str:
        """Name of the chosen model; empty when there is none."""
        return self._results.model_name

    def select(self, name: str) -> None:
        """Choose a model. For an unknown name, choose the model that needs attention most."""
        self._results.select(name)
        self._publish()

    def say(self, text: str, *, severe: bool = False) -> None:
        """Show a short notification."""
        self.notify(visible(text), severity="error" if severe else "information", markup=False)

    # --- what may be done ----------------------------------------------------------------------------------------
    def offers(self, action: str) -> bool:
        """Return True when this session offers an action."""
        name = action.removeprefix("app.").partition("(")[0]
        return self.kill_allowed if name == "kill" else not (self.read_only and name in MUTATING)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable keys that change something in a read-only session; pressing one explains why.

        Same for F9 with --no-kill.
        """
        return self.read_only if action == "explain" else action == "kill" or self.offers(action)

    def action_explain(self, what: str) -> None:
        """Explain why a key does nothing in this session."""
        broken = self.board.registry.problem if self.board is not None else ""
        why = broken or "this session is read-only. Start the console without --read-only."
        self.say(f"{what} is not possible: {why}")

    def get_key_display(self, binding: Binding) -> str:
        """Return a key's name as keyboards print it."""
        display = super().get_key_display(binding)
        return display.upper() if display[:1] == "f" and display[1:].isdigit() else display

    # --- tasks ---------------------------------------------------------------------------------------------------
    def action_promote(self) -> None:
        """Open the promotion wizard."""
        self._open(tasks.promotion(self, self._stage))

    def action_rollback(self) -> None:
        """Open the rollback screen."""
        self._open(tasks.rollback(self))

    def action_stage(self) -> None:
        """Open the screen that puts an artifact into staging."""
        self._open(tasks.staging(self))

    def action_withdraw(self) -> None:
        """Open the withdrawal screen."""
        self._open(tasks.withdrawal(self, self._stage))

    def action_compare(self) -> None:
        """Compare two artifacts of the chosen model."""
        self._open(tasks.comparison(self))

    def action_review(self) -> None:
        """Show charts of the chosen model's last 24 hours."""
        self._open(tasks.review(self))

    def action_release(self) -> None:
        """Open the screen that releases the kill switch."""
        self._open(tasks.release())

    def open_change(self, branch: str) -> None:
        """Open one change on top of what is shown."""
        self.push_screen(tasks.change(branch))

    def action_help(self) -> None:
        """Show the keys of the open screen."""
        from console.screens.help import HelpScreen  # noqa: PLC0415

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def _open(self, task: Screen[None] | str) -> None:
        """Open a task's screen, or say why there is none."""
        if isinstance(task, str):
            self.say(task)
        else:
            self.push_screen(task)

    @property
    def _stage(self) -> Stage | None:
        """The stage in focus."""
        return self.screen.stage if isinstance(self.screen, ViewScreen) else None

    # --- views ---------------------------------------------------------------------------------------------------
    async def action_view(self, name: str) -> None:
        """Switch to a view."""
        await self.switch_mode(name)
        self._results.view_opened()
        self._publish()

    async def go_to(self, model: str, stage: Stage) -> None:
        """Show one stage of a model."""
        self.select(model)
        await self.action_view("stages")
        self.screen.set_focus(self.screen.query_one(f"#{stage.value}"))

    async def action_filter(self) -> None:
        """Open the view's filter."""
        if isinstance(self.screen, ViewScreen):
            await self.screen.start_filter()

    def action_copy(self) -> None:
        """Copy the chosen item with OSC 52."""
        if isinstance(self.screen, ViewScreen) and (text := self.screen.chosen_text()):
            self.copy_to_clipboard(text)
            self.say(f"Copied: {visible(text, limit=60)}")

    def action_model(self, by: int) -> None:
        """Choose the previous or next model."""
        names = [each.model.name for each in by_need(self.models)]
        if names:
            self.select(names[(names.index(self.model_name) + by) % len(names)])

    def action_mouse(self) -> None:
        """Use the mouse in the console, or leave it to the terminal."""
        toggle = getattr(self._driver, "toggle_mouse", None)
        if toggle is None:
            self.say("The mouse cannot be switched in this session.")
        else:
            self.say(
                "The console uses the mouse now."
                if toggle()
                else "The terminal has the mouse again, for selecting text."
            )

    def action_refresh(self) -> None:
        """Poll everything now."""
        self._pollers.hurry()

    # --- the end -------------------------------------------------------------------------------------------------
    def end(self, code: int) -> None:
        """Leave with an exit code after running writes have finished."""
        self.jobs.when_drained(lambda: self.call_later(self.exit, code, code))

    async def action_quit(self) -> None:
        """Leave. While a write runs, the operator has to ask twice."""
        if (writing := self.jobs.writing) and not self._leaving:
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

    def on_kill_failed(self, event: messages.KillFailed) -> None:
        """Say that the switch may not be engaged."""
        self.say(str(event.error), severe=True)

    # --- the watch after a promotion -----------------------------------------------------------------------------
    def watch_board(self, board: Board | None) -> None:
        """Ring once for each new breach of a watched model, and show that model unless a screen is open."""
        fresh = self._breaches.fresh(board.watches if board is not None else ())
        if fresh:
            self.bell()
            if isinstance(self.screen, ViewScreen) and self.model_name not in {each.model for each in fresh}:
                self.select(fresh[0].model)
