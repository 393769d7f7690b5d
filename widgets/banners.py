"""Banners of every screen: breaches after a promotion, the kill switch, the first problem, and a quiet watch."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive, var
from textual.widget import Widget

from ml.board import WatchView
from ml.text import visible
from widgets.drawing import cut, fit_line, glyphs_of
from widgets.quiet_widget import Still

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml.board import KillView, Problem


class WatchBanner(Still):
    """Banner for breaches after a promotion; hidden otherwise.

    The chosen model comes first, because `r` rolls it back.
    """

    DEFAULT_CSS = """
    WatchBanner { height: 1; padding: 0 1; text-wrap: nowrap; display: none; }
    WatchBanner.-on { display: block; }
    """

    watches: var[tuple[WatchView, ...]] = var(())
    chosen: var[str] = var("")
    """The chosen model."""
    may_roll_back: var[bool] = var(True)

    def on_mount(self) -> None:
        """Use the alarm style that all screens share."""
        self.add_class("alarm")

    def watch_watches(self) -> None:
        """Show or hide the banner as breaches come and go."""
        self.set_class(bool(self._breaching), "-on")
        self.renew()

    def watch_chosen(self) -> None:
        """Update the key for the chosen model."""
        self.renew()

    def watch_may_roll_back(self) -> None:
        """Update the key when the session becomes read-only."""
        self.renew()

    def content(self) -> Content:
        """Return the text. The key comes before the reason, because a narrow terminal cuts from the right."""
        if not self._breaching:
            return Content("")
        first, *others = self._breaching
        glyphs = glyphs_of(self.app)
        words = [f"BREACH {visible(first.model, limit=40)}", self._way(first), *map(visible, first.breaching)]
        words += [f"+{len(others)} more"] if others else []
        return cut(Content(f" {glyphs.dot} ".join(filter(None, words))), self.size.width, glyphs)

    def _way(self, watch: WatchView) -> str:
        if not self.may_roll_back:
            return ""
        return "r rolls back" if watch.model == self.chosen else "choose it with [ or ], then r rolls back"

    @property
    def _breaching(self) -> list[WatchView]:
        breaching = [each for each in self.watches if each.breaching]
        return sorted(breaching, key=lambda each: (each.model != self.chosen, each.began_at))


# Banner for a kill switch that is not off: engaged, unclear, or released without proof.


class KillBanner(Widget):
    """Hidden while the switch is known to be off."""

    DEFAULT_CSS = """
    KillBanner {
        height: 1;
        padding: 0 1;
        display: none;
        &.-on { display: block; }
    }
    """

    view: reactive[KillView | None] = reactive(None)
    """The switch as last read; ``None`` before the first reading, which raises no alarm."""

    def on_mount(self) -> None:
        """Use the alarm style that all screens share."""
        self.add_class("alarm")

    def watch_view(self, view: KillView | None) -> None:
        """Show or hide the banner with the switch's state."""
        self.set_class(view is not None and not view.off, "-on")

    def render(self) -> Content:
        """State, proof, time and person. A narrow terminal loses seconds, then the time, but not the person."""
        glyphs = glyphs_of(self.app)
        lines = (Content(f" {glyphs.dot} ".join(filter(None, words))) for words in self._words())
        return fit_line(lines, self.size.width, glyphs)

    def _words(self) -> Iterable[tuple[str, ...]]:
        """Return the parts of the line, from the longest form to the shortest."""
        view = self.view
        if view is None:
            return ()
        if view.unwritten:
            return (("KILL NOT WRITTEN", "the engines may not know", "do it by hand: F9 shows how"),)
        if view.engaged is None:
            if view.unclear:
                return (("KILL UNCLEAR", "engines read the kill file differently", "F9 on, U off"),)
            return ((f"KILL STATE UNKNOWN: {visible(view.problem) or 'the kill file cannot be read.'}",),)
        return _known(view)


