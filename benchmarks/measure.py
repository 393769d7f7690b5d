"""Run our code and the floor in turns, so that a noisy machine disturbs both alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report. ``ours`` and ``floor`` are in ``unit``; ``reach`` is the ratio to stay within.

    Infinite reach: the ratio only backs a decision in docs/decisions/.
    """

    what: str
    against: str
    ours: float
    floor: float
    reach: float
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        """Our time divided by the floor's."""
        return self.ours / self.floor if self.floor else float("inf")

    @property
    def reached(self) -> bool:
        """True if the ratio is within reach."""
        return self.ratio <= self.reach

    def line(self) -> str:
        """The result for the report."""
        mark = "ok  " if self.reached else "OVER"
        reach = "no reach" if math.isinf(self.reach) else f"reach {self.reach:g}x"
        return (
            f"{mark} {self.ratio:6.2f}x ({reach})  {self.what} {self.ours:.1f} {self.unit}"
            f" against {self.against} {self.floor:.1f} {self.unit}"
        )


def seconds(action: Callable[[], object]) -> float:
    """The wall time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def in_turns(
    ours: Callable[[], object], floor: Callable[[], object], rounds: int, *, warm_up: int = 1
) -> tuple[float, float]:
    """The median wall times of both in milliseconds, measured alternately."""
    for _ in range(warm_up):
        ours()
        floor()
    pairs = [(seconds(ours), seconds(floor)) for _ in range(rounds)]
    return tuple(statistics.median(times) * 1000 for times in zip(*pairs, strict=True))  # type: ignore[return-value]
