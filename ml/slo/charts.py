"""A day as frozen chart data: what the terminal draws, what the SVG draws, and what the robust tests look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Line:
    """One drawn line. ``values`` are in the chart's unit, one per step, ``None`` where nothing was measured.

    ``stage`` is empty for lines that belong to no stage.
    """

    name: str
    stage: str
    values: tuple[float | None, ...]

    @property
    def title(self) -> str:
        """The line's name with its stage."""
        return f"{self.name} {self.stage}".strip()

    @property
    def numbers(self) -> tuple[float, ...]:
        """What was measured, in order, without the gaps."""
        return tuple(value for value in self.values if value is not None)


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over one stretch of time. The first value covers the step that ends at ``start`` plus ``step_s``."""

    title: str
    unit: str
    start: datetime
    step_s: int
    lines: tuple[Line, ...]
    limit: float | None = None

    def moment(self, index: int) -> datetime:
        """When the step of a value ends."""
        return self.start + timedelta(seconds=(index + 1) * self.step_s)

    def line(self, name: str, stage: str = "") -> Line | None:
        """The line of that name and stage, where it was measured at all."""
        found = (each for each in self.lines if (each.name, each.stage) == (name, stage))
        return next((each for each in found if each.numbers), None)
