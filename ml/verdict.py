"""Verdicts, and the frozen values that carry them: findings, checks, readings and gates (contract §1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from ml.codes import Code

# Verdicts (contract §1), and the worst of several.
#
# Only ``PASS`` and ``WAIVED`` let a gate through. Every other word keeps it closed, and every verdict
# comes with one sentence of why.


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
        """True if a gate with this verdict lets a promotion through."""
        return self in (Verdict.PASS, Verdict.WAIVED)


_SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe of some verdicts; ``NO_DATA`` of none, because nothing judged is nothing proven."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.NO_DATA)


__all__ = ["Check", "Code", "Fact", "Facts", "Finding", "Gate", "Reading", "Verdict", "facts_of", "finding", "worst"]

_FINDINGS = ("Check", "Fact", "Facts", "Finding", "Gate", "Reading", "facts_of", "finding")


# Frozen values with a verdict: findings, checks, readings and gates (contract §1).
#
# Each has a verdict and a code with facts, which code compares, and ``why``, the sentence for people, which
# nothing ever compares. A rule makes all of it in one call: ``finding(Verdict.FAIL, Code.BREACHED, why, value=0.412)``.

Fact = bool | int | float | str | None
"""A number, a name, or a time in RFC 3339."""

Facts = tuple[tuple[str, Fact], ...]
"""The values of a finding by name, sorted by it."""


def facts_of(**values: Fact | datetime) -> Facts:
    """Values by name as facts; times become RFC 3339 in UTC, to the microsecond."""
    return tuple(sorted((name, _plain(value)) for name, value in values.items()))


def _plain(value: Fact | datetime) -> Fact:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one rule: a verdict, its code, one sentence of why, and the values behind it."""

    verdict: Verdict
    code: Code
    why: str
    facts: Facts = ()

    def check(self, name: str) -> Check:
        """This finding as a check."""
        return Check(name, self.verdict, self.why, self.code, self.facts)

    def gate(
        self,
        name: str,
        *,
        value: float | None = None,
        limit: float | None = None,
        unit: str = "",
        evidence: str = "",
        waivable: bool = True,
    ) -> Gate:
        """This finding as a line of a checklist."""
        return Gate(
            name=name,
            verdict=self.verdict,
            why=self.why,
            code=self.code,
            facts=self.facts,
            value=value,
            limit=limit,
            unit=unit,
            evidence=evidence,
            waivable=waivable,
        )


def finding(verdict: Verdict, code: Code, why: str, **values: Fact | datetime) -> Finding:
    """Make a finding, with the values in its sentence by name."""
    return Finding(verdict, code, why, facts_of(**values))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, such as an artifact's digests, and what was found."""

    name: str
    verdict: Verdict
    why: str
    code: Code = Code.UNCODED
    facts: Facts = ()

    @property
    def found(self) -> Finding:
        """The finding, without the check's name."""
        return Finding(self.verdict, self.code, self.why, self.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One measured value with unit, sample time, source query and verdict.

    ``value`` and ``limit`` are in ``unit``. ``sampled_at`` is the time of the newest sample behind the value, not of
    the request. ``samples`` counts observations in the window. ``trend`` is oldest first, with ``None`` where nothing
    was measured. ``clamped``: the value is the histogram's top finite bound, so the truth is that or more. ``gate`` is
    true if it can block a promotion, false if it is only shown. ``series`` are the engines that were measured.
    ``attribution`` tells what ties the value to the artifact: ``artifact`` (each engine says what it serves), ``mode``
    (only mode and time do), ``mixed``; empty where nothing was measured.
    """

    name: str
    verdict: Verdict
    why: str
    code: Code = Code.UNCODED
    facts: Facts = ()
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
    attribution: str = ""

    @property
    def found(self) -> Finding:
        """The finding, without the measured value."""
        return Finding(self.verdict, self.code, self.why, self.facts)

    def stale(self, why: str) -> Reading:
        """The same reading when no good answer has come for too long; its value stays visible."""
        return replace(self, verdict=Verdict.STALE, why=why, code=Code.SAMPLE_STALE, facts=())


SOAK_GATE = "soak"
"""The gate of a soak's length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One line of a promotion checklist, with its verdict and a reference to its evidence.

    ``was`` is the result before a person waived it; ``None`` without a waiver.
    """

    name: str
    verdict: Verdict
    why: str
    code: Code = Code.UNCODED
    facts: Facts = ()
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    evidence: str = ""
    waivable: bool = True
    was: Finding | None = None

    @property
    def has_minimum(self) -> bool:
        """True if the value must reach the limit: that of a soak. Every other value must stay below."""
        return self.name == SOAK_GATE

    @property
    def found(self) -> Finding:
        """The finding, without the line's name and value."""
        return Finding(self.verdict, self.code, self.why, self.facts)

    def waived(self, reason: str) -> Gate:
        """This gate waived by a person, its own finding kept beside the sentence."""
        return replace(
            self,
            verdict=Verdict.WAIVED,
            code=Code.WAIVED,
            facts=facts_of(reason=reason),
            why=f"waived: {reason} (was {self.verdict}: {self.why})",
            was=self.found,
        )
