"""The watch in the interface: a quiet line on the first view; on a breach a bell, a banner, and the rollback by `r`."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from fakes import FakeSession, board, healthy_model, p99, watch_view
from support.views import console, console_of, settled
from support.walk import reads, until
from textual.pilot import Pilot

from console.app import ConsoleApp
from console.screens.help import HelpScreen
from console.screens.rollback import RollbackScreen
from ml.board import WatchView
from widgets.banners import WatchBanner

BREACH = "p99: 640 ms over 5m is not below 100 ms."
MODELS = tuple(replace(healthy_model(name), active_readings=(p99(),)) for name in ("regime_classifier", "regime_night"))


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(ConsoleApp, "bell", lambda self: rung.append("bell"))
    return rung


async def arrive(pilot: Pilot[int], *watches: WatchView) -> None:
    """The next poll, asked for at once, finds these watches."""
    session = cast("FakeSession", console_of(pilot).session)
    session.shown = board(*MODELS, watches=watches)
    polls = session.called("board")
    await pilot.press("f5")
    await until(pilot, lambda: session.called("board") > polls and console_of(pilot).board == session.shown)
    await settled(pilot)


async def test_a_calm_watch_is_told_on_the_first_view_without_a_sound(bells: list[str]) -> None:
    async with console(FakeSession(board(*MODELS, watches=(watch_view(),)))) as pilot:
        await until(pilot, lambda: reads(pilot, "42m left, nothing breaches"))
        assert not pilot.app.screen.query_one(WatchBanner).display
        assert bells == []


async def test_a_breach_rings_once_and_one_key_opens_its_rollback(bells: list[str]) -> None:
    async with console(FakeSession(board(*MODELS))) as pilot:
        console_of(pilot).select("regime_classifier")
        for sentence in (BREACH, BREACH, BREACH.replace("640", "655")):
            await arrive(pilot, watch_view(sentence, model="regime_night"))
        assert bells == ["bell"]
        assert console_of(pilot).model_name == "regime_night"
        assert reads(pilot, "BREACH regime_night · r rolls back · p99: 655 ms")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, RollbackScreen))


@pytest.mark.parametrize("view", ["2", "3", "4"])
async def test_the_banner_is_on_every_view(view: str, bells: list[str]) -> None:
    async with console(FakeSession(board(*MODELS, watches=(watch_view(BREACH),)))) as pilot:
        await pilot.press(view)
        await settled(pilot)
        assert reads(pilot, "BREACH regime_classifier")
    assert bells == ["bell"]


async def test_a_breach_changes_nothing_under_an_open_screen(bells: list[str]) -> None:
    async with console(FakeSession(board(*MODELS))) as pilot:
        console_of(pilot).select("regime_classifier")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await arrive(pilot, watch_view(BREACH, model="regime_night"))
        assert (bells, console_of(pilot).model_name) == (["bell"], "regime_classifier")
        await pilot.press("escape")
        await until(pilot, lambda: reads(pilot, "BREACH regime_night · choose it with [ or ]"))


async def test_a_read_only_session_hears_it_and_is_offered_nothing(bells: list[str]) -> None:
    session = FakeSession(board(*MODELS, watches=(watch_view(BREACH),), read_only=True))
    async with console(session, read_only=True) as pilot:
        assert reads(pilot, "BREACH regime_classifier · p99: 640 ms")
    assert bells == ["bell"]
