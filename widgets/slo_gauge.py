"""SLO gauges: verdict, value against limit, bar, trend, samples and age of every reading, one line each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content
from textual.message import Message
from textual.reactive import var

from ml.clock import age
from ml.judgement import gauge_of, overruling
from ml.text import visible
from ml.units import amount, count
from ml.verdict import Gate, Reading, Verdict
from widgets.drawing import MARKS, WORD_WIDTH, Glyphs, bar, fit, glyphs_of, sparkline
from widgets.row_list import RowList

_MARK, _NAME, _VALUE, _LIMIT, _COUNT, _AGE = WORD_WIDTH + 2, 11, 9, 8, 7, 6

_AGED = (Verdict.STALE, Verdict.NO_DATA, Verdict.ERROR)
_LEAST_BAR, _MOST_BAR = 5, 30


@dataclass(frozen=True, slots=True)
class Columns:
    """Cells of the drawn columns. A narrow terminal first loses the trend, then the bar."""

    bar: int
    trend: int
    count: bool

    @property
    def width(self) -> int:
        """Cells of a whole line in these columns, without the pointer."""
        fixed = _MARK + _NAME + _VALUE + _LIMIT + _AGE + 4
        return fixed + sum(part + 1 for part in (self.bar, self.trend, _COUNT * self.count) if part)

    @classmethod
    def of(cls, width: int, points: int) -> Columns:
        """Return the columns that fit a width, for trends of up to ``points`` points."""
        left = width - (2 + _MARK + _NAME + _VALUE + _LIMIT + _AGE + 5)
        with_count = left >= _COUNT + 1
        left -= (_COUNT + 1) * with_count
        if left < _LEAST_BAR + 1:
            return cls(0, 0, with_count)
        if left < 2 * (_LEAST_BAR + 2) or not points:
            return cls(min(left - 1, _MOST_BAR), 0, with_count)
        trend = min(points, (left - 2) * 4 // 9)
        return cls(min(left - 2 - trend, _MOST_BAR), trend, with_count)


class SloGauges(RowList):
    """Gauges of ``readings``. `Chosen` reports the chosen one, so that its query and reason can be shown."""

    readings: var[tuple[Reading, ...]] = var((), init=False)
    gates: var[tuple[Gate, ...]] = var((), init=False)
    """The gates of the next step. An objective that failed in the soak does not look good because it is good now."""
    now: var[datetime | None] = var(None, init=False)

    class Chosen(Message):
        """Another gauge was chosen, or the chosen one has a new value."""

        def __init__(self, gauges: SloGauges, reading: Reading | None) -> None:
            super().__init__()
            self.gauges = gauges
            self.reading = reading

        @property
        def control(self) -> SloGauges:
            """The gauges."""
            return self.gauges

    @property
    def chosen(self) -> Reading | None:
        """The reading under the cursor."""
        return gauge_of(self.readings[self.cursor], self.gates) if self.cursor < len(self.readings) else None

    def watch_readings(self, before: tuple[Reading, ...], readings: tuple[Reading, ...]) -> None:
        """Repaint gauges that changed."""
        self.count = len(readings)
        self.renew()
        if before[self.cursor : self.cursor + 1] != readings[self.cursor : self.cursor + 1]:
            self.post_message(self.Chosen(self, self.chosen))

    def watch_gates(self) -> None:
        """Repaint gauges that changed, and explain the chosen one again."""
        self.renew()
        self.post_message(self.Chosen(self, self.chosen))

    def watch_now(self, before: datetime | None, now: datetime) -> None:
        """Update the ages."""
        moments = [reading.sampled_at for reading in self.readings]
        if before is None or any(age(moment, before) != age(moment, now) for moment in moments):
            self.renew()

    def watch_cursor(self, before: int, now: int) -> None:
        """Post the chosen reading."""
        super().watch_cursor(before, now)
        self.post_message(self.Chosen(self, self.chosen))

    def row(self, index: int) -> Content:
        """Return one gauge."""
        assert self.now is not None
        glyphs = glyphs_of(self.app)
        pointer = glyphs.pointer if index == self.cursor and self.has_focus else " "
        columns = Columns.of(self.width, max(len(reading.trend) for reading in self.readings))
        return Content(f"{pointer} ") + gauge_line(self.readings[index], self.now, columns, glyphs, self.gates)


def gauge_line(
    reading: Reading, now: datetime, columns: Columns, glyphs: Glyphs, gates: tuple[Gate, ...] = ()
) -> Content:
    """Return one reading in columns. Without a value, its reason takes the free columns.

    When a gate of the same objective has a worse verdict, the line shows that verdict, and its reason replaces bar and
    trend. The value is current; the gate judges the whole soak.
    """
    gate = overruling(reading, gates)
    if gate is not None and _known(reading.value) is not None:
        return _overruled_line(reading, gate, columns, glyphs)
    reading = gauge_of(reading, gates)
    mark = MARKS[reading.verdict]
    tail = f"{age(reading.sampled_at, now):>{_AGE}}"
    head = (
        (mark.text(ascii_only=glyphs.ascii_only), mark.color),
        " ",
        (fit(visible(reading.name, limit=40), _NAME, glyphs), "" if reading.gate else "$quiet"),
        " ",
    )
    if _known(reading.value) is None:
        room = columns.width - _MARK - _NAME - _AGE - 3
        return Content.assemble(*head, (fit(visible(reading.why), room, glyphs), mark.color), " ", (tail, mark.color))
    dimmed = "$verdict-quiet" if reading.verdict is Verdict.STALE else ""
    value = f"{_value(reading, glyphs):>{_VALUE}}"
    limit = f"{glyphs.less} {amount(reading.limit, reading.unit, limit=reading.limit)}" if reading.limit else ""
    return Content.assemble(
        *head,
        (value, dimmed or ("bold" if reading.verdict is Verdict.FAIL else "")),
        " ",
        (f"{limit:<{_LIMIT}}", "$quiet"),
        *_drawn(reading, columns, glyphs),
        (f" {'n=' + count(reading.samples):<{_COUNT}}" if columns.count else "", "$quiet"),
        " ",
        (tail, mark.color if reading.verdict in _AGED else "$quiet"),
    )


def _overruled_line(reading: Reading, gate: Gate, columns: Columns, glyphs: Glyphs) -> Content:
    """Return such as ``✗ FAIL p99  now 42.1 ms PASS; in the soak FAIL: p99 breached in 2 of 288 windows …``."""
    mark = MARKS[gate.verdict]
    verdicts = (
        f"now {_value(reading, glyphs)} {MARKS[reading.verdict].word}; in the soak {mark.word}: {visible(gate.why)}"
    )
    return Content.assemble(
        (mark.text(ascii_only=glyphs.ascii_only), mark.color),
        f" {fit(visible(reading.name, limit=40), _NAME, glyphs)} ",
        fit(verdicts, columns.width - _MARK - _NAME - 2, glyphs),
    )


def _drawn(reading: Reading, columns: Columns, glyphs: Glyphs) -> list[tuple[str, str]]:
    color = MARKS[reading.verdict].color
    share = reading.value / reading.limit if reading.value is not None and reading.limit else None
    parts: list[tuple[str, str]] = []
    if columns.bar:
        parts += [(" ", ""), (bar(share, columns.bar, glyphs), color)]
    if columns.trend:
        parts += [(" ", ""), (sparkline(reading.trend, columns.trend, glyphs), color)]
    return parts


def _value(reading: Reading, glyphs: Glyphs) -> str:
    shown = amount(reading.value, reading.unit, limit=reading.limit)
    return f"{glyphs.more}{shown}" if reading.clamped else shown


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def reading_text(reading: Reading) -> str:
    """Return a reading in one sentence for the clipboard: name, verdict, reason and query."""
    return f"{reading.name} {reading.verdict}: {reading.why} {reading.query}".strip()
