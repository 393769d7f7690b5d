"""The tape of a soak: one cell per short window and objective, each judged alone. Pure.

Each cell is judged by its worst engine. A breach is a breach, whatever else happened in its cell. A cell in which the
kill switch was engaged is void. A cell without a number, or in which some engine was there and did too little, holds no
data. A restart of an engine marks its cell and cuts the streak, but a restarted engine that kept its objectives is no
fault: such a cell counts as covered. (Counters begin anew at a restart; PromQL's rate and increase know that.)

A cell covers the share of its time in which its engines were scraped: unseen for two of five minutes is 60 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from ml.board import Cell, Tape
from ml.clock import format_utc, span
from ml.metrics_contract import INFO
from ml.slo.engines import Engine, engine_of
from ml.slo.exchanges import SKEW_S, Failure, Recorder, moment_of, warned
from ml.slo.promql import REMEMBERED, Attribution, Scope
from ml.slo.source import Series
from ml.text import visible
from ml.verdict import Code, Finding, Verdict, finding

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
    """The events in each cell of a grid, for every objective: an engine restarted, the kill switch was engaged."""

    restarted: tuple[bool, ...]
    killed: tuple[bool, ...]


Row = tuple[float | None, ...]
"""One value per cell, ``None`` where there is none."""


def row(grid: Grid, series: Sequence[Series]) -> Row:
    """One value per cell: the worst of the series that have a finite number there, ``None`` where none has."""
    cells: list[float | None] = [None] * grid.cells
    for each in series:
        for moment, value in each.points:
            index = grid.index_at(moment)
            if 0 <= index < grid.cells and math.isfinite(value):
                known = cells[index]
                cells[index] = value if known is None else max(known, value)
    return tuple(cells)


def rows(grid: Grid, series: Sequence[Series]) -> dict[Engine, Row]:
    """Return a `row` for each engine alone."""
    by_engine: dict[Engine, list[Series]] = {}
    for each in series:
        by_engine.setdefault(engine_of(each), []).append(each)
    return {engine: row(grid, found) for engine, found in sorted(by_engine.items())}


_Lives = Mapping[Engine, tuple[int, int]]


def _anywhere(_: Engine, value: float) -> bool:
    del value
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One objective over the cells of a grid, by engine.

    ``values`` are in the objective's unit; where it is no engine's, as that of a free query, its labels stand for one.
    ``counts`` are inferences, ``scrapes`` how often an engine was scraped, of ``expected`` times a cell (``None`` when
    unknown). ``changed`` has a value where an engine's buckets were laid out or spelled anew within a cell: PromQL
    cannot add them up there. ``unclear`` marks an engine's value that may lie on either side of the limit.
    ``own_values``: each engine that inferred has a value of its own, unlike in a free query.
    """

    values: Mapping[Engine, Row]
    counts: Mapping[Engine, Row]
    scrapes: Mapping[Engine, Row] = field(default_factory=dict)
    changed: Mapping[Engine, Row] = field(default_factory=dict)
    expected: float | None = None
    unclear: Callable[[Engine, float], bool] = _anywhere
    own_values: bool = False

    def clear(self, engine: Engine, value: float, index: int) -> bool:
        """True if a value can be compared with the limit."""
        changed = self.changed.get(engine)
        return not self.unclear(engine, value) and (changed is None or changed[index] is None)

    @property
    def lives(self) -> _Lives:
        """The first and last cell of each engine."""
        scrapes = {engine: self.scrapes.get(engine, found) for engine, found in self.counts.items()}
        cells = {
            engine: [index for index, value in enumerate(found) if value is not None]
            for engine, found in scrapes.items()
        }
        return {engine: (found[0], found[-1]) for engine, found in cells.items() if found}


@dataclass(frozen=True, slots=True)
class _Seen:
    """One cell: its worst value, a breach or not, proof or not, and the share that was scraped."""

    value: float | None
    breach: bool
    proven: bool
    share: float


