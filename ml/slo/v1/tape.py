"""The tape of a soak: one cell per short window and objective, each judged alone. Pure.

A breach is a breach, whatever else happened in its cell. A cell in which the kill switch was engaged is void. A cell
without a number, with too few inferences, or in which another artifact served, holds no data. A restart of the engine
marks its cell and cuts the streak, but a restarted engine that kept its objectives is no fault: such a cell counts as
covered. (Counters begin anew at a restart; PromQL's rate and increase know that.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from ml.board import Cell, Tape
from ml.slo.source import Series

if TYPE_CHECKING:
    from ml.policy import Objective, Soak

COVERING = frozenset({Cell.OK, Cell.RESTART, Cell.BREACH})


@dataclass(frozen=True, slots=True)
class Killed:
    """A time during which the kill switch was engaged; ``end`` is ``None`` while it still is."""

    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of a tape: the newest complete ones since the soak's start, at most a whole soak's."""

    start: datetime
    step_s: int
    cells: int
    skipped: int = 0
    """Complete cells before the first one: older than the required length."""

    @staticmethod
    def of(soak_start: datetime, now: datetime, step_s: int, required_s: int) -> Grid:
        """The cells of a soak as of ``now``. ``soak_start`` is on a whole second."""
        complete = max(0, int((now - soak_start).total_seconds()) // step_s)
        shown = min(complete, required_s // step_s)
        skipped = complete - shown
        return Grid(soak_start + timedelta(seconds=skipped * step_s), step_s, shown, skipped)

    def end_of(self, index: int) -> datetime:
        """The end of a cell, which is where its window is evaluated."""
        return self.start + timedelta(seconds=(index + 1) * self.step_s)

    def index_at(self, timestamp: float) -> int:
        """The cell that was evaluated at a Unix time."""
        return round((timestamp - self.start.timestamp()) / self.step_s) - 1


@dataclass(frozen=True, slots=True)
class Events:
    """The events in each cell of a grid, for every objective: an engine restarted, the kill switch was engaged, only
    another artifact served.
    """

    restarted: tuple[bool, ...]
    killed: tuple[bool, ...]
    foreign: tuple[bool, ...]


def row(grid: Grid, series: Sequence[Series]) -> tuple[float | None, ...]:
    """One value per cell: the worst of the series that have a finite number there, ``None`` where none has."""
    cells: list[float | None] = [None] * grid.cells
    for each in series:
        for moment, value in each.points:
            index = grid.index_at(moment)
            if 0 <= index < grid.cells and math.isfinite(value):
                known = cells[index]
                cells[index] = value if known is None else max(known, value)
    return tuple(cells)


def killed_cells(grid: Grid, kills: Sequence[Killed], counted: Sequence[float | None]) -> tuple[bool, ...]:
    """Find the cells that a kill touched, by our own record of kills or by the engine's block counter."""
    return tuple(
        (counted[index] or 0.0) > 0 or any(_touches(kill, grid, index) for kill in kills) for index in range(grid.cells)
    )


def _touches(kill: Killed, grid: Grid, index: int) -> bool:
    end = grid.end_of(index)
    begin = end - timedelta(seconds=grid.step_s)
    return kill.start < end and (kill.end is None or kill.end > begin)


def tape(
    objective: Objective,
    grid: Grid,
    values: Sequence[float | None],
    counts: Sequence[float | None],
    events: Events,
    least: float,
) -> Tape:
    """Judge every cell.

    Args:
        values: the objective's value over each cell, in its unit.
        counts: inferences in each cell.
        least: inferences that a cell must hold to say anything.
    """
    cells = "".join(
        _cell(values[index], (counts[index] or 0.0) >= least, objective.limit, events, index)
        for index in range(grid.cells)
    )
    numbers = [(value, index) for index, value in enumerate(values) if value is not None and cells[index] in COVERING]
    return Tape(
        objective=objective.name,
        started_at=grid.start,
        step_s=grid.step_s,
        cells=cells,
        values=tuple(values),
        limit=objective.limit,
        unit=objective.unit,
        worst=max(numbers, key=lambda pair: (pair[0], -pair[1]))[1] if numbers else None,
        longest_clean=max((len(list(run)) for kind, run in groupby(cells) if kind == Cell.OK), default=0),
    )


def _cell(value: float | None, enough: bool, limit: float, events: Events, index: int) -> Cell:
    known = value is not None and enough and not events.foreign[index]
    if known and value is not None and not value < limit:
        return Cell.BREACH
    if events.killed[index]:
        return Cell.KILLED
    if not known:
        return Cell.NO_DATA
    return Cell.RESTART if events.restarted[index] else Cell.OK


def coverage(tapes: Sequence[Tape], required: int) -> float:
    """The share of the required cells that hold data, of the tape that holds least; 0 of no tape."""
    return min((sum(cell in COVERING for cell in each.cells) for each in tapes), default=0) / required


def breach_cells(tapes: Sequence[Tape]) -> tuple[int, ...]:
    """The cells in which any of the tapes breaches, oldest first."""
    return tuple(sorted({i for each in tapes for i, cell in enumerate(each.cells) if cell == Cell.BREACH}))


def uncovered_cells(tapes: Sequence[Tape]) -> tuple[int, ...]:
    """The cells in which some tape holds no data, oldest first."""
    return tuple(sorted({i for each in tapes for i, cell in enumerate(each.cells) if cell not in COVERING}))


def eligible_at(soak_start: datetime, grid: Grid, tapes: Sequence[Tape], soak: Soak) -> datetime:
    """The earliest moment at which the soak can pass if nothing breaches from now on.

    That is when a whole length is soaked, and enough of the breached and of the uncovered cells are older than that.
    """
    length = timedelta(seconds=soak.required_s)
    spare = int((1 - soak.min_coverage) * (soak.required_s // soak.step_s) + 1e-9)
    moments = [soak_start + length]
    for cells, allowed in ((breach_cells(tapes), soak.max_breaches), (uncovered_cells(tapes), spare)):
        if len(cells) > allowed:
            moments.append(grid.end_of(cells[len(cells) - allowed - 1]) + length)
    return max(moments)
