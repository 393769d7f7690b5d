"""Which breaches of a watch are new, so that the bell rings once for each and not with every poll. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.board import WatchView


class Breaches:
    """Remembers what was breaching at the last look; one that ended and came back is new again."""

    def __init__(self) -> None:
        self._known: frozenset[tuple[str, str, str]] = frozenset()

    def fresh(self, watches: Sequence[WatchView]) -> tuple[WatchView, ...]:
        """The watches with a breach that the last look did not have."""
        now = {key: watch for watch in watches for key in _keys(watch)}
        new = [now[key] for key in now if key not in self._known]
        self._known = frozenset(now)
        return tuple(dict.fromkeys(new))


def _keys(watch: WatchView) -> list[tuple[str, str, str]]:
    """One key per breach, by its objective: the measured value changes with every look."""
    return [(watch.model, watch.artifact_id, told.partition(":")[0]) for told in watch.breaching]
