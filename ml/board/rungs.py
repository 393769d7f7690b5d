"""The rungs of the receipt ladder."""

from __future__ import annotations

from enum import StrEnum


class Rung(StrEnum):
    """How far a kill or a release has been proven (SPEC §7)."""

    IDLE = "IDLE"
    REQUESTED = "REQUESTED"
    WRITTEN = "WRITTEN"
    APPLIED = "APPLIED"
    CONFIRMED = "CONFIRMED"
    UNCONFIRMED = "UNCONFIRMED"
