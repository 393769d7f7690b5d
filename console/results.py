"""Latest results of the session's polls, and all that the interface shows because of them. It does no I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from console.messages import (
    BoardArrived,
    ChangesArrived,
    HistoryArrived,
    KillArrived,
    KillFailed,
    LogArrived,
    NamesRead,
    PollFailed,
    RemoteFetched,
    Result,
    RollbacksArmed,
    SoakArrived,
)
from console.status import glanced, problems_of, status_before, status_of
from ml.judgement import LAST, board_verdict, models_at
from ml.text import visible
from widgets.model_list import by_need

if TYPE_CHECKING:
    from datetime import datetime

    from ml.board import Board, Glance, HistoryRow, KillView, ModelView, Problem, SoakReport, Source
    from ml.clock import Clock
    from ml.errors import ConsoleError
    from ml.promotion.rungs import Ladder
    from widgets.status_line import Status

_POLLS = 3
"""Polls without a new board after which the shown board counts as outdated."""


class Results:
    """State of one interface. `take` adds a result; the attributes hold what is shown now.

    Args:
        clock: the time by which verdicts become outdated.
        read_only: the session was started without changes.
        environment, production: what the header says until the first board tells it.
        poll_seconds: rest between two boards.
    """

    def __init__(
        self, clock: Clock, *, read_only: bool, environment: str, production: bool, poll_seconds: float
    ) -> None:
        self.board: Board | None = None
        self.checking = True
        self.models: tuple[ModelView, ...] = ()
        self.model: ModelView | None = None
        self.kill: KillView | None = None
        self.soak: SoakReport | None = None
        self.history: tuple[HistoryRow, ...] | None = None
        self.log_lines: tuple[str, ...] | None = None
        self.changes: tuple[Ladder, ...] | None = None
        self.status: Status | None = None
        self.problems: tuple[Problem, ...] = ()
        self.read_only = self._started_read_only = read_only
        self.title = ""
        """The window's title: the verdict of all models, visible while another window is in front."""
        self._clock = clock
        self._environment, self._production = environment, production
        self._trusted_for = max(LAST, _POLLS * timedelta(seconds=poll_seconds))
        self._glance: Glance | None = None
        self._remote: Source | None = None
        self._failures: dict[str, ConsoleError] = {}
        self._kill_read_at: datetime | None = None
        self._outdated = False
        self._renew()

    @property
    def model_name(self) -> str:
        """Name of the chosen model; empty when there is none."""
        return self.model.name if self.model is not None else ""

    def take(self, result: Result) -> None:
        """Add one result. A soak or a history of a model that is not chosen any more is ignored."""
        match result:
            case NamesRead(glance=glance):
                self._take_names(glance)
            case BoardArrived(board=board):
                self._take_board(board)
            case KillArrived(view=view):
                self._kill_read_at = self._clock.now()
                self._answered("kill switch")
                self.kill = view
            case RemoteFetched(source=source):
                self._answered("remote")
                self._remote = source
            case PollFailed(what=what, error=error):
                self._failures[what] = error
            case KillFailed(error=error):  # It stays until the switch is engaged.
                self._failures["kill switch"] = error
            case RollbacksArmed():
                self._answered("rollback")
            case ChangesArrived(ladders=ladders, untold=untold):
                self._take_changes(ladders, untold)
            case _:
                self._take_view(result)
        self._renew()

    def tick(self, now: datetime) -> bool:
        """Let verdicts go when the last poll is too old: none stays green. Returns True if that changed them."""
        if self.board is None or self._outdated:
            return False
        models = models_at(self.board, now, self._trusted_for)
        self._outdated = models is not self.board.models
        if self._outdated:
            self._show(models)
            self._renew()
        return self._outdated

    def select(self, name: str) -> None:
        """Choose a model. For an unknown name, choose the model that needs attention most."""
        self._choose(name)
        self._renew()

    def view_opened(self) -> None:
        """Forget a failed poll of the view before. It is shown again when that view is opened."""
        self._answered("view")
        self._renew()

    def _take_board(self, board: Board) -> None:
        for poll in ("registry", "board"):
            self._answered(poll)
        self.read_only = self._started_read_only or board.read_only
        self.board, self.checking, self._outdated = board, False, False
        # A board that was started before the last separate read of the switch has an older state of the switch.
        if self._kill_read_at is None or board.as_of > self._kill_read_at:
            self.kill = board.kill
        self._show(models_at(board, self._clock.now(), self._trusted_for))

    @property
    def changes_move(self) -> bool:
        """True while a change may move: before the first look, and as long as one is open or was just done."""
        branches = self.board.registry.branches if self.board is not None else ()
        return self.board is not None and (self.changes is None or bool(self.changes or branches))

    def _take_changes(self, ladders: tuple[Ladder, ...], untold: ConsoleError | None) -> None:
        self._answered("changes")
        self.changes = ladders
        if untold is None:
            self._answered("webhook")
        else:
            self._failures["webhook"] = untold

    def _take_names(self, glance: Glance) -> None:
        if self.checking:  # Something judged is better than names.
            self._glance = glance
            self._show(glanced(glance))

    def _take_view(self, result: Result) -> None:
        match result:
            case LogArrived(lines=lines):
                self.log_lines = lines
            case SoakArrived(report=report) if report.model == self.model_name:
                self.soak = report
            case HistoryArrived(model=model, rows=rows) if model == self.model_name:
                self.history = rows
            case _:
                return
        self._answered("view")

    def _answered(self, poll: str) -> None:
        self._failures.pop(poll, None)

    def _show(self, models: tuple[ModelView, ...]) -> None:
        self.models = models
        self._choose(self.model_name)
        board = self.board
        verdict = "checking" if board is None else board_verdict(replace(board, models=models)).value
        place = visible(board.environment if board is not None else self._environment, limit=40)
        self.title = " ".join(filter(None, (verdict, place, "mlconsole")))

    def _choose(self, name: str) -> None:
        before = self.model_name
        named = next((model for model in self.models if model.name == name), None)
        self.model = named or next((each.model for each in by_need(self.models)), None)
        if self.model_name != before:
            self.soak = self.history = None

    def _renew(self) -> None:
        self.problems = problems_of(self.board, self._glance, self._failures)
        if self.board is not None:
            self.status = status_of(self.board, self.model_name, self.kill, self._remote)
            return
        self.status = status_before(
            self._environment,
            production=self._production,
            read_only=self.read_only,
            glance=self._glance,
            model=self.model_name,
        )
