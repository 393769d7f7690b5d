"""The banner is there exactly while the switch is on or nobody knows."""

from __future__ import annotations

from fakes import kill_view
from support.widget_host import shown, staged

from ml.board import KillView, Rung
from widgets.kill_banner import KillBanner


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
