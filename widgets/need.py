"""Which model needs a person most; the order of every list of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ml.board.judgement import judged
from ml.verdict import Verdict

if TYPE_CHECKING:
    from ml.board import ModelView
    from ml.board.judgement import Judgement

_GRAVITY = {verdict: rank for rank, verdict in enumerate(reversed(Verdict))}


class Judged(NamedTuple):
    """A model with its verdict and what decides it, which are asked for often."""

    model: ModelView
    found: Judgement

    @property
    def verdict(self) -> Verdict:
        """The model in one word."""
        return self.found.verdict


def by_need(models: tuple[ModelView, ...]) -> tuple[Judged, ...]:
    """The models with the worst verdict first, then by name."""
    found = (Judged(model, judged(model)) for model in models)
    return tuple(sorted(found, key=lambda each: (_GRAVITY[each.verdict], each.model.name)))
