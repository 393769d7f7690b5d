"""The dashboard review in the terminal: what it says at each time, and what it says when there is nothing."""

from __future__ import annotations

from dataclasses import replace

from fakes import NOW, FakeSession, FrozenClock
from support.pushed import MODEL, WizardSession, to_active, to_the_reason
from support.views import console
from support.walk import reads, reads_soon, until, walking
from textual.pilot import Pilot

from console.screens.promote.screen import PromoteScreen
from console.screens.review import ReviewScreen
from ml.adapters.prometheus import Prometheus
from ml.errors import Unavailable
from ml.policy import parse_policy
from ml.slo.review import review


def on_review(pilot: Pilot[object]) -> bool:
    return isinstance(pilot.app.screen, ReviewScreen)


async def test_v_opens_it_on_the_soak_view_and_escape_leads_back() -> None:
    async with console() as pilot:
        await pilot.press("2", "v")
        await reads_soon(pilot, "shadow against active")
        await reads_soon(pilot, "p99.9")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.current_mode == "soak" and not on_review(pilot))


async def test_the_wizards_review_step_opens_it_beside_what_is_typed() -> None:
    async with walking(WizardSession(), to_active()) as pilot:
        await to_the_reason(pilot)
        await reads_soon(pilot, "F4 shows the 24 h")
        await pilot.press("S", "o", "f4")
        await reads_soon(pilot, "shadow against active")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, PromoteScreen))
        assert pilot.app.screen.query_one("#reason").value == "So"  # type: ignore[attr-defined]


async def test_scrubbing_tells_both_values_at_a_time() -> None:
    async with walking(FakeSession(), ReviewScreen(MODEL)) as pilot:
        await reads_soon(pilot, "17 Feb 13:32-14:02Z")
        await pilot.press("down", "down", "b")
        await reads_soon(pilot, "16 Feb 22:02-22:32Z shadow 180 ms (over) · active 32.2 ms")
        await pilot.press("left")
        await reads_soon(pilot, "16 Feb 21:32-22:02Z shadow 54.2 ms · active 33.9 ms")
        await pilot.press("up")
        await reads_soon(pilot, "16 Feb 21:32-22:02Z shadow 31.7 ms · active 19.8 ms")


async def test_a_window_that_was_not_measured_says_so() -> None:
    async with walking(FakeSession(), ReviewScreen(MODEL), size=(200, 60)) as pilot:
        await reads_soon(pilot, "KILL_SWITCH_ENV")
        for _ in range(42):
            await pilot.press("left")
        await reads_soon(pilot, "17 Feb 06:52-07:02Z shadow not measured · active")


async def test_keys_work_while_it_asks_and_the_age_grows() -> None:
    session = FakeSession()
    async with walking(session, ReviewScreen(MODEL)) as pilot:
        await reads_soon(pilot, "asked 5s ago")
        clock = pilot.app.clock  # type: ignore[attr-defined]
        assert isinstance(clock, FrozenClock)
        clock.advance(120)
        await reads_soon(pilot, "asked 2m")
        with session.held("review"):
            await pilot.press("f5", "f5", "down", "down", "left")
            await reads_soon(pilot, "17 Feb 13:02-13:32Z shadow")
        await until(pilot, lambda: session.called("review") == 2)


async def test_no_prometheus_is_one_sentence_and_the_screen_stays() -> None:
    session = FakeSession()
    session.failures["review"] = Unavailable("No Prometheus is configured.", "Set prometheus.url.")
    async with walking(session, ReviewScreen(MODEL)) as pilot:
        await reads_soon(pilot, "No Prometheus is configured. Set prometheus.url.")
        del session.failures["review"]
        await pilot.press("f5")
        await reads_soon(pilot, "p99.9")
        assert not reads(pilot, "No Prometheus")


async def test_what_nobody_answered_is_not_known_and_what_was_seen_before_stays() -> None:
    session = FakeSession()
    seen = session.shown_review
    silent = review(Prometheus("http://127.0.0.1:1"), parse_policy(None), MODEL, NOW)
    async with walking(session, ReviewScreen(MODEL)) as pilot:
        await reads_soon(pilot, "p99.9 125 ms")
        session.shown_review = silent
        await pilot.press("f5")
        await reads_soon(pilot, "http://127.0.0.1:1 cannot be reached")
        assert reads(pilot, "p99.9 125 ms")
        await pilot.press("escape", "v")
        await reads_soon(pilot, "p50: not known.")
        assert not reads(pilot, "was measured")
        session.shown_review = seen
        await pilot.press("f5")
        await reads_soon(pilot, "p99.9 125 ms")


async def test_y_copies_what_is_odd() -> None:
    session = FakeSession()
    session.shown_review = replace(session.shown_review, as_of=NOW, oddities=("p99 shadow is higher.",))
    async with walking(session, ReviewScreen(MODEL)) as pilot:
        await reads_soon(pilot, "p99 shadow is higher.")
        await pilot.press("y")
        await until(pilot, lambda: pilot.app.clipboard == "p99 shadow is higher.")
