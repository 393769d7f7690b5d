"""What background work tells the interface. Threads only post these; one handler each, in `console.app`.

Values in messages are frozen; a failure is always a typed `ConsoleError` with cause and remedy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from ml.board import Board, HistoryRow, KillView, SoakReport, Source
    from ml.errors import ConsoleError


class BoardArrived(Message):
    """One poll finished."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.board = board


class PollFailed(Message):
    """A background look failed as a whole; what is shown stays, and is marked by its age."""

    def __init__(self, what: str, error: ConsoleError) -> None:
        super().__init__()
        self.what = what
        self.error = error


class RemoteFetched(Message):
    """The registry's remote was asked; its state afterwards."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source


class SoakArrived(Message):
    """The whole soak of one model."""

    def __init__(self, report: SoakReport) -> None:
        super().__init__()
        self.report = report


class HistoryArrived(Message):
    """A model's events, newest first."""

    def __init__(self, model: str, rows: tuple[HistoryRow, ...]) -> None:
        super().__init__()
        self.model = model
        self.rows = rows


class LogArrived(Message):
    """The newest lines of the audit log, newest first."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__()
        self.lines = lines


class RollbacksArmed(Message):
    """The rollbacks of the models that need one most are prepared and up to date."""


class KillPressed(Message):
    """The kill key was pressed and the switch is being thrown on a thread of its own."""


class KillNotHere(Message):
    """The kill key was pressed in a session that was started without it."""


class KillArrived(Message):
    """The kill switch as it stands now: after a press, a release, or a look at the receipts.

    The press itself is `ConsoleApp.engage_kill`, called on the terminal's input thread, never by a screen:
    `KillScreen` only shows ``app.kill`` (a `KillView`, or ``None`` until the first answer) as it climbs the ladder,
    and the application reads the receipts back every second until they are CONFIRMED or UNCONFIRMED.
    """

    def __init__(self, view: KillView) -> None:
        super().__init__()
        self.view = view


class KillFailed(Message):
    """The switch could not be thrown, or its receipts could not be read."""

    def __init__(self, error: ConsoleError) -> None:
        super().__init__()
        self.error = error
