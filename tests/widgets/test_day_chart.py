"""The chart of a day: one scale for both stages, the limit on it where it is near, gaps that are no zeros."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ml.slo.charts import Chart, Line, Measure, measures
from widgets.day_chart import chart, look_words
from widgets.drawing import ASCII, UNICODE
from widgets.facts import measure_line
from widgets.soak_tape import Grid

START = datetime(2026, 2, 16, 14, 2, tzinfo=UTC)
Values = tuple[float | None, ...]


def measure(shadow: Values, active: Values = (), limit: float | None = 100.0, unit: str = "ms") -> Measure:
    lines = [Line("p99", "shadow", shadow, limit)] + ([Line("p99", "active", active, limit)] if active else [])
    return Measure(Chart("Latency", unit, START, 300, tuple(lines), limit), "p99", tuple(lines))


def drawn(of: Measure, height: int = 9, columns: int = 48) -> list[str]:
    return [line.plain for line in chart(of, Grid.fitting(of.windows, columns), height, ASCII)]


def test_both_stages_share_one_scale() -> None:
    rows = drawn(measure((80.0,) * 288, (10.0,) * 288, limit=None))
    shadow, active = rows[1:4], rows[4:7]
    assert [row.partition("|")[0].split() for row in (*shadow, *active)] == [
        ["shadow", "92"], [], ["0"], ["active", "92"], [], ["0"],
    ]  # fmt: skip
    assert shadow[-1].count("#") == 48
    assert "#" not in active[-1]


def test_a_far_limit_is_said_and_not_drawn() -> None:
    rows = drawn(measure((2.0,) * 288, (1.0,) * 288))
    assert rows[0] == "p99  ms, limit 100 ms, above this scale"
    assert not any("~" in row for row in rows)
    assert "2.3" in rows[1]


def test_a_near_limit_is_a_line() -> None:
    assert sum("~" in row for row in drawn(measure((60.0,) * 288, (50.0,) * 288))) == 2


def test_nothing_measured_is_no_zero() -> None:
    rows = drawn(measure((None,) * 144 + (0.0,) * 144))
    assert rows[-3].partition("|")[2] == "?" * 24 + " " * 24


def test_a_side_without_data_is_a_sentence() -> None:
    rows = drawn(measure((5.0,) * 288, (None,) * 288))
    assert any(row.startswith("active") and "No p99 of active was measured in these 24 h." in row for row in rows)


def test_hours_stand_below_their_columns() -> None:
    times = drawn(measure((5.0,) * 288))[-1]
    assert [times.index(hour) - 18 for hour in ("18:00Z", "00:00Z", "06:00Z", "12:00Z")] == [7, 19, 31, 43]


def test_of_several_windows_the_highest_of_each_stage() -> None:
    shadow = tuple(30.0 if index == 100 else 20.0 for index in range(288))
    of = measure(shadow, (101.0,) * 288)
    words = look_words(of, Grid.fitting(288, 48), 16, UNICODE).plain
    assert words == "16 Feb 22:02-22:32Z  shadow 30 ms · active 101 ms (over) · highest of 6 windows"
    assert (START + timedelta(minutes=5 * 96)).strftime("%H:%M") == "22:02"


def test_a_row_counts_the_windows_over_the_limit_in_either_stage() -> None:
    over = measure((100.0, 99.0, None), (99.0, 120.0, 99.0))
    assert measure_line(over, UNICODE).plain.endswith("2 of 3")


def test_measures_are_paired_by_name_and_an_empty_chart_is_one() -> None:
    lines = (Line("p50", "shadow", (1.0,)), Line("p99", "shadow", (2.0,)), Line("p50", "active", (1.5,)))
    latency, blocks = Chart("Latency", "ms", START, 300, lines), Chart("Blocks", "blocks", START, 300, ())
    found = measures((latency, blocks))
    assert [(each.name, [line.stage for line in each.lines]) for each in found] == [
        ("p50", ["shadow", "active"]),
        ("p99", ["shadow"]),
        ("Blocks", []),
    ]
    assert "none reported" in measure_line(found[-1], UNICODE).plain
