"""The write of one change on a screen: progress step by step, then a receipt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, ContentSwitcher, Static

from console.screens.rungs import Follower
from console.status import next_command, next_words
from ml.errors import Conflict, ConsoleError
from ml.ports import Progress
from ml.promotion.rungs import Ladder, Rung, State
from ml.promotion.values import Submission
from ml.text import visible
from ml.verdict import Verdict
from widgets.change_ladder import ChangeLadder
from widgets.diff_view import DiffView
from widgets.drawing import MARKS, Glyphs, bar, glyphs_of
from widgets.facts import Fact, Facts

if TYPE_CHECKING:
    from console.screens.pushed import PushedScreen

# Page that shows a write: its progress step by step, then a receipt, a conflict or a failure.

_BAR, _LABEL = 20, 8


class SubmissionPage(Vertical):
    """Shows one write from its first step to its end, then the rungs of the change, which it follows.

    It has no buttons, so a held key does nothing.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "l", "land", "Land", id="receipt.land", tooltip="Open the change to land it after the gate; asks first"
        ),
    ]

    DEFAULT_CSS = """
    SubmissionPage { height: 1fr; }
    SubmissionPage #steps-done { height: auto; max-height: 8; }
    SubmissionPage #outcome { height: auto; max-height: 1fr; margin: 1 0 0 0; }
    SubmissionPage ChangeLadder { display: none; }
    SubmissionPage #further { margin: 1 0 0 0; }
    SubmissionPage DiffView { height: 1fr; margin: 1 0 0 0; display: none; }
    """

    _follower: Follower | None = None
    _submitted: Submission | None = None

    def compose(self) -> ComposeResult:
        """Progress, outcome below it, and the difference of a conflict last."""
        yield Static(id="steps-done", markup=False)
        with VerticalScroll(id="outcome"):
            yield Facts(id="written", label_width=_LABEL)
            yield ChangeLadder(brief=True)
            yield Facts(id="further", label_width=_LABEL)
        yield DiffView()

    def show(self, progress: tuple[Progress, ...], submission: Submission | None, failure: ConsoleError | None) -> None:
        """Show the write's progress and outcome."""
        glyphs = glyphs_of(self.app)
        under_way = _under_way(progress, glyphs, failed=failure is not None)
        self.query_one("#steps-done", Static).update(_done(progress, glyphs) if submission else under_way)
        outcome = receipt(submission) if submission else complaint(failure) if failure else ()
        self.query_one("#written", Facts).facts = tuple(outcome)
        self.query_one("#further", Facts).facts = tuple(further(submission)) if submission else ()
        difference = failure.difference if isinstance(failure, Conflict) else ""
        view = self.query_one(DiffView)
        view.diff = difference
        view.display = bool(difference)
        self._follow(submission)

    def _follow(self, submission: Submission | None) -> None:
        """Follow a change from the moment that it is written."""
        ladder = self.query_one(ChangeLadder)
        ladder.display = submission is not None
        if submission is not None and submission != self._submitted:
            ladder.ladder = None
            self._follower = Follower(cast("PushedScreen", self.screen), self._seen, self._blind)
            self._follower.follow(submission.branch)
        self._submitted = submission

    def _seen(self, found: Ladder) -> None:
        ladder = self.query_one(ChangeLadder)
        ladder.ladder, ladder.outdated = found, ""
        self.screen.refresh_bindings()

    def _blind(self, error: ConsoleError) -> None:
        self.query_one(ChangeLadder).outdated = str(error)

    def action_land(self) -> None:
        """Open the written change, and ask to land it."""
        from console.screens.open_change import OpenChangeScreen  # noqa: PLC0415 it is not part of a write

        if self._submitted is not None:
            self.app.push_screen(OpenChangeScreen(self._submitted.branch, then="land"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the landing while the written change has not landed."""
        if action != "land":
            return super().check_action(action, parameters)
        found = self.query_one(ChangeLadder).ladder if self.is_mounted and self.query(ChangeLadder) else None
        landed = found is not None and found.step(Rung.MERGED).state is State.REACHED
        return self._submitted is not None and not landed


def _under_way(progress: tuple[Progress, ...], glyphs: Glyphs, *, failed: bool) -> Content:
    """One line per step; the last line is the running or failed step."""
    last = Verdict.FAIL if failed else Verdict.WAIT
    return Content("\n").join([_row(step, last if step is progress[-1] else Verdict.PASS, glyphs) for step in progress])


def _done(progress: tuple[Progress, ...], glyphs: Glyphs) -> Content:
    """All steps in one line; the receipt below has the details."""
    mark = MARKS[Verdict.PASS]
    names = ", ".join(visible(step.step) for step in progress)
    return Content.assemble((mark.ascii_glyph if glyphs.ascii_only else mark.glyph, mark.color), f" {names}")


def _row(progress: Progress, verdict: Verdict, glyphs: Glyphs) -> Content:
    mark = MARKS[verdict]
    note = visible(progress.note)
    if verdict is Verdict.WAIT and progress.total:
        note = f"{bar(progress.done / progress.total, _BAR, glyphs)} {progress.done} of {progress.total}  {note}"
    glyph = mark.ascii_glyph if glyphs.ascii_only else mark.glyph
    return Content.assemble((glyph, mark.color), f" {visible(progress.step):<12} ", (note, "$quiet"))


def complaint(error: ConsoleError) -> Iterator[Fact]:
    """Return cause and remedy of a failed write. A remote hook's own message may take several lines."""
    word = "CONFLICT: nothing was published, and nothing is replayed" if isinstance(error, Conflict) else "NOT DONE"
    yield Fact("", Content.styled(word, MARKS[Verdict.FAIL].color))
    yield from (Fact.of("", line) for line in visible(error.cause, lines=True).splitlines())
    yield Fact.of("", error.remedy)


def receipt(submission: Submission) -> Iterator[Fact]:
    """Return the result, the whole branch, and where it is reviewed. The rungs stand below."""
    word, color = "PUSHED, and read back from the remote", "$verdict-good bold"
    if not submission.pushed:
        word, color = "NOT PUSHED: the branch is local only", "$verdict-unknown bold"
    yield Fact("", Content.styled(word, color))
    yield Fact.of("", submission.branch, "bold")
    if submission.pr_url:
        yield Fact.of("review", submission.pr_url)


def further(submission: Submission) -> Iterator[Fact]:
    """Return the next step for a shell, the commit, and the remote's answer."""
    yield from Fact.lines("next", (f"{next_words(submission)} (Y copies):", next_command(submission)))
    facts = (("commit", submission.commit), ("remote", submission.why), ("body", submission.body_path))
    yield from (Fact.of(label, value) for label, value in facts if value)


class Write:
    """The write of one screen: it runs off the event loop, and the screen's `SubmissionPage` shows how it goes.

    The screen has a `ContentSwitcher` ``#pages`` with the `SubmissionPage` ``#answer``, and the buttons ``#confirm``
    and ``#again``.

    Args:
        screen: the screen that was confirmed.
        change: name of the change, at the beginning of a sentence.
    """

    def __init__(self, screen: PushedScreen, change: str) -> None:
        self._screen = screen
        self._change = change
        self._running = False
        self._submission: Submission | None = None
        self._progress: tuple[Progress, ...] = ()

    def start(self, name: str, action: Callable[..., Submission]) -> None:
        """Run an action that takes ``report``, and show its progress. ``name`` is what it does, for the thread."""
        self._running, self._progress = True, ()
        self._screen.query_one("#pages", ContentSwitcher).current = "answer"
        self._screen.query_one("#outcome").focus()
        self._show(None, None)
        self._screen.say(f"{self._change} is being written.")
        self._screen.work(name, partial(action, report=self._report), self._done, self._failed, writes=True)

    @property
    def unfinished(self) -> str:
        """Return a sentence while the write runs; empty before and after it."""
        return f"{self._change} is being written. Press Escape when it has finished." if self._running else ""

    @property
    def next_command(self) -> str:
        """Return the receipt's next command; empty without a receipt."""
        return next_command(self._submission) if self._submission else ""

    def _report(self, progress: Progress) -> None:
        """Show progress; called on the action's thread."""
        self._screen.call_later(self._progressed, progress)

    def _progressed(self, progress: Progress) -> None:
        self._progress = (*(each for each in self._progress if each.step != progress.step), progress)
        if self._running:
            self._show(None, None)

    def _done(self, submission: Submission) -> None:
        self._end(submission, None)

    def _failed(self, error: ConsoleError) -> None:
        self._screen.query_one("#again").display = isinstance(error, Conflict)
        self._end(None, error)

    def _end(self, submission: Submission | None, failure: ConsoleError | None) -> None:
        self._running, self._submission = False, submission
        self._show(submission, failure)
        self._screen.query_one("#confirm").display = False
        self._screen.query_one("#cancel", Button).label = "Close"
        self._screen.say("")
        self._screen.refresh_bindings()

    def _show(self, submission: Submission | None, failure: ConsoleError | None) -> None:
        self._screen.query_one(SubmissionPage).show(self._progress, submission, failure)
