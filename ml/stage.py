"""The three stages of a model, and the actions that move an artifact between them (contract §1, §2)."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """The stage of a model's artifact; the order of definition is the order of promotion."""

    STAGING = "staging"
    SHADOW = "shadow"
    ACTIVE = "active"


class Action(StrEnum):
    """The action of an event, written to the registry as its ``action``."""

    STAGE = "stage"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    WITHDRAW = "withdraw"
