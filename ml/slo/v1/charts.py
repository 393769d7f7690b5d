"""A day as frozen chart data: what the terminal draws, what the SVG draws, and what the robust tests look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from statistics import median

from ml.clock import format_utc


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
        """The measured values in order, without the gaps."""
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
        """Return the end of a value's step."""
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
        """The number of steps of its lines."""
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
    """All measurements in the charts' order; a chart without a line is one measure by its title."""
    return tuple(measure for chart in charts for measure in _measures(chart))


def _measures(chart: Chart) -> Iterator[Measure]:
    names = tuple(dict.fromkeys(line.name for line in chart.lines))
    for name in names:
        yield Measure(chart, name, tuple(line for line in chart.lines if line.name == name))
    if not names:
        yield Measure(chart, chart.title, ())


# The drawing of a dashboard review: plain SVG, the same bytes for the same data, readable without color.

_WIDTH, _HEIGHT, _LEFT, _TOP, _PANEL, _RIGHT = 960, 260, 70, 40, 180, 190
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#c25e00", "#666666"
_COLORS = {"shadow": _ORANGE, "active": _BLUE}
_DASHES = ("", "6 3", "2 3", "10 3 2 3", "1 4", "14 4", "8 2 2 2 2 2", "3 7")


def draw(charts: Sequence[Chart], title: str) -> bytes:
    """Draw all charts below each other. ``title`` is plain text."""
    height = _TOP + _HEIGHT * len(charts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>',
    ]
    for number, chart in enumerate(charts):
        parts.append(f'<g transform="translate(0,{_TOP + number * _HEIGHT})">')
        parts += _panel(chart)
        parts.append("</g>")
    parts.append("</svg>")
    return ("\n".join(parts) + "\n").encode()


def _panel(chart: Chart) -> Iterable[str]:
    top = _top_of(chart)
    right = _WIDTH - _RIGHT
    yield f'<text x="{_LEFT}" y="14" font-weight="bold">{escape(chart.title)} ({escape(chart.unit)})</text>'
    yield f'<path d="M{_LEFT} 22V{_PANEL + 22}H{right}" fill="none" stroke="{_GREY}"/>'
    for share in (0.0, 0.5, 1.0):
        y = _y(share * top, top)
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.2f}" text-anchor="end" fill="{_GREY}">{share * top:.4g}</text>'
    last = max((len(line.values) for line in chart.lines), default=1)
    for index, anchor in ((0, "start"), (last - 1, "end")):
        x = _x(index, last)
        moment = format_utc(chart.moment(index))
        yield f'<text x="{x:.2f}" y="{_PANEL + 38}" text-anchor="{anchor}" fill="{_GREY}">{moment}</text>'
    if chart.limit is not None and chart.limit <= top:
        y = _y(chart.limit, top)
        yield f'<path d="M{_LEFT} {y:.2f}H{right}" stroke="black" stroke-width="0.7"/>'
        yield f'<text x="{right + 8}" y="{y + 4:.2f}">limit {chart.limit:g}</text>'
    for number, line in enumerate(chart.lines):
        yield from _line(line, number, top)


def _line(line: Line, number: int, top: float) -> Iterable[str]:
    color, dash = _COLORS.get(line.stage, _GREY), _DASHES[number % len(_DASHES)]
    style = f'fill="none" stroke="{color}" stroke-dasharray="{dash}"'
    for run in _runs(line.values):
        points = " ".join(f"{_x(index, len(line.values)):.2f},{_y(value, top):.2f}" for index, value in run)
        yield f'<polyline points="{points}" {style}/>'
    x, y = _WIDTH - _RIGHT + 8, 40 + 15 * number
    yield f'<path d="M{x} {y - 4}h24" {style}/>'
    yield f'<text x="{x + 30}" y="{y}">{escape(line.title)}</text>'


def _runs(values: Sequence[float | None]) -> Iterable[list[tuple[int, float]]]:
    """Stretches without a gap: a gap is drawn as one."""
    run: list[tuple[int, float]] = []
    for index, value in enumerate(values):
        if value is not None:
            run.append((index, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _top_of(chart: Chart) -> float:
    highest = max((value for line in chart.lines for value in line.numbers), default=0.0)
    return highest * 1.05 or 1.0


def _x(index: int, count: int) -> float:
    return _LEFT + (_WIDTH - _RIGHT - _LEFT) * index / max(1, count - 1)


def _y(value: float, top: float) -> float:
    return 22 + _PANEL * (1 - min(value, top) / top)
