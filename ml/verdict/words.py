"""Verdicts (SPEC §1), and the worst of several.

Only ``PASS`` and ``WAIVED`` let a gate through. Every other word keeps it closed, and every verdict
comes with one sentence of why.
"""

from __future__ import annotations

from collections.abc import Iterable
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
