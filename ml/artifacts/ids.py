"""Artifact ids: ``{model}_v{YYYY}_{MM}_{DD}_{seq}``, the date checked as a real one (runbook, contract §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from ml.text import visible

_SHAPE = re.compile(r"(?P<model>[a-z][a-z0-9_]*?)_v(?P<year>\d{4})_(?P<month>\d{2})_(?P<day>\d{2})_(?P<seq>\d{3})")


@dataclass(frozen=True, slots=True)
class ArtifactId:
    """An id taken apart: the kind of model, the day it was trained, its number on that day (from 1)."""

    model: str
    trained_on: date
    sequence: int

    def __str__(self) -> str:
        return f"{self.model}_v{self.trained_on:%Y_%m_%d}_{self.sequence:03}"


def parse_id(text: str) -> ArtifactId:
    """Take an artifact id apart.

    Raises:
        ValueError: it does not follow the convention, or names a day that no calendar has.
    """
    match = _SHAPE.fullmatch(text) if text.isascii() else None
    if match is None:
        raise ValueError(f"{visible(text)!r} is not of the form model_vYYYY_MM_DD_NNN")
    try:
        day = date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError as error:
        raise ValueError(f"{visible(text)!r} names no real date: {error}") from error
    sequence = int(match["seq"])
    if sequence == 0:
        raise ValueError(f"{visible(text)!r} has the number 000; numbers start at 001")
    return ArtifactId(match["model"], day, sequence)


@lru_cache(maxsize=4096)
def is_artifact_id(text: str) -> bool:
    """True if a text is a well-formed artifact id."""
    try:
        parse_id(text)
    except ValueError:
        return False
    return True