def _seen(course: Course, lives: _Lives, index: int, cells: int, limit: float, least: float) -> _Seen:
    there = [engine for engine in course.counts if _there(lives, engine, index)]
    # An engine that only comes or goes in this cell does not answer for all of it, as long as another one stays.
    staying = [engine for engine in there if _stays(lives, engine, index, cells)]
    counts = {engine: course.counts[engine][index] or 0.0 for engine in there}
    if staying:
        enough = all(counts[engine] >= least for engine in staying)
        share = min(_share(course, engine, index) for engine in staying)
    else:
        enough = sum(counts.values()) >= least
        share = min(1.0, sum(_share(course, engine, index) for engine in there))
    values = {engine: found[index] for engine, found in course.values.items()}
    # A free query's labels need not be those of an engine: its value rests on all that was counted.
    judged = {
        engine: value
        for engine, value in values.items()
        if value is not None and (counts[engine] >= least if engine in counts else sum(counts.values()) >= least)
    }
    clear = {engine: value for engine, value in judged.items() if course.clear(engine, value, index)}
    # An engine without a value must not be covered by another one's.
    valueless = course.own_values and any(
        counts[each] >= least and values.get(each) is None for each in staying or there
    )
    return _Seen(
        value=max((value for value in values.values() if value is not None), default=None),
        breach=any(not value < limit for value in clear.values()),
        proven=enough and bool(judged) and not valueless and len(clear) == len(judged) and share >= _HALF,
        share=share,
    )


_HALF = 0.5
"""The share of a cell that must have been scraped for the cell to say anything."""


def _there(lives: _Lives, engine: Engine, index: int) -> bool:
    """True if an engine was there in a cell: between its first and last sight, even if unseen meanwhile."""
    first, last = lives.get(engine, (1, 0))
    return first <= index <= last


def _stays(lives: _Lives, engine: Engine, index: int, cells: int) -> bool:
    before = index == 0 or _there(lives, engine, index - 1)
    after = index == cells - 1 or _there(lives, engine, index + 1)
    return before and after


def _share(course: Course, engine: Engine, index: int) -> float:
    """The share of a cell in which an engine was scraped. A scrape more than expected makes up for one that is missing
    in the cell beside it, where the cells' edges lie between two scrapes."""
    scrapes = course.scrapes.get(engine)
    if scrapes is None or course.expected is None:
        return 1.0
    return min(scrapes[index] or 0.0, course.expected + 1) / course.expected


def killed_cells(grid: Grid, kills: Sequence[Killed], counted: Sequence[float | None]) -> tuple[bool, ...]:
    """Find the cells that a kill touched, by our own record of kills or by the engine's block counter."""
    return tuple(
        (counted[index] or 0.0) > 0 or any(_touches(kill, grid, index) for kill in kills) for index in range(grid.cells)
    )


def _touches(kill: Killed, grid: Grid, index: int) -> bool:
    end = grid.end_of(index)
    begin = end - timedelta(seconds=grid.step_s)
    return kill.start < end and (kill.end is None or kill.end > begin)


def tape(objective: Objective, grid: Grid, course: Course, events: Events, least: float) -> Tape:
    """Judge every cell. ``least``: inferences that each engine must have made in a cell to say anything."""
    lives = course.lives
    seen = [_seen(course, lives, index, grid.cells, objective.limit, least) for index in range(grid.cells)]
    cells = "".join(_cell(each, events, index) for index, each in enumerate(seen))
    values = tuple(each.value for each in seen)
    numbers = [(value, index) for index, value in enumerate(values) if value is not None and cells[index] in COVERING]
    return Tape(
        objective=objective.name,
        started_at=grid.start,
        step_s=grid.step_s,
        cells=cells,
        values=values,
        limit=objective.limit,
        unit=objective.unit,
        worst=max(numbers, key=lambda pair: (pair[0], -pair[1]))[1] if numbers else None,
        longest_clean=max((len(list(run)) for kind, run in groupby(cells) if kind == Cell.OK), default=0),
        seen=tuple(round(each.share, 4) for each in seen),
    )


def _cell(seen: _Seen, events: Events, index: int) -> Cell:
    if seen.breach:
        return Cell.BREACH
    if events.killed[index]:
        return Cell.KILLED
    if not seen.proven:
        return Cell.NO_DATA
    return Cell.RESTART if events.restarted[index] else Cell.OK


def replaced(scrapes: Mapping[Engine, Row]) -> int:
    """Count the engines that replaced another one: they came when that one went, give or take two cells."""
    came, went = [], []
    for found in scrapes.values():
        there = [index for index, value in enumerate(found) if value]
        if there and there[0] > 0:
            came.append(there[0])
        if there and there[-1] < len(found) - 1:
            went.append(there[-1])
    taken = 0
    for at in sorted(came):
        fitting = next((gone for gone in sorted(went) if abs(at - gone) <= _NEAR), None)
        if fitting is not None:
            went.remove(fitting)
            taken += 1
    return taken


_NEAR = 2


def coverage(tapes: Sequence[Tape], required: int) -> float:
    """The share of the required time that was scraped and holds data, of the tape that holds least; 0 of no tape."""
    return min(1.0, min((_covered(each) for each in tapes), default=0.0) / required)


def _covered(one: Tape) -> float:
    """Count the cells with data. A partly scraped cell counts for that part."""
    shares = one.seen or (1.0,) * len(one.cells)
    return sum(share for cell, share in zip(one.cells, shares, strict=True) if cell in COVERING)


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


