"""What needs a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that needs a person: where, what, and what to do. ``severe`` ones are shown first."""

    where: str
    what: str
    remedy: str = ""
    severe: bool = True
