"""The three stages of a model, and the actions that move an artifact between them (contract §1, §2)."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise


class Stage(StrEnum):
    """The stage of a model's artifact; the order of definition is the order of promotion."""

    STAGING = "staging"
    SHADOW = "shadow"
    ACTIVE = "active"

    @property
    def below(self) -> Stage | None:
        """The stage that an artifact is promoted from to this one; ``None`` for staging."""
        return _BELOW.get(self)

    @property
    def above(self) -> Stage | None:
        """The stage that an artifact of this one is promoted to; ``None`` for active."""
        return _ABOVE.get(self)


_ABOVE = dict(pairwise(Stage))
_BELOW = {above: below for below, above in _ABOVE.items()}


class Action(StrEnum):
    """The action of an event, written to the registry as its ``action``."""

    STAGE = "stage"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    WITHDRAW = "withdraw"