# The start of a soak: the later of the pointer's landing and the first inference of its artifact after that.

_FINE_S, _MOST_STEPS = 15, 5_000
_FAR = timedelta(days=8)
"""The longest search for a start, or a day more than a soak is long; an older soak counts from there."""


@dataclass(frozen=True, slots=True)
class SoakSubject:
    """The subject of a soak: the artifact in shadow, by its digest, and its landing on the base branch.

    ``unknown`` says why this clone cannot tell when that was; then ``landed_at`` is only the latest that it can be.
    ``others`` are the registry's other models that have something deployed.
    """

    model: str
    artifact_id: str
    model_sha256: str
    landed_at: datetime
    unknown: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """The moment, on a whole second; or ``None``, with what was found in its place."""

    at: datetime | None
    instead: Finding | None = None


def find_start(
    recorder: Recorder,
    scope: Scope,
    subject: SoakSubject,
    now: datetime,
    *,
    required_s: int,
    serving: Sequence[str] = (),
) -> Start:
    """Look for the first sign of life after the landing. ``serving``: other artifacts that engines say they serve."""
    landed = subject.landed_at
    if doubt := undated(subject.unknown, landed, now):
        return Start(None, doubt)
    since = max(landed, now - max(_FAR, timedelta(seconds=required_s, days=1)))
    waited_s = math.ceil((now - since).total_seconds())
    if waited_s <= 0:
        return Start(None, finding(Verdict.WAIT, Code.LANDED_JUST_NOW, "The pointer has only just landed."))
    answer = recorder.query(first_seen_query(scope, since, waited_s), at=now)
    if isinstance(answer, Failure) or answer.warnings:
        return Start(None, answer.finding if isinstance(answer, Failure) else warned(answer.warnings[0]))
    first_at = next((moment_of(each.points[-1][1]) for each in answer.series if each.points), None)
    if first_at is None:
        instead = f"; the engines serve {visible(serving[0], limit=120)}" if serving else ""
        why = f"No shadow inference was seen since it landed at {format_utc(landed)}{instead}."
        return Start(None, finding(Verdict.NO_DATA, Code.NEVER_INFERRED, why, landed_at=landed))
    if first_at > now:
        why = "Prometheus says that the soak begins in the future."
        return Start(None, finding(Verdict.NO_DATA, Code.BEGINS_IN_FUTURE, why, begins_at=first_at))
    return Start(_ceiling(max(first_at, since)))


def undated(unknown: str, landed_at: datetime, now: datetime) -> Finding | None:
    """Return a finding if nothing can count from a landing. ``unknown`` says why this clone cannot date it."""
    if unknown:
        return finding(Verdict.NO_DATA, Code.LANDING_UNKNOWN, unknown)
    early_s = (landed_at - now).total_seconds()
    if early_s <= SKEW_S:
        return None
    why = f"The pointer landed {span(early_s)} in the future: a clock is wrong."
    return finding(Verdict.NO_DATA, Code.LANDED_IN_FUTURE, why, early_s=early_s)


def first_seen_query(scope: Scope, since: datetime, waited_s: int) -> str:
    """The first time at which an engine's count of latencies is another than at ``since`` while it serves the artifact.

    Another, not greater: an engine that restarted counts from zero. Where no engine reports its artifact, the landing
    alone binds the soak to the artifact.
    """
    by, step_s = scope.engines, max(_FINE_S, math.ceil(waited_s / _MOST_STEPS))
    series = scope.timed(f"{scope.latency}_count")
    count, before = f"sum by ({by}) ({series})", f"sum by ({by}) ({series} @ {since.timestamp():.3f})"
    moved = f"({count} > 0 unless on ({by}) ({count} == on ({by}) ({before}))){_while_serving(scope, count)}"
    return f"min_over_time((vector(time()) and on () ({moved}))[{waited_s}s:{step_s}s])"


def _while_serving(scope: Scope, count: str) -> str:
    """The condition that an engine serves the artifact, as far as engines say what they serve."""
    by = scope.engines
    ours = f"max by ({by}) ({scope.ours}) > 0"
    match scope.attribution:
        case Attribution.MODE:
            return ""
        case Attribution.ARTIFACT:
            return f" and on ({by}) ({ours})"
        case Attribution.MIXED:
            silent = f"{count} unless on ({by}) count by ({by}) (last_over_time({scope.timed(INFO)}[{REMEMBERED}]))"
            return f" and on ({by}) ({ours} or on ({by}) ({silent}))"


def _ceiling(moment: datetime) -> datetime:
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC)
