"""The rungs of the receipt ladder."""

from __future__ import annotations

from enum import StrEnum


class Rung(StrEnum):
    """How far a kill or a release has been proven (SPEC §7).

    UNCONFIRMED: the deadline passed without proof. UNPROVEN: an engine was seen in the last day and is silent now, so
    that nothing can be read from it, neither that it obeys nor that it does not.
    """

    IDLE = "IDLE"
    REQUESTED = "REQUESTED"
    WRITTEN = "WRITTEN"
    APPLIED = "APPLIED"
    CONFIRMED = "CONFIRMED"
    UNCONFIRMED = "UNCONFIRMED"
    UNPROVEN = "UNPROVEN"
