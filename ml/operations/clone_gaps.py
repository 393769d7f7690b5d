"""What this clone lacks, told as problems: no verdict may rest on it (SPEC §14)."""

from __future__ import annotations

from ml.board import Problem
from ml.errors import ConsoleError
from ml.operations.context import Context
from ml.promotion.repository import CloneGap, Lack
from ml.text import visible

_REST_S = 30.0
"""A clone changes its kind seldom; looking costs some processes of git."""


class CloneGaps:
    """Looks at the clone now and then, and remembers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: tuple[CloneGap, ...] = ()
        self._looked: float | None = None

    def problems(self) -> tuple[Problem, ...]:
        """Each gap as a severe problem, looked for at most twice a minute."""
        now = self._context.clock.monotonic()
        if self._looked is None or not 0 <= now - self._looked < _REST_S:
            self._known, self._looked = clone_gaps(self._context), now
        return tuple(Problem("clone", gap.what, gap.remedy) for gap in self._known)


def clone_gaps(context: Context) -> tuple[CloneGap, ...]:
    """What the clone of this session lacks."""
    place = context.place
    found = context.repository.gaps(place.ref, configured=place.ref_configured)
    if not place.kill_file.is_relative_to(place.root) or not _linked(context):
        return found
    shown = visible(str(place.kill_file))
    what = f"This is a linked worktree, and F9 writes {shown} in it, where engines of the main checkout do not look."
    remedy = "Set kill_switch.file to the absolute path that the engines read, or start in the main checkout."
    return (*found, CloneGap(Lack.WORKTREE, what, remedy))


def _linked(context: Context) -> bool:
    try:
        return context.repository.linked()
    except ConsoleError:
        return False  # what keeps git from answering is told by whoever reads the registry
