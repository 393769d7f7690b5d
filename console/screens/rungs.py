"""Follower of one change on a pushed screen: it looks on a thread, and rests longer while nothing moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ml.promotion.rungs import Ending, Ladder, Why

if TYPE_CHECKING:
    from textual.timer import Timer

    from console.screens.pushed import PushedScreen
    from ml.errors import ConsoleError

_FIRST_REST_S, _LONGEST_REST_S, _GROWTH = 1.0, 15.0, 1.5


class Follower:
    """Looks at one change again and again, at most every second and at least every 15 s.

    Args:
        screen: the screen that shows the change. Its end ends the looks.
        show: gets each ladder.
        fail: gets the error of a look that failed; looks go on.
    """

    def __init__(
        self, screen: PushedScreen, show: Callable[[Ladder], None], fail: Callable[[ConsoleError], None]
    ) -> None:
        self._screen = screen
        self._show = show
        self._fail = fail
        self._branch = ""
        self._rest_s = _FIRST_REST_S
        self._looking = self._again = False
        self._timer: Timer | None = None
        self._last: object = None

    def follow(self, branch: str) -> None:
        """Follow a branch from now on."""
        self._branch = branch
        self.hurry()

    def hurry(self) -> None:
        """Look now, and often again; after a running look if there is one."""
        self._rest_s = _FIRST_REST_S
        if self._timer is not None:
            self._timer.stop()
        if self._looking:
            self._again = True
        elif self._branch:
            self._look()

    def _look(self) -> None:
        self._looking, self._again = True, False
        session, branch = self._screen.console.session, self._branch
        self._screen.work(f"look at {branch}", lambda: session.ladders.show(branch), self._seen, self._blind)

    def _seen(self, found: Ladder) -> None:
        state = (found.subject.commit, found.ending, tuple((step.state, step.code) for step in found.steps))
        self._rest_s = _FIRST_REST_S if state != self._last else min(self._rest_s * _GROWTH, _LONGEST_REST_S)
        self._last = state
        self._show(found)
        self._rest(over=found.ending is not Ending.OPEN)

    def _blind(self, error: ConsoleError) -> None:
        self._rest_s = min(self._rest_s * _GROWTH, _LONGEST_REST_S)
        self._fail(error)
        self._rest()

    def _rest(self, *, over: bool = False) -> None:
        self._looking = False
        if self._again:
            self._look()
        elif self._screen.is_attached:
            # A change that has ended may come back, by a push of its branch.
            self._timer = self._screen.set_timer(_LONGEST_REST_S if over else self._rest_s, self._look)


_BY_CODE = {
    Why.NOT_MERGED: "L lands it here after the gate; a merge of its request does the same.",
    Why.APPROVALS_MISSING: "A approves it, as another operator.",
    Why.CHECKS_RUN: "Its checks run; this screen keeps watching.",
    Why.CHECKS_FAILED: "Its checks failed. Look at them with O; then plan it anew.",
    Why.CHANGES_REQUESTED: "A reviewer asks for changes. X closes it; then plan it anew.",
    Why.LOCAL_ONLY: "It is only in this clone. P pushes it.",
    Why.GONE: "The remote has its branch no more. P pushes it again.",
    Why.ENGINE_BEHIND: "Engines have not loaded it yet; this screen keeps watching.",
    Why.KILLED: "The kill switch is on. Leave with Escape; U releases it, when models may act again.",
}


_IN_LIST = dict.fromkeys((Why.LOCAL_ONLY, Why.GONE), "Enter opens it; there P pushes it.")
"""In the list of changes P promotes the chosen model."""


def advice(found: Ladder, *, listed: bool = False) -> str:
    """Return what to press now, by the rung where a change stands: on its own screen, or in the list of changes."""
    if found.ending is not Ending.OPEN:
        return f"It goes no further. {found.ending_why}"
    if found.stands_at is None:
        return "It has reached every rung that it needs."
    known = _BY_CODE | (_IN_LIST if listed else {})
    return known.get(found.stands_at.code, "This screen keeps watching.")
