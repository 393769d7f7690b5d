"""Verdicts, clock and text: the words that everything else uses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.clock import clock_time, format_utc, parse_utc, span
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Gate, Verdict, worst


def test_only_pass_and_waived_open_a_gate() -> None:
    assert {verdict for verdict in Verdict if verdict.opens} == {Verdict.PASS, Verdict.WAIVED}


def test_an_artifact_goes_up_one_stage_at_a_time() -> None:
    assert [stage.below for stage in Stage] == [None, Stage.STAGING, Stage.SHADOW]
    assert [stage.above for stage in Stage] == [Stage.SHADOW, Stage.ACTIVE, None]


def test_nothing_judged_is_nothing_proven() -> None:
    assert worst([]) is Verdict.NO_DATA


def test_the_worst_of_many_is_the_one_that_speaks() -> None:
    assert worst([Verdict.PASS, Verdict.VACUOUS, Verdict.WAIT]) is Verdict.VACUOUS
    assert worst(Verdict) is Verdict.FAIL


def test_a_waiver_keeps_what_was_found() -> None:
    waived = Gate(name="p99", verdict=Verdict.FAIL, why="120 ms is not < 100 ms").waived("load test")
    assert waived.verdict is Verdict.WAIVED
    assert "load test" in waived.why
    assert "FAIL: 120 ms is not < 100 ms" in waived.why


@pytest.mark.parametrize("text", ["2026-02-16T10:00:00", "2026-02-16T10:00:00+00:00", "yesterday Z", "Z", ""])
def test_a_time_that_is_not_written_in_utc_with_z_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — any refusal will do
        parse_utc(text)


def test_times_survive_a_round_trip_and_other_zones_are_converted() -> None:
    moment = datetime(2026, 2, 16, 10, 0, tzinfo=UTC)
    assert parse_utc(format_utc(moment)) == moment
    assert format_utc(moment.astimezone(timezone(timedelta(hours=5)))) == "2026-02-16T10:00:00Z"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (4.9, "4s"), (211, "3m31s"), (66_120, "18h22m"), (439_200, "5d02h")],
)
def test_spans_have_at_most_two_units(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x9b31m",
    "\x9d0;title\x07",
    "\x1b]52;c;AAAA\x1b\\",
    "bell\x07 enq\x05 del\x7f",
    "\u202egnp.exe",
    "zero\u200bwidth\ufeff",
    "\u2066isolate\u2069",
    "lone \ud800 surrogate",
    "line\u2028separator",
    "filler\u3164\u115f",
    "cr\rlf\n",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_outside_text_keeps_its_letters_and_loses_its_powers(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert shown != text


@given(st.text(alphabet=st.characters()))
def test_whatever_comes_in_only_printable_text_comes_out(text: str) -> None:
    assert visible(text).isprintable()
    assert all(line.isprintable() for line in visible(text, lines=True).split("\n"))


def test_harmless_text_of_any_language_is_left_alone() -> None:
    text = "Größe 42 ms → наблюдение 観察 ✅"
    assert visible(text) == text


def test_a_cut_is_marked() -> None:
    assert visible("x" * 50, limit=10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("ago", "told"),
    [
        (0, "14:02Z"),
        (12 * 3600, "02:02Z"),
        (12 * 3600 + 1, "17 Feb 02:02Z"),
        (-13 * 3600, "18 Feb 03:02Z"),
        (24 * 3600, "16 Feb 14:02Z"),
        (300 * 86_400, "2025-04-23 14:02Z"),
    ],
)
def test_a_time_of_day_that_is_far_away_carries_its_date(ago: float, told: str) -> None:
    now = datetime(2026, 2, 17, 14, 2, 11, tzinfo=UTC)
    assert clock_time(now - timedelta(seconds=ago), now) == told
