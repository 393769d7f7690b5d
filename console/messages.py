"""Messages from background threads to the interface. `console.results` takes every `Result`.

Values in messages are frozen. A failure is always a typed `ConsoleError` with cause and remedy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from ml.board import Board, Glance, HistoryRow, KillView, SoakReport, Source
    from ml.errors import ConsoleError
    from ml.promotion.rungs import Ladder


class Result(Message):
    """The end of one background poll, or of an order to the kill switch."""


class NamesRead(Result):
    """The first read of the registry finished: names of artifacts, judged by nothing yet."""

    def __init__(self, glance: Glance) -> None:
        super().__init__()
        self.glance = glance


class BoardArrived(Result):
    """One poll of the board finished."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.board = board


class PollFailed(Result):
    """A background poll failed as a whole. The shown data stays, and its age marks it."""

    def __init__(self, what: str, error: ConsoleError) -> None:
        super().__init__()
        self.what = what
        self.error = error


class RemoteFetched(Result):
    """A fetch of the registry's remote finished; holds the remote's state."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source


class SoakArrived(Result):
    """A model's whole soak was read."""

    def __init__(self, report: SoakReport) -> None:
        super().__init__()
        self.report = report


class HistoryArrived(Result):
    """A model's events were read, newest first."""

    def __init__(self, model: str, rows: tuple[HistoryRow, ...]) -> None:
        super().__init__()
        self.model = model
        self.rows = rows


class LogArrived(Result):
    """The newest lines of the audit log were read, newest first."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__()
        self.lines = lines


class ChangesArrived(Result):
    """The changes were looked at, newest first; ``untold`` is why their rungs could not be told to the webhook."""

    def __init__(self, ladders: tuple[Ladder, ...], untold: ConsoleError | None = None) -> None:
        super().__init__()
        self.ladders = ladders
        self.untold = untold


class RollbacksArmed(Result):
    """The rollbacks of the models that need one most are prepared and up to date."""


class KillPressed(Message):
    """The kill key was pressed. Another thread is engaging the switch."""


class KillNotHere(Message):
    """The kill key was pressed in a session that was started with --no-kill."""


class KillArrived(Result):
    """The kill switch's state after a press, a release, or a poll of the receipts.

    `ConsoleApp.engage_kill` handles the press on the terminal's input thread; no screen does. `KillScreen` only shows
    ``app.kill``: a `KillView`, or ``None`` until the first answer. The application polls the receipts every second
    until they are CONFIRMED or UNCONFIRMED.
    """

    def __init__(self, view: KillView) -> None:
        super().__init__()
        self.view = view


class KillFailed(Result):
    """The switch could not be written, or its receipts could not be read."""

    def __init__(self, error: ConsoleError) -> None:
        super().__init__()
        self.error = error
