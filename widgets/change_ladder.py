"""The rungs of a change: one change in full, and a list of changes with the rung on which each stands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive, var
from textual.widget import Widget

from ml.clock import age, clock_time
from ml.promotion.rungs import Ending, Ladder, Rung, State, Step, Subject
from ml.stage import Action, Stage
from ml.text import visible
from widgets.drawing import Glyphs, fit, fit_line, glyphs_of
from widgets.row_list import RowList


class _Mark(NamedTuple):
    """Display of a rung's state. The word carries it; glyph and color repeat it."""

    word: str
    glyph: str
    ascii_glyph: str
    color: str


_MARKS = {
    State.REACHED: _Mark("done", "✓", "+", "$verdict-good"),
    State.WAITING: _Mark("waits", "…", ".", "$verdict-quiet"),
    State.FAILED: _Mark("FAILED", "✗", "x", "$verdict-bad bold"),
    State.UNKNOWN: _Mark("unknown", "?", "?", "$verdict-unknown"),
    State.NOT_NEEDED: _Mark("-", "-", "-", "$quiet"),
}
_RUNG, _WORD = 8, 7
_INDENT = 2 + _RUNG + 1 + _WORD + 2
_NARROWEST = 20


# One change.


class ChangeLadder(Widget):
    """Shows ``ladder``: each rung with its state, time, person and reason; what to do on the rung where it stands.

    Args:
        brief: one line for a reached rung, without its proof, as on a receipt.
    """

    DEFAULT_CSS = "ChangeLadder { height: auto; }"

    ladder: reactive[Ladder | None] = reactive(None, layout=True)
    """The change as last seen; ``None`` before the first look."""
    outdated: reactive[str] = reactive("", layout=True)
    """One sentence about why the last look failed; empty where it did not."""

    def __init__(self, *, id: str | None = None, brief: bool = False) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._brief = brief

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as are drawn."""
        return len(self._rows(width))

    def render(self) -> Content:
        """Draw all rows."""
        return Content("\n").join(self._rows(self.size.width))

    def _rows(self, width: int) -> list[Content]:
        return list(ladder_rows(self.ladder, width, glyphs_of(self.app), brief=self._brief, outdated=self.outdated))


def ladder_rows(
    found: Ladder | None, width: int, glyphs: Glyphs, *, brief: bool = False, outdated: str = ""
) -> Iterator[Content]:
    """Yield the rows of one change, each at most ``width`` cells wide."""
    if outdated:
        seen = f" since {found.as_of:%H:%M:%S}Z" if found is not None else ""
        told = Content.styled(f"NOT UP TO DATE{seen}: {visible(outdated)}", "$verdict-unknown bold")
        yield from _wrapped(told, width)
    if found is None:
        if not outdated:
            yield Content.styled(f"Looking at the remote, the forge and the engines {glyphs.ellipsis}", "$quiet")
        return
    for step in found.steps:
        yield from _step_rows(step, found, width, glyphs, brief=brief)
    if found.ending is not Ending.OPEN:
        end = f"{found.ending.value.upper()}: {visible(found.ending_why)}"
        yield from _wrapped(Content.styled(end, "$verdict-unknown bold"), width)


def _step_rows(step: Step, found: Ladder, width: int, glyphs: Glyphs, *, brief: bool) -> Iterator[Content]:
    mark = _MARKS[step.state]
    here = found.stands_at is not None and step.rung is found.stands_at.rung and found.ending is Ending.OPEN
    head = Content.assemble(
        (mark.ascii_glyph if glyphs.ascii_only else mark.glyph, mark.color),
        " ",
        (f"{step.rung.value.upper():<{_RUNG}}", "bold" if here else ""),
        f" {mark.word:<{_WORD}}  ",
    )
    short = brief and step.state is State.REACHED
    lines = [Content.styled(_told(step, found.as_of, short=short), "" if here else "$quiet")]
    if step.proof is not None and not brief:
        lines.append(Content.styled(f"proof: {visible(step.proof.text, limit=600)}", "$quiet"))
    if step.todo and found.ending is Ending.OPEN and (here or not brief):
        lines.append(Content.styled(f"{glyphs.arrow} {visible(step.todo, limit=600)}", "bold" if here else "$quiet"))
    room = max(_NARROWEST, width - _INDENT)
    rows = [row for line in lines for row in _wrapped(line, room)] or [Content("")]
    yield head + rows[0]
    yield from (Content(" " * _INDENT) + row for row in rows[1:])


def _told(step: Step, now: datetime, *, short: bool) -> str:
    """Time, person and reason of a rung; ``short`` leaves the reason out where something else is known."""
    at = clock_time(step.at, now) if step.at is not None else ""
    by = f"by {visible(step.by, limit=120)}" if step.by else ""
    known = " ".join(filter(None, (at, by)))
    if short and known:
        return known
    return f"{known}: {visible(step.why, limit=600)}" if known else visible(step.why, limit=600)


def _wrapped(line: Content, width: int) -> list[Content]:
    return line.wrap(max(1, width)) if line else [Content("")]


# A list of changes.

_STEP, _MODEL, _ARTIFACT, _AGE = 14, 17, 25, 6


class ChangeList(RowList):
    """The ``ladders`` that match ``pattern``, newest first. Enter opens the change under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="changes.open", key_display="Enter",
                tooltip="Open the change: rungs, difference, gates, evidence, approvals"),
        Binding("o", "address", "Address", id="changes.address", tooltip="Copy the address of its pull request"),
        Binding("a", "open('approve')", "Approve", id="changes.approve", tooltip="Open the change to approve it"),
        Binding("l", "open('land')", "Land", id="changes.land", tooltip="Open the change to land it after the gate"),
        Binding("x", "open('close')", "Close", id="changes.close", tooltip="Open the change to close it"),
    ]  # fmt: skip

    ladders: var[tuple[Ladder, ...]] = var((), init=False)
    pattern: var[str] = var("", init=False)
    now: var[datetime | None] = var(None, init=False)

    class Opened(Message):
        """A change was chosen; ``then`` is ``approve``, ``land`` or ``close``, or empty to look at it."""

        def __init__(self, ladder: Ladder, then: str) -> None:
            super().__init__()
            self.ladder = ladder
            self.then = then

    class AddressAsked(Message):
        """The address of a change was asked for."""

        def __init__(self, ladder: Ladder) -> None:
            super().__init__()
            self.ladder = ladder

    @property
    def chosen(self) -> Ladder | None:
        """The change under the cursor."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    def watch_ladders(self) -> None:
        """Keep the chosen change while others come and go."""
        self._arrange()

    def watch_pattern(self) -> None:
        """Show the matching changes."""
        self._arrange()

    def watch_now(self) -> None:
        """Update the ages."""
        self.renew()

    def row(self, index: int) -> Content:
        """Return one change's row."""
        found = self._shown[index]
        lines = change_lines(found, self.now or found.as_of, glyphs_of(self.app))
        return fit_line((Content(self.lead(index)) + line for line in lines), self.width, glyphs_of(self.app))

    def action_open(self, then: str = "") -> None:
        """Open the chosen change."""
        if self.chosen is not None:
            self.post_message(self.Opened(self.chosen, then))

    def action_address(self) -> None:
        """Ask for the chosen change's address."""
        if self.chosen is not None:
            self.post_message(self.AddressAsked(self.chosen))

    _shown: tuple[Ladder, ...] = ()

    def _arrange(self) -> None:
        before = self.chosen.subject.branch if self.chosen is not None else ""
        self._shown = tuple(each for each in self.ladders if self.pattern.lower() in change_text(each).lower())
        self.count = len(self._shown)
        self.cursor = next((at for at, each in enumerate(self._shown) if each.subject.branch == before), self.cursor)
        self.renew()
        self.post_message(self.Moved(self, self.cursor))


