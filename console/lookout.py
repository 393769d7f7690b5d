"""What the console looks at in the background, and how often: board, remote, receipts, and what the open view needs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from console.messages import (
    BoardArrived,
    HistoryArrived,
    KillArrived,
    LogArrived,
    RemoteFetched,
    RollbacksArmed,
    SoakArrived,
)
from console.pollers import Look, Poller
from ml.board import Rung

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.message import Message

    from ml.board import KillView
    from ml.operations import Operations

VIEW_S = 30.0
"""Seconds between two looks at what the open view needs."""

_RECEIPT_S = 1.0
_CLIMBING = (Rung.REQUESTED, Rung.WRITTEN, Rung.APPLIED)


class Lookout:
    """The pollers of one session. Looks are frozen when they are set: a thread never asks what is current."""

    def __init__(
        self, operations: Operations, post: Callable[[Message], bool], *, poll_s: float, fetch_s: float
    ) -> None:
        self._operations = operations
        self._board = Poller("board", post, poll_s)
        self._fetch = Poller("remote", post, fetch_s)
        self._view = Poller("view", post, VIEW_S)
        self._rollbacks = Poller("rollback", post, poll_s)
        self._receipts = Poller("kill switch", post, _RECEIPT_S)
        self._looking_at: tuple[str, str] | None = None
        self._climbing = False
        self._at_once = threading.Event()

    def start(self) -> None:
        """Look at the board and the remote from now on."""
        self._board.watch(self._look_at_board)
        self._fetch.watch(lambda: RemoteFetched(self._operations.fetch()))
        self._rollbacks.watch(self._keep_rollbacks_armed)

    def hurry(self) -> None:
        """Look at everything again now, also at what rests because it did not answer."""
        self._at_once.set()
        for poller in (self._board, self._fetch, self._view):
            poller.hurry()

    def look_at(self, view: str, model: str) -> None:
        """What the open view needs for the chosen model; the same again changes nothing."""
        if (view, model) != self._looking_at:
            self._looking_at = (view, model)
            self._view.watch(self._look(view, model))

    def follow(self, kill: KillView) -> None:
        """Read the receipts back every second while they climb."""
        climbing = kill.rung in _CLIMBING
        if climbing != self._climbing:
            self._climbing = climbing
            self._receipts.watch((lambda: KillArrived(self._operations.kill_view())) if climbing else None)

    def end(self) -> None:
        """Take no further looks."""
        for poller in (self._board, self._fetch, self._view, self._rollbacks, self._receipts):
            poller.end()

    def _look_at_board(self) -> Message:
        at_once = self._at_once.is_set()
        self._at_once.clear()
        return BoardArrived(self._operations.board(at_once=at_once))

    def _keep_rollbacks_armed(self) -> Message:
        self._operations.keep_rollbacks_armed()
        return RollbacksArmed()

    def _look(self, view: str, model: str) -> Look | None:
        operations = self._operations
        if view == "log":
            return lambda: LogArrived(operations.log())
        if not model:
            return None
        looks: dict[str, Look] = {
            "soak": lambda: SoakArrived(operations.soak(model)),
            "history": lambda: HistoryArrived(model, operations.history(model)),
        }
        return looks.get(view)
