"""The small helpers that every widget shares: verdict marks, ages, bars, columns."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from fakes import NOW
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ml.clock import age
from ml.verdict import Verdict
from widgets.drawing import ASCII, MARKS, UNICODE, bar, fit, sparkline, summary


def test_every_verdict_has_its_own_word_and_glyph_in_aligned_cells() -> None:
    assert set(MARKS) == set(Verdict)
    for ascii_only in (False, True):
        texts = [mark.text(ascii_only=ascii_only) for mark in MARKS.values()]
        assert len(set(texts)) == len(Verdict)
        assert len({cell_len(text) for text in texts}) == 1
    assert all(mark.text(ascii_only=True).isascii() for mark in MARKS.values())
    assert len({mark.glyph for mark in MARKS.values()}) == len(Verdict)


def test_a_summary_counts_what_is_closed_worst_first() -> None:
    verdicts = (Verdict.WAIT, Verdict.PASS, Verdict.NO_DATA, Verdict.FAIL, Verdict.FAIL, Verdict.WAIVED)
    assert summary(verdicts) == "2 FAIL · 1 NO DATA · 1 WAIT"
    assert summary((Verdict.PASS,)) == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "5s"), (4, "5s"), (5.1, "10s"), (58, "1m00s"),
        (211, "3m40s"), (650, "11m"), (66_120, "18h22m"), (439_300, "5d02h"),
    ],
)  # fmt: skip
def test_an_age_is_coarse_and_never_younger_than_it_is(seconds: float, shown: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == shown


def test_an_age_of_nothing_and_of_tomorrow_is_told() -> None:
    assert age(None, NOW) == "-"
    assert age(NOW + timedelta(seconds=30), NOW) == "future"


@given(st.floats(0, 599))
def test_ages_below_ten_minutes_change_at_most_every_five_seconds(seconds: float) -> None:
    shown = {age(NOW - timedelta(seconds=seconds + tick), NOW) for tick in range(5)}
    assert len(shown) <= 2


def test_a_bar_tells_below_at_and_above_the_limit_apart() -> None:
    assert bar(0.4, 10, ASCII) == "####------"
    assert bar(1.0, 10, ASCII) == "##########"
    assert bar(1.01, 10, ASCII) == "#########!"
    assert bar(None, 10, ASCII) == bar(math.nan, 10, ASCII) == " " * 10
    assert bar(0.4, 10, UNICODE) == "━━━━──────"


def test_a_sparkline_keeps_the_newest_and_leaves_gaps() -> None:
    line = sparkline((9.0, 1.0, None, 2.0, 3.0), 4, UNICODE)
    assert line == "▁ ▄▇"
    assert sparkline((), 4, UNICODE) == "    "
    assert sparkline((5.0, 5.0), 4, UNICODE) == "  ▁▁"


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Mn", "Me", "Mc"))), st.integers(1, 40))
def test_a_column_has_exactly_its_cells(text: str, width: int) -> None:
    assert cell_len(fit(text, width, UNICODE)) == width
