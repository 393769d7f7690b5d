"""Which model needs a person most; the order of every list of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ml.verdict import Verdict, worst

if TYPE_CHECKING:
    from ml.board import ModelView

BAD = (Verdict.FAIL, Verdict.ERROR)


class Judged(NamedTuple):
    """A model with its verdict, which is asked for often."""

    model: ModelView
    verdict: Verdict


def verdict_of(model: ModelView) -> Verdict:
    """A model in one word: its problems, else the worst reading that can block; nothing measured is NO_DATA."""
    if any(problem.severe for problem in model.problems):
        return Verdict.FAIL
    blocking = tuple(reading for reading in model.readings if reading.gate)
    return worst(reading.verdict for reading in blocking or model.readings)


def by_need(models: tuple[ModelView, ...]) -> tuple[Judged, ...]:
    """Models that need somebody first, then by name."""
    judged = (Judged(model, verdict_of(model)) for model in models)
    return tuple(sorted(judged, key=lambda each: (each.verdict not in BAD, each.model.name)))
