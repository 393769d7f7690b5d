"""Changes view: the open changes of all models with the rung on which each stands, and the chosen one in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.types import CSSPathType
from textual.widgets import Static

from console.screens.rungs import advice
from console.screens.view import ViewScreen
from ml.clock import age
from ml.promotion.rungs import Ladder
from ml.text import visible
from widgets.change_ladder import ChangeList, heading, step_words
from widgets.drawing import glyphs_of
from widgets.row_list import RowList

if TYPE_CHECKING:
    from datetime import datetime

_FOOTER = (
    "view.stages",
    "changes.open",
    "copy",
    "changes.approve",
    "changes.land",
    "changes.close",
    "kill",
    "help",
)


class ChangesScreen(ViewScreen):
    """All open changes, newest first, and those of the last day that serve. Enter opens one."""

    NAME = "changes"
    CSS_PATH: ClassVar[CSSPathType | None] = "changes.tcss"
    AUTO_FOCUS = "ChangeList"

    def body(self) -> ComposeResult:
        """Heading, names of the columns, changes, and the chosen one in words."""
        yield Static(id="heading", markup=False)
        yield Static(heading(), id="columns", markup=False)
        yield ChangeList(id="changes")
        yield Static(id="detail", markup=False)

    def on_mount(self) -> None:
        """Follow the changes."""
        self.follow("changes", self._show)
        self.follow("now", self._show_now)

    def _show(self, found: tuple[Ladder, ...] | None) -> None:
        words = f"looking at remote, forge and engines {glyphs_of(self.app).ellipsis}"
        if found is not None:
            count = sum(each.next is not None for each in found)
            words = f"{count} open" if count else "none is open"
            words += f", {len(found) - count} done in the last day" if len(found) > count else ""
        self.query_one("#heading", Static).update(
            Content.assemble(("OPEN CHANGES", "bold"), f" {glyphs_of(self.app).dot} ", (words, "$quiet")),
            layout=False,
        )
        self.query_one(ChangeList).ladders = found or ()
        self.query_one("#columns").display = bool(found)

    def _show_now(self, now: datetime) -> None:
        self.query_one(ChangeList).now = now

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """Show the chosen change in full."""
        event.stop()
        self._show_chosen()

    def _show_chosen(self) -> None:
        chosen = self.query_one(ChangeList).chosen
        words = Content("")
        if chosen is not None:
            words = _words(chosen, self.console.now or chosen.as_of, glyphs_of(self.app).arrow, self._step(chosen))
        elif self.console.changes is not None:
            words = Content.styled(
                "A promotion (p), rollback (r) or staging (s) opens one. It then stands here.", "$quiet"
            )
        self.query_one("#detail", Static).update(words, layout=False)

    def _step(self, chosen: Ladder) -> str:
        return step_words(chosen.subject, glyphs_of(self.app))

    def on_change_list_opened(self, event: ChangeList.Opened) -> None:
        """Open the change on top of this view."""
        from console.screens.open_change import OpenChangeScreen  # noqa: PLC0415 not before it is asked for

        event.stop()
        self.app.push_screen(OpenChangeScreen(event.ladder.subject.branch, then=event.then))

    def on_change_list_address_asked(self, event: ChangeList.AddressAsked) -> None:
        """Copy the address of the change's request."""
        event.stop()
        if address := event.ladder.address:
            self.app.copy_to_clipboard(address)
            self.app.notify(f"Copied: {visible(address)}", markup=False)
        else:
            self.app.notify("No pull request of this change is known, so there is no address.", markup=False)

    def filtered(self, pattern: str) -> None:
        """Show only the changes that match."""
        self.query_one(ChangeList).pattern = pattern

    def focus_list(self) -> None:
        """The changes."""
        self.query_one(ChangeList).focus()

    def chosen_text(self) -> str:
        """Return the chosen change's branch."""
        chosen = self.query_one(ChangeList).chosen
        return chosen.subject.branch if chosen is not None else ""

    def _footer(self) -> tuple[str, ...]:
        return _FOOTER


def _words(found: Ladder, now: datetime, arrow: str, step: str) -> Content:
    """Return the chosen change in words: branch, person, the rung where it stands, and what to do."""
    subject, following = found.subject, found.stands_at
    who = f"{visible(subject.by)}, {age(subject.at, now)} ago"
    lines = [
        Content.styled(visible(subject.branch), "bold"),
        Content(f"{step} of {visible(subject.model) or 'the rules'} by {who}"),
    ]
    if following is not None:
        rung = (f"{following.rung.value.upper()} {following.state.value}: ", "bold")
        lines.append(Content.assemble(rung, visible(following.why, limit=400)))
        lines += [Content(f"{arrow} {visible(following.todo, limit=400)}")] if following.todo else []
    lines.append(Content.styled(advice(found, listed=True), "$quiet"))
    return Content("\n").join(lines)
