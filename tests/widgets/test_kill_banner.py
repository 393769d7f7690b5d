"""The banner is there exactly while the switch is on or nobody knows."""

from __future__ import annotations

import pytest
from fakes import kill_view
from support.widget_host import shown, staged

from ml.board import KillView, Rung
from widgets.banners import KillBanner


async def test_it_is_hidden_while_the_switch_is_off_or_not_read_yet() -> None:
    banner = KillBanner()
    async with staged(banner) as stage:
        for view in (None, kill_view(), kill_view(Rung.CONFIRMED, engaged=False)):
            banner.view = view
            await stage.pilot.pause()
            assert not banner.display


async def test_it_names_state_proof_time_and_person() -> None:
    banner = KillBanner()
    async with staged(banner, (100, 5)) as stage:
        banner.view = kill_view(Rung.CONFIRMED)
        await stage.pilot.pause()
        assert banner.display
        words = "KILL SWITCH ENGAGED · CONFIRMED 2 of 2 · since 14:02:05Z by operator@example.com"
        assert shown(banner)[0].strip() == words


async def test_a_kill_that_could_not_be_written_is_not_taken_for_a_switch_that_is_off() -> None:
    banner = KillBanner()
    async with staged(banner) as stage:
        banner.view = kill_view(Rung.REQUESTED, engaged=False, asked=True)
        await stage.pilot.pause()
        assert banner.display
        assert "KILL NOT WRITTEN" in shown(banner)[0]


async def test_an_unreadable_switch_is_loud() -> None:
    banner = KillBanner()
    async with staged(banner) as stage:
        banner.view = KillView(engaged=None, problem="var/kill_switch.env: permission denied.")
        await stage.pilot.pause()
        assert banner.display
        assert "KILL STATE UNKNOWN: var/kill_switch.env: permission denied." in shown(banner)[0]


async def test_it_stays_on_one_row_at_any_width() -> None:
    banner = KillBanner()
    async with staged(banner, (40, 5)) as stage:
        banner.view = kill_view(Rung.UNCONFIRMED, by="someone.with.a.long.name@trading.example.com")
        await stage.pilot.pause()
        assert len(shown(banner)) == 1
        assert "…" in shown(banner)[0]


def elsewhere() -> KillView:
    return kill_view(Rung.CONFIRMED, by_engines=True, requested_at=None, by="", total=5, confirmed=5, beside="file off")


async def test_a_kill_thrown_elsewhere_is_told_in_80_columns_without_a_cut() -> None:
    banner = KillBanner()
    async with staged(banner, (80, 5)) as stage:
        banner.view = elsewhere()
        await stage.pilot.pause()
        words = "KILL ON by 5 of 5 engines · this clone's file says off · U releases"
        assert shown(banner)[0].strip() == words


async def test_an_unclear_file_is_told_in_80_columns_without_a_cut() -> None:
    banner = KillBanner()
    async with staged(banner, (80, 5)) as stage:
        banner.view = KillView(engaged=None, unclear=True, problem="long")
        await stage.pilot.pause()
        words = "KILL UNCLEAR · engines read the kill file differently · F9 on, U off"
        assert shown(banner)[0].strip() == words


async def test_a_release_stays_until_it_is_proven() -> None:
    banner = KillBanner()
    async with staged(banner, (100, 5)) as stage:
        for rung, there in ((Rung.WRITTEN, True), (Rung.UNCONFIRMED, True), (Rung.CONFIRMED, False)):
            banner.view = kill_view(rung, engaged=False, asked=False)
            await stage.pilot.pause()
            assert banner.display is there
            if there:
                assert shown(banner)[0].strip().startswith("RELEASE NOT PROVEN · ")


@pytest.mark.parametrize("by", ["operator@example.com", "operator@example.com (root@night-desk-7)"])
@pytest.mark.parametrize("rung", [Rung.WRITTEN, Rung.APPLIED, Rung.CONFIRMED, Rung.UNPROVEN, Rung.UNCONFIRMED])
@pytest.mark.parametrize("engaged", [True, False])
async def test_in_80_columns_the_person_is_whole(by: str, rung: Rung, engaged: bool) -> None:
    banner = KillBanner()
    async with staged(banner, (80, 5)) as stage:
        banner.view = kill_view(rung, by=by, engaged=engaged)
        await stage.pilot.pause()
        line = shown(banner)[0] if banner.display else "by operator@example.com"
        assert "by operator@example.com" in line
        assert "…" not in line


async def test_the_line_loses_seconds_first_and_the_time_last() -> None:
    banner = KillBanner()
    forms = (
        (82, "KILL SWITCH ENGAGED · CONFIRMED 2 of 2 · since 14:02:05Z by operator@example.com"),
        (80, "KILL SWITCH ENGAGED · CONFIRMED 2 of 2 · since 14:02Z by operator@example.com"),
        (75, "KILL SWITCH ENGAGED · CONFIRMED 2 of 2 · 14:02Z by operator@example.com"),
        (65, "KILL ON · CONFIRMED 2 of 2 · 14:02Z by operator@example.com"),
        (58, "KILL ON · CONFIRMED 2 of 2 · by operator@example.com"),
    )
    async with staged(banner, (100, 5)) as stage:
        banner.view = kill_view(Rung.CONFIRMED)
        for width, words in forms:
            await stage.pilot.resize_terminal(width, 5)
            await stage.pilot.pause()
            assert shown(banner)[0].strip() == words, width


async def test_proof_comes_before_the_person_where_it_is_narrow() -> None:
    banner = KillBanner()
    async with staged(banner, (80, 5)) as stage:
        banner.view = kill_view(Rung.UNPROVEN, by="ann.with.a.long.name@trading.example.com (root@night)")
        await stage.pilot.pause()
        words = "KILL ON · UNPROVEN, none of 2 confirmed · by ann.with.a.long.name@trading.exa"
        assert shown(banner)[0].strip().startswith(words)
