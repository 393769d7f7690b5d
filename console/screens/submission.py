"""The page on which a change is written: its progress step by step, then a receipt, a conflict or a failure."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ml.errors import Conflict, ConsoleError
from ml.ports import Progress
from ml.promotion.values import Submission
from ml.text import visible
from ml.verdict import Verdict
from widgets.bars import bar
from widgets.diff_view import DiffView
from widgets.facts import Fact, Facts
from widgets.glyphs import Glyphs, glyphs_of
from widgets.verdicts import MARKS

_BAR, _LABEL = 20, 8


class SubmissionPage(Vertical):
    """Shows one write from its first step to its end. Nothing here can be pressed, so a held key does nothing."""

    DEFAULT_CSS = """
    SubmissionPage { height: 1fr; }
    SubmissionPage #steps-done { height: auto; max-height: 8; }
    SubmissionPage #outcome { height: auto; max-height: 1fr; margin: 1 0 0 0; }
    SubmissionPage DiffView { height: 1fr; margin: 1 0 0 0; display: none; }
    """

    def compose(self) -> ComposeResult:
        """Progress above, outcome below, the difference of a conflict under both."""
        yield Static(id="steps-done", markup=False)
        with VerticalScroll(id="outcome"):
            yield Facts(label_width=_LABEL)
        yield DiffView()

    def show(self, progress: tuple[Progress, ...], submission: Submission | None, failure: ConsoleError | None) -> None:
        """Show the write as far as it is, and how it ended."""
        ended = Verdict.FAIL if failure else Verdict.PASS if submission else Verdict.WAIT
        glyphs = glyphs_of(self.app)
        rows = [_row(step, ended if step is progress[-1] else Verdict.PASS, glyphs) for step in progress]
        self.query_one("#steps-done", Static).update(Content("\n").join(rows))
        outcome = receipt(submission) if submission else complaint(failure) if failure else ()
        self.query_one(Facts).facts = tuple(outcome)
        difference = failure.difference if isinstance(failure, Conflict) else ""
        view = self.query_one(DiffView)
        view.diff = difference
        view.display = bool(difference)


def _row(progress: Progress, verdict: Verdict, glyphs: Glyphs) -> Content:
    mark = MARKS[verdict]
    note = visible(progress.note)
    if verdict is Verdict.WAIT and progress.total:
        note = f"{bar(progress.done / progress.total, _BAR, glyphs)} {progress.done} of {progress.total}  {note}"
    glyph = mark.ascii_glyph if glyphs.ascii_only else mark.glyph
    return Content.assemble((glyph, mark.color), f" {visible(progress.step):<12} ", (note, "$quiet"))


def complaint(error: ConsoleError) -> Iterator[Fact]:
    """Why a write did not happen, and what to do; a remote hook's own words may fill several lines."""
    word = "CONFLICT: nothing was written" if isinstance(error, Conflict) else "NOT DONE"
    yield Fact("", Content.styled(word, MARKS[Verdict.FAIL].color))
    yield from (Fact.of("", line) for line in visible(error.cause, lines=True).splitlines())
    yield Fact.of("", error.remedy)


def receipt(submission: Submission) -> Iterator[Fact]:
    """What exists now, where it was read back, and the next steps."""
    verdict = Verdict.PASS if submission.pushed else Verdict.STALE
    word = "PUSHED, and read back from the remote" if submission.pushed else "NOT PUSHED: the branch is local only"
    yield Fact("", Content.styled(word, f"{MARKS[verdict].color} bold"))
    facts = (
        ("branch", submission.branch),
        ("commit", submission.commit),
        ("remote", submission.why),
        ("review", submission.pr_url),
        ("body", submission.body_path),
    )
    yield from (Fact.of(label, value) for label, value in facts if value)
    yield Fact("", Content(""))
    yield from Fact.lines("next", next_steps(submission))


def next_steps(submission: Submission) -> tuple[str, ...]:
    """What a person does after this submission, in order."""
    branch = submission.branch
    if not submission.pushed:
        return (f"When the remote is back: mlconsole push {branch}", "Then have it reviewed and landed.")
    review = f"Have it reviewed: {submission.pr_url}" if submission.pr_url else "Have the branch reviewed."
    return (review, f"Where there is no forge: mlconsole land {branch}")