def _known(view: KillView) -> Iterable[tuple[str, ...]]:
    """Return the forms of the line while the state is known, the longest first."""
    # Imported here: the first frame shows no receipt.
    from widgets.receipt_ladder import summary  # noqa: PLC0415

    if view.by_engines:
        file = "this clone's file is unclear" if view.unclear else "this clone's file says off"
        return ((f"KILL ON by {view.proven} of {view.engines} engines", file, "U releases"),)
    state, short = ("RELEASE NOT PROVEN",) * 2 if view.releasing else ("KILL SWITCH ENGAGED", "KILL ON")
    person = visible(view.by)
    by, by_account = (f"by {each}" if each else "" for each in (person, person.partition(" (")[0]))
    at = view.requested_at
    forms = [(short, by), (short, by_account)]
    if at:
        forms[:0] = [
            (state, f"since {at:%H:%M:%SZ} {by}".rstrip()),
            (state, f"since {at:%H:%MZ} {by}".rstrip()),
            (state, f"{at:%H:%MZ} {by}".rstrip()),
            (short, f"{at:%H:%MZ} {by}".rstrip()),
        ]
    else:
        forms.insert(0, (state, by))
    return tuple((headline, summary(view), who) for headline, who in forms)


# Line for problems that need a person: the first one and the number of all. The registry's problem is shown in full.

REGISTRY = "registry"
"""Source of the problem that makes a session read-only."""


class ProblemLine(Widget):
    """Empty while there is no problem."""

    DEFAULT_CSS = """
    ProblemLine { height: 1; text-wrap: nowrap; }
    ProblemLine.-whole { height: auto; max-height: 8; text-wrap: wrap; }
    """

    problems: reactive[tuple[Problem, ...]] = reactive(())

    def watch_problems(self) -> None:
        """Give the registry's own problem as many lines as it needs: its field path must not be cut."""
        before, whole = self.has_class("-whole"), bool(self.problems) and self._ordered()[0].where == REGISTRY
        self.set_class(whole, "-whole")
        if before or whole:
            self.refresh(layout=True)

    def _ordered(self) -> list[Problem]:
        return sorted(self.problems, key=lambda problem: (problem.where != REGISTRY, not problem.severe))

    def render(self) -> Content:
        """Source, cause, and remedy."""
        if not self.problems:
            return Content("")
        ordered = self._ordered()
        first, glyphs = ordered[0], glyphs_of(self.app)
        color = "$verdict-bad" if first.severe else "$verdict-unknown"
        more = f"  (+{len(ordered) - 1} more)" if len(ordered) > 1 else ""
        where = f"{visible(first.where, limit=40)}: " if first.where else ""
        what = (visible(first.what), color)
        line = Content.assemble(("! " + where, f"{color} bold"), what, " ", visible(first.remedy))
        if self.has_class("-whole"):
            return line + Content.assemble((more, "$quiet"))
        return cut(line, self.size.width - len(more), glyphs) + Content.assemble((more, "$quiet"))


# Quiet line for the hour after a promotion to active: artifact, minutes left, and state.


class WatchLine(Still):
    """The watch that ends first among those without breaches; hidden while there is none."""

    DEFAULT_CSS = """
    WatchLine { height: 1; text-wrap: nowrap; display: none; }
    WatchLine.-on { display: block; }
    """

    watches: var[tuple[WatchView, ...]] = var(())
    unproven: var[frozenset[str]] = var(frozenset(), init=False)
    """Models without current proof that the active artifact keeps its limits."""
    now: var[datetime | None] = var(None)

    def watch_watches(self) -> None:
        """Show or hide the line as watches start and end."""
        self.set_class(bool(self._calm), "-on")
        self.renew()

    def watch_unproven(self) -> None:
        """Update the state when a model is measured again, or no longer."""
        self.renew()

    def watch_now(self) -> None:
        """Update the remaining time."""
        self.renew()

    def content(self) -> Content:
        """Artifact, minutes left, and watcher.

        The time is in minutes, so a quiet hour repaints 60 times and not 3,600.
        """
        if self.now is None or not self._calm:
            return Content("")
        first, *others = self._calm
        # The screen's clock may be a second behind a watch that has just begun.
        rest = first.ends_at - max(self.now, first.began_at)
        left = max(0, math.ceil(rest.total_seconds() / 60))
        state = "not measured now" if first.model in self.unproven else "nothing breaches"
        line = Content.assemble(
            ("WATCH", "bold"),
            f" {visible(first.artifact_id, limit=80)}  {left}m left, {state}",
            (f"  kept by {visible(first.keeper, limit=60)}", "$quiet"),
            (f"  +{len(others)} more" if others else "", "$quiet"),
        )
        return cut(line, self.size.width, glyphs_of(self.app))

    @property
    def _calm(self) -> list[WatchView]:
        return sorted((each for each in self.watches if not each.breaching), key=lambda each: each.ends_at)
