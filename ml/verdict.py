"""Verdicts, and the frozen values that carry them: checks, readings and gates (SPEC §1).

Only ``PASS`` and ``WAIVED`` let a gate through. Every other word keeps it closed, and every verdict
comes with one sentence of why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """The judgement of one reading, check or gate, mildest first."""

    PASS = "PASS"
    WAIVED = "WAIVED"
    WAIT = "WAIT"
    """Nothing is wrong, but the time or the typed answer that the gate needs is not there yet."""
    STALE = "STALE"
    NO_DATA = "NO_DATA"
    VACUOUS = "VACUOUS"
    """It could not have failed, so that it did not fail means nothing."""
    ERROR = "ERROR"
    FAIL = "FAIL"

    @property
    def opens(self) -> bool:
        """Whether a gate with this verdict lets a promotion through."""
        return self in (Verdict.PASS, Verdict.WAIVED)


_SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe of some verdicts; ``NO_DATA`` of none, because nothing judged is nothing proven."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.NO_DATA)


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
