"""The first frame's look at the registry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glance:
    """The first frame: which artifacts stand where, read in milliseconds and not judged yet."""

    ref: str
    commit: str
    models: tuple[tuple[str, tuple[str | None, str | None, str | None]], ...]
    problem: str = ""