def heading() -> Content:
    """Return the columns' names, for a line above the rows."""
    words = f"{'':2}{'STANDS AT':<{_RUNG + 2}} {'AGE':>{_AGE}} {'STEP':<{_STEP}} {'MODEL':<{_MODEL}} ARTIFACT"
    return Content.styled(words, "$quiet")


def change_lines(found: Ladder, now: datetime, glyphs: Glyphs) -> Iterator[Content]:
    """Yield a change's row, the longest first: the shorter ones leave out the reason, then the person."""
    subject, following = found.subject, found.stands_at
    mark = _MARKS[State.REACHED if following is None else following.state]
    stands_at = found.highest.rung if following is None else following.rung
    row = Content.assemble(
        (mark.ascii_glyph if glyphs.ascii_only else mark.glyph, mark.color),
        " ",
        (f"{stands_at.value.upper():<{_RUNG}}", "bold"),
        (f" {age(subject.at, now):>{_AGE}} ", "$quiet"),
        fit(step_words(subject, glyphs), _STEP, glyphs),
        " ",
        (fit(visible(subject.model, limit=80) or "rules", _MODEL, glyphs), "bold"),
        " ",
        fit(visible(subject.artifact_id, limit=80), _ARTIFACT, glyphs),
    )
    by = Content.styled(f"  by {visible(subject.by, limit=80)}", "$quiet")
    if following is not None:
        yield row + by + Content.styled(f": {visible(following.why, limit=200)}", "$quiet")
    yield row + by
    yield row


def step_words(subject: Subject, glyphs: Glyphs) -> str:
    """Return the step of a change: ``shadow→active``, or the action for everything but a promotion."""
    if subject.action == Action.PROMOTE and subject.to_stage in set(Stage):
        to_stage = Stage(subject.to_stage)
        return f"{to_stage.below or ''}{glyphs.arrow}{to_stage}"
    return visible(subject.action, limit=20)


def change_text(found: Ladder) -> str:
    """Return one change as plain text, for the filter."""
    subject = found.subject
    return " ".join((subject.branch, subject.model, subject.artifact_id, subject.to_stage, subject.by, *_rungs(found)))


def _rungs(found: Ladder) -> tuple[Rung, ...]:
    return (found.highest.rung, *((found.stands_at.rung,) if found.stands_at is not None else ()))
