"""Latest results of all background polls: one reactive per result, set by one handler per message."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from textual.app import App
from textual.message import Message
from textual.reactive import var

from console.first_look import look_ahead
from console.messages import PollFailed
from console.polling import Lookout, unexpected
from console.status import glanced, problems_of, status_before, status_of
from ml.judgement import LAST, board_verdict, models_at
from ml.text import visible
from widgets.model_list import by_need

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import datetime

    from textual.driver import Driver

    from console import messages
    from ml.board import Board, Glance, HistoryRow, KillView, ModelView, Problem, SoakReport, Source
    from ml.clock import Clock
    from ml.errors import ConsoleError
    from ml.session import Session
    from widgets.status_line import Status


_POLLS = 3
"""Polls without a new board after which the shown board counts as outdated."""


class WatchingApp(App[int]):
    """Receives the session's results; views and header follow its variables. It knows no key or screen by name.

    They are plain variables: setting a reactive of an application would repaint the whole screen.
    """

    board: var[Board | None] = var(None, init=False)
    checking: var[bool] = var(True, init=False)
    """True until something was judged: only names are known."""
    models: var[tuple[ModelView, ...]] = var((), init=False)
    model: var[ModelView | None] = var(None, init=False)
    """The chosen model."""
    kill: var[KillView | None] = var(None, init=False)
    soak: var[SoakReport | None] = var(None, init=False)
    history: var[tuple[HistoryRow, ...] | None] = var(None, init=False)
    log_lines: var[tuple[str, ...] | None] = var(None, init=False)
    status: var[Status | None] = var(None, init=False)
    problems: var[tuple[Problem, ...]] = var((), init=False)
    now: var[datetime | None] = var(None, init=False)

    def __init__(
        self,
        session: Session,
        clock: Clock,
        *,
        read_only: bool,
        place: tuple[str, bool],
        poll_seconds: float,
        fetch_seconds: float,
        driver_class: type[Driver] | None,
        ansi_color: bool | None,
        names: Future[Glance] | None,
    ) -> None:
        super().__init__(driver_class=driver_class, ansi_color=ansi_color)
        self.session = session
        self.clock = clock
        self.read_only = self._asked_read_only = read_only
        self._place = place
        self._lookout = Lookout(session, self._post, poll_s=poll_seconds, fetch_s=fetch_seconds)
        self._glance: Glance | None = None
        self._remote: Source | None = None
        self._failures: dict[str, ConsoleError] = {}
        self._kill_seen: datetime | None = None
        self._believed = max(LAST, _POLLS * timedelta(seconds=poll_seconds))
        self._outdated = False
        self.window_title = ""
        self.now = clock.now()
        self._first_look = names or look_ahead(session.glance)

    # --- life ----------------------------------------------------------------------------------------------------
    def on_load(self) -> None:
        """Show the names in the first frame if they are read already, else as soon as they arrive."""
        if self._first_look.done():
            self._take_names()
        else:
            self._first_look.add_done_callback(lambda _: self.call_later(self._take_names))
        self._renew_status()

    def on_mount(self) -> None:
        """Start polling once the first frame is drawn."""
        self.set_interval(1.0, self._tick)
        self.call_after_refresh(self._lookout.start)

    def on_unmount(self) -> None:
        """Stop polling."""
        self._lookout.end()

    def _take_names(self) -> None:
        """Show the names. An error in reading them is shown, and the board still follows."""
        try:
            names = self._first_look.result()
        except Exception as bug:  # noqa: BLE001 whatever it was, it must be told
            self.on_poll_failed(PollFailed("registry", unexpected(bug)))
        else:
            self._take_glance(names)

    def _tick(self) -> None:
        self.now = self.clock.now()
        if self.board is None or self._outdated:
            return
        models = models_at(self.board, self.now, self._believed)
        if models is not self.board.models:  # The last poll is too old, so no verdict stays green.
            self._outdated = True
            self._show(models)

    def _post(self, message: Message) -> bool:
        return self.post_message(message)

    # --- what arrives --------------------------------------------------------------------------------------------
    def on_board_arrived(self, event: messages.BoardArrived) -> None:
        """Take one poll of the board."""
        for look in ("registry", "board"):
            self._failures.pop(look, None)
        read_only = self._asked_read_only or event.board.read_only
        if read_only != self.read_only:
            self.read_only = read_only
            self.call_next(self.refresh_bindings)
        self.board, self.checking, self._outdated = event.board, False, False
        # A board that was started before the last separate read of the switch has an older state of the switch.
        if self._kill_seen is None or event.board.as_of > self._kill_seen:
            self._take_kill(event.board.kill)
        self._show(models_at(event.board, self.clock.now(), self._believed))

    def on_remote_fetched(self, event: messages.RemoteFetched) -> None:
        """Take the remote's state."""
        self._failures.pop("remote", None)
        self._remote = event.source
        self._renew_status()

    def on_poll_failed(self, event: messages.PollFailed) -> None:
        """Note a failed poll."""
        self._failures[event.what] = event.error
        self._renew_status()

    def on_rollbacks_armed(self) -> None:
        """Note that all prepared rollbacks are up to date."""
        self._seen("rollback")

    def on_soak_arrived(self, event: messages.SoakArrived) -> None:
        """Take a model's soak, unless another model is chosen by now."""
        if event.report.model == self.model_name:
            self._seen("view")
            self.soak = event.report

    def on_history_arrived(self, event: messages.HistoryArrived) -> None:
        """Take a model's history, unless another model is chosen by now."""
        if event.model == self.model_name:
            self._seen("view")
            self.history = event.rows

    def on_log_arrived(self, event: messages.LogArrived) -> None:
        """Take the audit log."""
        self._seen("view")
        self.log_lines = event.lines

    def on_kill_arrived(self, event: messages.KillArrived) -> None:
        """Take the switch's state after an engage, a release, or a poll."""
        self._kill_seen = self.clock.now()
        self._seen("kill switch")
        self._take_kill(event.view)

    def on_kill_failed(self, event: messages.KillFailed) -> None:
        """Note that the switch may not be engaged. The note stays until it is."""
        self._failures["kill switch"] = event.error
        self.say(str(event.error), severe=True)
        self._renew_status()

    def say(self, text: str, *, severe: bool = False) -> None:
        """Show a short notification."""
        self.notify(visible(text), severity="error" if severe else "information", markup=False)

    # --- what follows --------------------------------------------------------------------------------------------
    @property
    def model_name(self) -> str:
        """Name of the chosen model; empty when there is none."""
        return self.model.name if self.model is not None else ""

    def select(self, name: str) -> None:
        """Choose a model. For an unknown name, choose the model that needs attention most."""
        before = self.model_name
        found = next((model for model in self.models if model.name == name), None)
        self.model = found or next((each.model for each in by_need(self.models)), None)
        if self.model_name != before:
            self.soak = self.history = None
        self._renew_status()
        self.look()

    def look(self) -> None:
        """Poll the data that the open view needs."""
        self._lookout.look_at(self.current_mode, self.model_name)

    def _seen(self, what: str) -> None:
        if self._failures.pop(what, None) is not None:
            self._renew_status()

    def _take_glance(self, glance: Glance) -> None:
        if self.checking and glance is not self._glance:
            self._glance = glance
            self._show(glanced(glance))

    def _show(self, models: tuple[ModelView, ...]) -> None:
        self.models = models
        self.select(self.model_name)
        self._name_window()

    def _name_window(self) -> None:
        """Show the state of all models in the window's title, visible while another window is in front."""
        board = self.board
        verdict = "checking" if board is None else board_verdict(replace(board, models=self.models)).value
        if self._driver is None:
            return
        place = visible(board.environment if board is not None else self._place[0], limit=40)
        title = " ".join(filter(None, (verdict, place, "mlconsole")))
        if title != self.window_title:
            self.window_title = title
            tell: Callable[[str], None] | None = getattr(self._driver, "name_window", None)
            if tell is not None:
                tell(title)

    def _take_kill(self, view: KillView) -> None:
        self.kill = view
        self._lookout.follow(view)
        self._renew_status()

    def _renew_status(self) -> None:
        self.problems = problems_of(self.board, self._glance, self._failures)
        if self.board is not None:
            self.status = status_of(self.board, self.model_name, self.kill, self._remote)
            return
        name, production = self._place
        self.status = status_before(
            name, production=production, read_only=self.read_only, glance=self._glance, model=self.model_name
        )
