"""Buckets of histograms: the bounds of each engine, and the side of a limit on which a quantile lies. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ml.slo import questions as ask
from ml.slo.engines import Engine, engine_of
from ml.slo.source import Series


@dataclass(frozen=True, slots=True)
class Buckets:
    """The finite bounds of one engine's histogram, rising: those that were there throughout, and the top one."""

    bounds: tuple[float, ...]
    top: float | None

    def around(self, value: float, limit: float) -> tuple[float, float] | None:
        """The range of a quantile, where the limit lies within it too: the side of the limit is unknown."""
        if limit in self.bounds:
            return None
        low = max((each for each in self.bounds if each < limit), default=0.0)
        high = min((each for each in self.bounds if each > limit), default=math.inf)
        # At the top bound the quantile is that or more, so it lies above the limit.
        beyond = value > high or (value == high == self.top)
        return None if value <= low or beyond or high == math.inf else (low, high)


def buckets_of(series: Sequence[Series], *, milliseconds: bool = False) -> dict[Engine, Buckets]:
    """The bounds of each engine's histogram, from the share of the window in which each bucket was there.

    ``milliseconds``: the exporter's bounds are in seconds and become milliseconds, without an error of floats.
    """
    shares: dict[Engine, dict[float, float]] = {}
    for each in series:
        of_engine = shares.setdefault(engine_of(each), {})
        at = bound(each.label("le"))
        if milliseconds and math.isfinite(at):
            at = float(Decimal(str(at)) * 1000)
        if math.isfinite(at) and each.points:
            # The same bound under two spellings is one.
            of_engine[at] = of_engine.get(at, 0.0) + each.points[-1][1]
    return {
        engine: Buckets(
            bounds=tuple(sorted(at for at, share in found.items() if share >= ask.PRESENT)),
            top=max(found, default=None),
        )
        for engine, found in shares.items()
    }


def uniform_bounds(counted: Sequence[Series]) -> tuple[str, ...] | None:
    """The buckets that every engine had all the time, from the board's count; ``None`` where engines differ."""
    engines: dict[str, float] = {}
    for each in counted:
        le = each.label("le")
        if le in engines or each.label(ask.ALWAYS) != "1":
            return None
        engines[le] = each.points[-1][1]
    return tuple(engines) if len(set(engines.values())) <= 1 else None


def with_bounds(series: Iterable[Series], bounds: Sequence[str]) -> tuple[Series, ...]:
    """The series of `questions.BOUNDS` for engines that all have the same buckets; ``series`` tell the engines."""
    engines = {engine_of(each): each.points for each in series}
    return tuple(
        Series(tuple(sorted((*engine, ("le", le)))), ((points[-1][0] if points else 0.0, 1.0),))
        for engine, points in engines.items()
        for le in bounds
    )


def bound(text: str) -> float:
    """A bucket's bound as a number, so that ``100`` and ``100.0`` are equal; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
