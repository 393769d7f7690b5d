"""A source of truth, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class SourceState(StrEnum):
    """How a source of truth answers."""

    UNKNOWN = "unknown"
    OK = "OK"
    STALE = "STALE"
    ERROR = "ERROR"
    NONE = "none"
    UNASKED = "not asked"
    """There is one, but as things stand its answer would be of no use."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source such as Prometheus or the remote: its state, when it last answered well, and why not now."""

    name: str
    state: SourceState = SourceState.UNKNOWN
    as_of: datetime | None = None
    why: str = ""
