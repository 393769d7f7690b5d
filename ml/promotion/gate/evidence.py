"""Whether the evidence is there, unaltered, about this change, and still says yes when it is worked out again (SPEC §8)."""

from __future__ import annotations

from collections.abc import Iterator

from ml.promotion.gate.case import Case, Move
from ml.promotion.repository import Reader
from ml.verdict import Gate


def evidence(repository: Reader, case: Case, move: Move) -> Iterator[Gate]:
    """Judge the evidence that the event names."""
    yield from ()
