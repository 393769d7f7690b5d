"""Gauges: every verdict fits every width, values are honest, and equal readings repaint nothing."""

from __future__ import annotations

import math

import pytest
from fakes import NOW, ago, alerts, error_rate, p95, p99, p999
from support.widget_host import shown, staged

from ml.verdict import Reading, Verdict
from widgets.drawing import ASCII, UNICODE
from widgets.slo_gauge import Columns, SloGauges, gauge_line

READINGS = (p99(), p999(), p95(), error_rate(), alerts())


def line(reading: Reading, width: int = 80) -> str:
    return gauge_line(reading, NOW, Columns.of(width, 12), UNICODE).plain


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("width", [58, 62, 76, 80, 118, 200])
def test_a_gauge_of_any_verdict_fits_and_ends_with_its_age(verdict: Verdict, width: int) -> None:
    for reading in (p99(verdict=verdict), p99(verdict=verdict, value=None)):
        drawn = line(reading, width)
        assert len(drawn) <= width - 2
        assert drawn.endswith(" 5s")


def test_gauges_below_each_other_are_aligned() -> None:
    for width in (62, 80, 200):
        assert len({len(line(reading, width)) for reading in READINGS}) == 1
    lines = [line(reading) for reading in (p99(), p999(), error_rate())]
    assert len({text.index("<") for text in lines}) == 1
    assert len({text.index("n=") for text in lines}) == 1


def test_value_limit_samples_and_verdict_are_told() -> None:
    assert line(error_rate()).split()[:6] == ["✗", "FAIL", "error_rate", "6.3", "%", "<"]
    assert "42.1 ms < 100 ms" in line(p99())
    assert "n=182k" in line(p99())


def test_a_clamped_value_says_that_it_may_be_more() -> None:
    assert "≥500 ms" in line(p99(value=500.0, clamped=True, verdict=Verdict.FAIL))


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_without_a_value_the_reason_takes_the_room(value: float | None) -> None:
    drawn = line(p99(value=value, verdict=Verdict.NO_DATA, why="No sample in 24 h."))
    assert "NO DATA" in drawn
    assert "No sample in 24 h." in drawn
    assert "ms" not in drawn


def test_a_stale_value_stays_visible_with_its_age() -> None:
    drawn = line(p99(sampled_at=ago(211)).stale("No answer for three polls."))
    assert "STALE" in drawn
    assert "42.1 ms" in drawn
    assert drawn.endswith("3m40s")


def test_ascii_draws_ascii() -> None:
    for reading in READINGS:
        assert gauge_line(reading, NOW, Columns.of(80, 12), ASCII).plain.isascii()


async def test_equal_readings_repaint_nothing_and_a_new_one_its_own_row() -> None:
    gauges = SloGauges()
    gauges.now = NOW
    async with staged(gauges) as stage:
        gauges.readings = READINGS
        await stage.pilot.pause()
        assert len(shown(gauges)) == len(READINGS)
        painted: list[int] = []
        gauges.refresh_line = painted.append  # type: ignore[method-assign, assignment]
        gauges.readings = (p99(), p999(), p95(), error_rate(), alerts())
        assert painted == []
        gauges.readings = (p99(value=43.0), *READINGS[1:])
        assert painted == [0]


async def test_the_chosen_gauge_is_told() -> None:
    gauges = SloGauges()
    gauges.now = NOW
    async with staged(gauges) as stage:
        gauges.readings = READINGS
        gauges.focus()
        await stage.pilot.press("down")
        chosen = [message.reading for message in stage.heard(SloGauges.Chosen)]
        assert [reading.name for reading in chosen if reading] == ["p99", "p999"]


async def test_hostile_names_and_reasons_are_shown_as_text() -> None:
    gauges = SloGauges()
    gauges.now = NOW
    async with staged(gauges) as stage:
        gauges.readings = (alerts(name="[red]\x1b[31mp", why="[@click=app.quit]x[/]\u202egpj"),)
        await stage.pilot.pause()
        drawn = shown(gauges)[0]
        assert "[red]␛[31mp" in drawn
        assert "[@click=app.quit]x[/]\\u{202e}gpj" in drawn
