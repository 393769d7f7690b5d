"""The three stages of a model, the actions that move it between them, and what changed (contract §1, §2)."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Where a model's artifact stands; the order of definition is the order of promotion."""

    STAGING = "staging"
    SHADOW = "shadow"
    ACTIVE = "active"


class Action(StrEnum):
    """What an event did; written to the registry as the event's ``action``."""

    STAGE = "stage"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    WITHDRAW = "withdraw"
