"""A day as frozen chart data: what the terminal draws, what the SVG draws, and what the robust tests look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median


@dataclass(frozen=True, slots=True)
class Line:
    """One drawn line. ``values`` are in the chart's unit, one per step, ``None`` where nothing was measured.

    ``stage`` is empty for lines that belong to no stage. ``limit`` is the objective's, where one is about this line.
    """

    name: str
    stage: str
    values: tuple[float | None, ...]
    limit: float | None = None

    @property
    def title(self) -> str:
        """The line's name with its stage."""
        return f"{self.name} {self.stage}".strip()

    @property
    def numbers(self) -> tuple[float, ...]:
        """What was measured, in order, without the gaps."""
        return tuple(value for value in self.values if value is not None)

    @property
    def middle(self) -> float | None:
        """The median of what was measured."""
        return median(self.numbers) if self.numbers else None

    @property
    def highest(self) -> float | None:
        """The highest value that was measured."""
        return max(self.numbers, default=None)


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over one stretch of time. The first value covers the step that ends at ``start`` plus ``step_s``.

    ``problem`` says in a sentence why nothing is known; empty when the question was answered.
    """

    title: str
    unit: str
    start: datetime
    step_s: int
    lines: tuple[Line, ...]
    limit: float | None = None
    problem: str = ""

    def moment(self, index: int) -> datetime:
        """When the step of a value ends."""
        return self.start + timedelta(seconds=(index + 1) * self.step_s)

    def line(self, name: str, stage: str = "") -> Line | None:
        """The line of that name and stage, where it was measured at all."""
        found = (each for each in self.lines if (each.name, each.stage) == (name, stage))
        return next((each for each in found if each.numbers), None)


@dataclass(frozen=True, slots=True)
class Measure:
    """One measured thing over the time of its ``chart``: a line per stage that has one, or a line of no stage."""

    chart: Chart
    name: str
    lines: tuple[Line, ...]

    @property
    def limit(self) -> float | None:
        """The limit of its lines, where they have one."""
        return next((line.limit for line in self.lines if line.limit is not None), None)

    @property
    def windows(self) -> int:
        """How many steps its lines have."""
        return max((len(line.values) for line in self.lines), default=0)

    @property
    def over(self) -> int:
        """In how many steps a line is at its limit or above."""
        limit = self.limit
        if limit is None:
            return 0
        steps = zip(*(line.values for line in self.lines), strict=True)
        return sum(any(value is not None and value >= limit for value in step) for step in steps)

    def of(self, stage: str) -> Line | None:
        """The line of a stage."""
        return next((line for line in self.lines if line.stage == stage), None)


def measures(charts: Sequence[Chart]) -> tuple[Measure, ...]:
    """Everything that was measured, in the charts' order; a chart without a line is one measure by its title."""
    return tuple(measure for chart in charts for measure in _measures(chart))


def _measures(chart: Chart) -> Iterator[Measure]:
    names = tuple(dict.fromkeys(line.name for line in chart.lines))
    for name in names:
        yield Measure(chart, name, tuple(line for line in chart.lines if line.name == name))
    if not names:
        yield Measure(chart, chart.title, ())
