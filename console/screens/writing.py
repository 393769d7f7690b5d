"""What screens that write one change have in common: it is shown step by step, and ends in a receipt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.widgets import Button, ContentSwitcher

from console.next_step import next_command
from console.screens.pushed import PushedScreen
from console.screens.submission import SubmissionPage
from ml.errors import Conflict, ConsoleError
from ml.ports import Progress
from ml.promotion.values import Submission


class WritingScreen(PushedScreen):
    """A screen with pages, the last of which, ``#answer``, is a `SubmissionPage`; with ``#confirm`` and ``#again``."""

    CHANGE: ClassVar[str] = "The change"
    """What is written, in words."""

    def __init__(self) -> None:
        super().__init__()
        self._writing = False
        self._submission: Submission | None = None
        self._progress: tuple[Progress, ...] = ()

    def turn(self, page: str) -> None:
        """Show another page."""
        self.query_one("#pages", ContentSwitcher).current = page

    def write(self, name: str, action: Callable[..., Submission]) -> None:
        """Run an action that takes ``report``, and show how far it is."""
        self._writing, self._progress = True, ()
        self.turn("answer")
        self.query_one("#outcome").focus()
        self._show_write(None, None)
        self.say(f"{self.CHANGE} is being written.")
        self.work(name, partial(action, report=self._report), self._done, self._failed, writes=True)

    def ended(self) -> None:
        """The write is over, with a receipt or without."""

    def _report(self, progress: Progress) -> None:
        """Called on the action's thread."""
        self.call_later(self._progressed, progress)

    def _progressed(self, progress: Progress) -> None:
        self._progress = (*(each for each in self._progress if each.step != progress.step), progress)
        if self._writing:
            self._show_write(None, None)

    def _done(self, submission: Submission) -> None:
        self._end(submission, None)

    def _failed(self, error: ConsoleError) -> None:
        self.query_one("#again").display = isinstance(error, Conflict)
        self._end(None, error)

    def _end(self, submission: Submission | None, failure: ConsoleError | None) -> None:
        self._writing, self._submission = False, submission
        self._show_write(submission, failure)
        self.query_one("#confirm").display = False
        self.query_one("#cancel", Button).label = "Close"
        self.say("")
        self.refresh_bindings()
        self.ended()

    def _show_write(self, submission: Submission | None, failure: ConsoleError | None) -> None:
        self.query_one(SubmissionPage).show(self._progress, submission, failure)

    def action_leave(self) -> None:
        """Leave; while the change is written, its end is waited for."""
        if self._writing:
            self.say(f"{self.CHANGE} is being written. It ends by itself; then Escape closes.")
        else:
            self.dismiss()

    @property
    def copyable(self) -> str:
        """The command that goes on from the receipt."""
        return next_command(self._submission) if self._submission else ""
