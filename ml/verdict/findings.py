"""The frozen values that carry a verdict: checks, readings and gates (SPEC §1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml.verdict.words import Verdict

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, such as an artifact's digests, and what was found."""

    name: str
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One measured value with unit, sample time, source query and verdict.

    ``value`` and ``limit`` are in ``unit``. ``sampled_at`` is the time of the newest sample behind the
    value, not of the request. ``samples`` counts observations in the window. ``trend`` is oldest first,
    with ``None`` where nothing was measured. ``clamped``: the value is the histogram's top finite bound,
    so the truth is that or more. ``gate`` tells whether it can block a promotion or is only shown.
    """

    name: str
    verdict: Verdict
    why: str
    query: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    window_s: int = 0
    sampled_at: datetime | None = None
    samples: int | None = None
    series: int = 1
    clamped: bool = False
    gate: bool = True
    trend: tuple[float | None, ...] = ()

    def stale(self, why: str) -> Reading:
        """The same reading when no good answer has come for too long; its value stays visible."""
        return replace(self, verdict=Verdict.STALE, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One line of a promotion checklist, with its verdict and a reference to its evidence."""

    name: str
    verdict: Verdict
    why: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    evidence: str = ""
    waivable: bool = True

    def waived(self, reason: str) -> Gate:
        """This gate waived by a person, its own finding kept in the sentence."""
        return replace(self, verdict=Verdict.WAIVED, why=f"waived: {reason} (was {self.verdict}: {self.why})")
