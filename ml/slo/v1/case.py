"""One objective before the judge: what was measured, what the judge takes for granted, and how values are said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo.v1.measured import Measured, Worst

if TYPE_CHECKING:
    from ml.policy import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a judgement takes for granted. ``skew_s``: Prometheus's clock minus ours, ``None`` when unknown.

    ``least`` is how many inferences the short window must hold to say anything. ``long_s`` is the window that was
    asked for; it is shorter than ``required_s`` while a soak, which began at ``since``, is younger than that.
    """

    now: datetime
    stale_s: float
    min_samples: int
    least: int
    min_coverage: float
    long_s: int
    short_s: int
    required_s: int
    skew_s: float | None = None
    warnings: tuple[str, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One objective before the judge."""

    objective: Objective
    measured: Measured
    given: Circumstances

    @property
    def limit(self) -> float:
        """The objective's limit, in its unit."""
        return float(self.objective.limit)

    @property
    def short(self) -> Worst | None:
        """The value over the short window; ``None`` where that holds too few inferences to say anything."""
        enough = (self.measured.lately or 0.0) >= self.given.least
        return self.measured.short if enough else None

    @property
    def deciding(self) -> tuple[Worst | None, int]:
        """The value that decides, and its window in seconds: the short window's when only that one breaches."""
        long, short = self.measured.long, self.short
        if self.breaches(short) and not self.breaches(long):
            return short, self.given.short_s
        return long, self.given.long_s

    def breaches(self, worst: Worst | None) -> bool:
        """Whether a value is there and not below the limit."""
        return worst is not None and worst.is_number and not worst.value < self.limit

    def words(self, value: float) -> str:
        """A number in the objective's unit."""
        return words(self.objective, value)

    def measured_words(self, value: float) -> str:
        """A measured value as people read it: ``≥500 ms (clamped)`` where it is the top bucket."""
        return f"≥{self.words(value)} (clamped)" if self.clamped(value) else self.words(value)

    def clamped(self, value: float) -> bool:
        """Whether a quantile is only known to be at least this much."""
        return self.measured.top is not None and value >= self.measured.top


def words(objective: Objective, value: float) -> str:
    """A number in an objective's unit, such as ``42.1 ms`` or ``6.3 %``."""
    if objective.kind == "ratio":
        return f"{value * 100:.4g} %"
    return f"{value:.4g} {objective.unit}".rstrip()
