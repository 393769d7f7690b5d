"""The tape: the worst window of a stretch decides, and what is looked at is told to the minute."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import NOW, soak_report, tape
from support.widget_host import shown, staged

from ml.board import Cell
from widgets.day_chart import latency_chart
from widgets.drawing import ASCII, UNICODE
from widgets.soak_tape import NAME_WIDTH, Grid, SoakTapes, look_words, tape_line

FULL = soak_report(tapes=(tape("p99", 288),))


@pytest.mark.parametrize(("width", "stretch"), [(60, 12), (80, 6), (120, 3), (200, 2), (320, 1)])
def test_the_finest_layout_that_fits_is_taken(width: int, stretch: int) -> None:
    grid = Grid.of(FULL, width)
    assert grid.stretch == stretch
    assert grid.columns * grid.stretch >= 288


@pytest.mark.parametrize("cell", [Cell.BREACH, Cell.NO_DATA, Cell.RESTART, Cell.KILLED])
def test_one_bad_window_marks_its_stretch(cell: Cell) -> None:
    grid = Grid.of(FULL, 80)
    line = tape_line(tape("p99", 288, {100: cell}), grid, ASCII).plain[NAME_WIDTH:]
    assert {line[column] for column in range(48) if column != 16} == {"-"}
    assert line[16] == {"b": "#", ".": "?", "r": "r", "k": "k"}[cell.value]


def test_the_worst_of_a_stretch_wins() -> None:
    grid = Grid.of(FULL, 80)
    mixed = tape("p99", 288, {96: Cell.RESTART, 97: Cell.BREACH, 98: Cell.NO_DATA})
    assert tape_line(mixed, grid, ASCII).plain[NAME_WIDTH + 16] == "#"


def test_time_to_come_is_no_judgement() -> None:
    line = tape_line(tape("p99", 144), Grid.of(FULL, 80), ASCII).plain[NAME_WIDTH:]
    assert line[:24] == "-" * 24
    assert line[24:48] == "." * 24


def test_what_is_looked_at_is_one_window_with_time_value_and_judgement() -> None:
    breached = tape("p99", 288, {100: Cell.BREACH, 101: Cell.NO_DATA})
    words = look_words(breached, 100, UNICODE, NOW).plain
    assert words.startswith("p99 04:00-04:05Z · 140 ms (< 100 ms) · breach")
    assert "worst 140 ms at 04:00Z" in words
    assert look_words(breached, 101, UNICODE, NOW).plain.startswith("p99 04:05-04:10Z · - (< 100 ms) · no data")
    assert look_words(breached, 99, UNICODE, NOW).plain.startswith("p99 03:55-04:00Z · 31.43 ms (< 100 ms) · ok")


async def test_keys_look_along_the_tape_and_jump_to_the_worst() -> None:
    tapes = SoakTapes()
    async with staged(tapes, (80, 10)) as stage:
        tapes.report = soak_report(tapes=(tape("p99", 144), tape("errors", 144, {30: Cell.BREACH})))
        tapes.focus()
        await stage.pilot.pause()
        assert shown(tapes)[-1].split() == ["0h", "6h", "12h", "18h", "24h"]
        assert tapes.looked_at == 143
        await stage.pilot.press("left", "h")
        assert tapes.looked_at == 141
        await stage.pilot.press("right", "l", "l")
        assert tapes.looked_at == 143
        await stage.pilot.press("shift+left", "H")
        assert tapes.looked_at == 119
        await stage.pilot.press("shift+right", "L", "L")
        assert tapes.looked_at == 143
        await stage.pilot.press("down", "down", "b")
        assert tapes.tape is not None
        assert tapes.tape.objective == "errors"
        assert tapes.looked_at == 30


def test_the_chart_has_the_limit_and_bars_in_the_columns_of_the_tape() -> None:
    grid = Grid.of(FULL, 80)
    breached = tape("p99", 288, {100: Cell.BREACH, 200: Cell.NO_DATA})
    rows = [row.plain for row in latency_chart(breached, grid, 8, UNICODE)]
    assert len(rows) == 8
    assert sum("100 ms" in row for row in rows) == 1
    top = rows[0][NAME_WIDTH:]
    assert top.strip("╌ ") != ""
    assert [index for index, char in enumerate(top) if char not in "╌ "] == [16]
    assert all(row.isascii() for row in (line.plain for line in latency_chart(breached, grid, 8, ASCII)))


def test_a_chart_of_nothing_measured_is_empty_but_stands() -> None:
    empty = replace(tape("p99", 12), values=(None,) * 12)
    assert len(latency_chart(empty, Grid.of(FULL, 80), 5, UNICODE)) == 5
