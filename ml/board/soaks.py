"""A soak and its tape: what the Soak view draws, and what a verdict was judged on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ml.verdict import Gate, Reading, Verdict


class Cell(StrEnum):
    """The judgement of one 5-minute window of a soak, in the letter that tapes are written with."""

    OK = "o"
    BREACH = "b"
    NO_DATA = "."
    RESTART = "r"
    KILLED = "k"


@dataclass(frozen=True, slots=True)
class Tape:
    """A soak seen through one objective. ``cells`` holds one `Cell` letter per window, oldest first.

    ``values`` are in ``unit`` and as long as ``cells``; ``worst`` is the index of the worst cell.
    ``seen`` is the share of each cell in which its engines were scraped, a little above 1 where a scrape more fell in.
    """

    objective: str
    started_at: datetime
    step_s: int
    cells: str
    values: tuple[float | None, ...]
    limit: float
    unit: str
    worst: int | None = None
    longest_clean: int = 0
    seen: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakReport:
    """Whether a shadow artifact's soak meets its objectives, and everything that was asked to know it.

    ``coverage`` is the share of the required windows that hold data, 0 to 1. ``eligible_at`` is the
    earliest moment at which the soak can pass if nothing breaches. ``queries`` are all PromQL texts run.
    ``silences`` tell of Alertmanager's silences of the alerts, a sentence each. ``attribution`` tells what ties the
    numbers to the artifact: ``artifact`` (each engine says what it serves), ``mode`` (mode and time do), ``mixed``.
    ``restarts`` counts restarts and replacements of engines, ``engines`` names them, each once; ``scrape_s`` are the
    seconds between two scrapes, ``None`` when unknown.
    """

    model: str
    artifact_id: str
    model_sha256: str
    as_of: datetime
    verdict: Verdict
    why: str
    required_s: int
    started_at: datetime | None = None
    elapsed_s: int = 0
    coverage: float = 0.0
    breaches: int = 0
    eligible_at: datetime | None = None
    gates: tuple[Gate, ...] = ()
    tapes: tuple[Tape, ...] = ()
    readings: tuple[Reading, ...] = ()
    queries: tuple[str, ...] = ()
    silences: tuple[str, ...] = ()
    attribution: str = ""
    restarts: int = 0
    engines: tuple[str, ...] = ()
    scrape_s: float | None = None
