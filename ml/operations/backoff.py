"""When a source that did not answer is asked again: later each time, and not by every console at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

_SHORTEST_S, _LONGEST = 5.0, 8.0


class Backoff:
    """Counts misses in a row. The rest after them doubles up to eight times the shortest, less up to half at random.

    Args:
        jitter: spreads the rests of several consoles after a common failure; 0 to 1.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._misses = 0
        self._missed_at: datetime | None = None
        self._rest = timedelta()

    def rests(self, now: datetime) -> bool:
        """Whether it is too early to ask again. A clock that went back does not make it later."""
        return self._missed_at is not None and self._missed_at <= now < self._missed_at + self._rest

    def missed(self, now: datetime) -> None:
        """It was asked, and did not answer."""
        self._misses += 1
        times = min(_LONGEST, 2.0 ** (self._misses - 1))
        self._missed_at = now
        self._rest = timedelta(seconds=_SHORTEST_S * times * (1 - self._jitter() / 2))

    def answered(self) -> None:
        """It is well."""
        self._misses, self._missed_at = 0, None
