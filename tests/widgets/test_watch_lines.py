"""The watch after a promotion: quiet while nothing breaches, loud when something does."""

from __future__ import annotations

from fakes import LIVE, NOW, ago, watch_view
from support.widget_host import shown, staged

from widgets.banners import WatchBanner, WatchLine

BREACH = "p99: 640 ms over 5m is not below 100 ms."


async def test_a_calm_watch_is_one_line_with_the_minutes_left() -> None:
    line = WatchLine()
    async with staged(line, (100, 5)) as stage:
        assert not line.display
        line.now, line.watches = NOW, (watch_view(),)
        await stage.pilot.pause()
        assert line.display
        assert shown(line) == [f"WATCH {LIVE}  42m left, nothing breaches  kept by operator@example.com"]


async def test_a_watch_that_has_just_begun_lasts_no_longer_than_it_does() -> None:
    line = WatchLine()
    async with staged(line) as stage:
        line.now, line.watches = NOW, (watch_view(began_at=ago(-1), ends_at=ago(-3601)),)
        await stage.pilot.pause()
        assert " 60m left" in shown(line)[0]


async def test_the_watch_that_ends_first_is_told_and_the_others_are_counted() -> None:
    line = WatchLine()
    async with staged(line, (110, 5)) as stage:
        soon = watch_view(model="regime_night", artifact_id="regime_v2026_02_17_009", ends_at=NOW)
        line.now, line.watches = NOW, (watch_view(), soon)
        await stage.pilot.pause()
        assert shown(line)[0].startswith("WATCH regime_v2026_02_17_009  0m left")
        assert shown(line)[0].endswith("+1 more")


async def test_a_breaching_watch_leaves_the_quiet_line_for_the_banner() -> None:
    line, banner = WatchLine(), WatchBanner()
    async with staged(line, (100, 5)) as stage:
        await stage.pilot.app.mount(banner)
        line.now, line.watches = NOW, (watch_view(BREACH),)
        banner.chosen, banner.watches = "regime_classifier", (watch_view(BREACH),)
        await stage.pilot.pause()
        assert (line.display, banner.display) == (False, True)
        assert shown(banner)[0].strip() == f"BREACH regime_classifier · r rolls back · {BREACH}"
        banner.watches = (watch_view(),)
        await stage.pilot.pause()
        assert not banner.display


async def test_the_banner_names_the_way_to_a_model_that_is_not_looked_at() -> None:
    banner = WatchBanner()
    async with staged(banner, (120, 5)) as stage:
        banner.chosen, banner.watches = "regime_night", (watch_view(BREACH),)
        await stage.pilot.pause()
        assert "choose it with [ or ], then r rolls back" in shown(banner)[0]
        banner.watches = (watch_view(BREACH), watch_view("errors: 9 %.", model="regime_night"))
        await stage.pilot.pause()
        assert shown(banner)[0].strip() == "BREACH regime_night · r rolls back · errors: 9 %. · +1 more"


async def test_a_read_only_session_is_offered_no_rollback() -> None:
    banner = WatchBanner()
    async with staged(banner) as stage:
        banner.may_roll_back = False
        banner.chosen, banner.watches = "regime_classifier", (watch_view(BREACH),)
        await stage.pilot.pause()
        assert "rolls back" not in shown(banner)[0]
        assert BREACH in shown(banner)[0]


async def test_the_key_survives_a_narrow_terminal_and_foreign_text_is_made_visible() -> None:
    banner = WatchBanner()
    async with staged(banner, (44, 5)) as stage:
        banner.chosen, banner.watches = "regime_classifier", (watch_view("p99: \x1b[2J" + "9" * 90),)
        await stage.pilot.pause()
        (row,) = shown(banner)
        assert "r rolls back" in row
        assert "\x1b" not in row
        assert row.rstrip().endswith("…")


async def test_a_watch_over_what_is_not_measured_now_does_not_say_that_nothing_breaches() -> None:
    line = WatchLine()
    async with staged(line, (90, 3)) as stage:
        line.now, line.watches, line.unproven = NOW, (watch_view(),), frozenset({"regime_classifier"})
        await stage.pilot.pause()
        text = "\n".join(shown(line))
        assert "not measured now" in text
        assert "nothing breaches" not in text
