"""The header always fits, and spares first what matters least."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import BASE, NOW, ago, kill_view

from ml.board import KillView, Rung, Source, SourceState
from widgets.drawing import ASCII, UNICODE
from widgets.status_line import Status, status_content

STATUS = Status(
    environment="prod",
    production=True,
    read_only=False,
    model="regime_classifier",
    ref="origin/main",
    commit=BASE,
    fetched=Source("origin", SourceState.OK, ago(12)),
    prometheus=Source("prometheus", SourceState.OK, ago(4)),
    kill=kill_view(),
)


def text(status: Status = STATUS, width: int = 80) -> str:
    return status_content(status, NOW, width, UNICODE).plain


def test_it_says_everything_where_there_is_room() -> None:
    assert text(width=100) == ("!PROD! RW │ regime_classifier │ main@d3e950d 15s │ prom OK 5s │ KILL off │ 14:02:11Z")


def test_at_80_columns_it_spares_the_ref() -> None:
    assert text() == "!PROD! RW │ regime_classifier │ d3e950d 15s │ prom OK 5s │ KILL off │ 14:02:11Z"


@pytest.mark.parametrize("width", [60, 70, 80])
def test_a_long_model_name_is_cut_and_nothing_else(width: int) -> None:
    shown = text(replace(STATUS, model="a_model_with_a_name_as_long_as_anybody_dares"), width)
    assert len(shown) <= width
    assert "…" in shown
    for kept in ("!PROD! RW", "d3e950d 15s", "KILL off", "14:02:11Z"):
        assert kept in shown


def test_trouble_is_told_in_words() -> None:
    sick = replace(STATUS, prometheus=Source("prometheus", SourceState.STALE, ago(211)), read_only=True)
    assert "prom STALE 3m40s" in text(sick, 100)
    assert "RO" in text(sick)
    assert "KILL ON" in text(replace(STATUS, kill=kill_view(Rung.WRITTEN)))
    assert "KILL ?" in text(replace(STATUS, kill=KillView(engaged=None)))
    assert "KILL ON" in text(replace(STATUS, kill=kill_view(Rung.CONFIRMED, by_engines=True)))
    for rung in (Rung.WRITTEN, Rung.UNCONFIRMED, Rung.UNPROVEN):
        assert "RELEASING" in text(replace(STATUS, kill=kill_view(rung, engaged=False, asked=False)))
    assert "KILL off" in text(replace(STATUS, kill=kill_view(Rung.CONFIRMED, engaged=False, asked=False)))


def test_nothing_is_claimed_before_it_is_known() -> None:
    early = replace(STATUS, commit="", kill=None, fetched=Source("remote"), prometheus=Source("prometheus"))
    assert "no commit" in text(early)
    assert "prom checking" in text(early)
    assert "off" not in text(early)


def test_in_the_same_second_nothing_changes_and_in_the_next_only_the_clock() -> None:
    def at(seconds: float) -> str:
        return status_content(STATUS, NOW + timedelta(seconds=seconds), 80, UNICODE).plain

    assert at(0) == at(0.4)
    differing = [(a, b) for a, b in zip(at(0), at(1), strict=True) if a != b]
    assert differing == [("1", "2")]


def test_another_place_is_named_and_ascii_is_ascii() -> None:
    assert text(replace(STATUS, production=False, environment="demo")).startswith("demo RW")
    assert status_content(STATUS, NOW, 80, ASCII).plain.isascii()
