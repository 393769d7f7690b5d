"""The Soak view with nothing to judge by: one sentence of why, the age of what is drawn, and the next attempt."""

from __future__ import annotations

from dataclasses import replace

from fakes import NOW, FakeSession, FrozenClock, ago, board, sha, soak_report
from support.views import console, console_of, settled
from support.walk import reads, reads_soon, until

from ml.adapters.prometheus import Prometheus
from ml.board import SoakReport, Source, SourceState
from ml.errors import Refused
from ml.policy import parse_policy
from ml.slo.soak import SoakSubject, judge_soak
from ml.verdict import Verdict
from widgets.soak_tape import SoakTapes


def refused() -> SoakReport:
    """What a soak is when nobody listens at Prometheus's address."""
    subject = SoakSubject("regime_classifier", "regime_v2026_02_16_001", sha("a"), ago(90_000))
    return judge_soak(Prometheus("http://127.0.0.1:1"), parse_policy(None), subject, NOW).report


async def test_a_source_that_falls_silent_midway_erases_nothing_either() -> None:
    session = FakeSession()
    nothing = tuple(replace(each, cells="." * 220, values=(None,) * 220) for each in soak_report().tapes)
    async with console(session) as pilot:
        await pilot.press("2")
        await reads_soon(pilot, "coverage 99.4 %")
        session.shown_soak = soak_report(verdict=Verdict.ERROR, why="p99: it hangs.", tapes=nothing, coverage=0.0)
        await pilot.press("f5")
        await reads_soon(pilot, "ERROR p99: it hangs.")
        drawn = pilot.app.screen.query_one(SoakTapes).report
        assert drawn is not None
        assert drawn.tapes == soak_report().tapes


async def test_no_prometheus_is_said_with_what_to_do() -> None:
    none = Source("prometheus", SourceState.NONE, why="No prometheus.url is configured.")
    session = FakeSession(board(prometheus=none))
    session.failures["soak"] = Refused("No Prometheus is configured.", "Set prometheus.url.")
    async with console(session) as pilot:
        await pilot.press("2")
        await reads_soon(pilot, "No Prometheus is configured, so no soak can be judged.")
        await reads_soon(pilot, "Set prometheus.url in")
        assert not reads(pilot, "asking for the soak")


async def test_an_unreachable_prometheus_is_said_with_age_and_next_attempt() -> None:
    session = FakeSession()
    session.shown_soak = refused()
    async with console(session) as pilot:
        await pilot.press("2")
        await reads_soon(pilot, "ERROR soak: http://127.0.0.1:1 cannot be reac")
        assert reads(pilot, "no window")
        assert not reads(pilot, "all ok")
        await reads_soon(pilot, "asked 5s ago, again every 30 s, F5 now")


async def test_what_was_judged_before_the_source_fell_silent_stays_and_has_its_age() -> None:
    session = FakeSession()
    async with console(session) as pilot:
        await pilot.press("2")
        await settled(pilot)
        await reads_soon(pilot, "coverage 99.4 %")
        session.shown_soak = replace(refused(), as_of=NOW)
        await pilot.press("f5")
        await reads_soon(pilot, "the tape is 5s old")
        drawn = pilot.app.screen.query_one(SoakTapes).report
        assert drawn is not None
        assert drawn.tapes == soak_report().tapes
        assert reads(pilot, "✓ PASS") is False
        session.shown_soak = soak_report()
        await pilot.press("f5")
        await reads_soon(pilot, "coverage 99.4 %")


async def test_f5_asks_also_a_source_that_rests() -> None:
    session = FakeSession()
    async with console(session) as pilot:
        assert ("board", "at once") not in session.calls
        await pilot.press("f5")
        await until(pilot, lambda: session.calls.count(("board", "at once")) == 1)


async def test_while_it_asks_it_says_how_the_source_is() -> None:
    sick = Source("prometheus", SourceState.STALE, ago(90), "No good answer for 1m30s (4 polls). It hangs.")
    session = FakeSession(board(prometheus=sick))
    async with console(session) as pilot:
        with session.held("soak"):
            await pilot.press("2")
            await reads_soon(
                pilot, "asking for the soak of regime_v2026_02_16_001 … No good answer for 1m30s (4 polls). It hangs."
            )


async def test_the_summary_ages_and_repaints_only_then() -> None:
    async with console() as pilot:
        await pilot.press("2")
        await settled(pilot)
        await reads_soon(pilot, "eligible 19:40Z · 5s ago")
        summary = pilot.app.screen.query_one("#summary")
        before = summary.visual  # type: ignore[attr-defined]
        app = console_of(pilot)
        app.now = app.clock.now()
        assert summary.visual is before  # type: ignore[attr-defined]
        clock = app.clock
        assert isinstance(clock, FrozenClock)
        clock.advance(60)
        await until(pilot, lambda: reads(pilot, "eligible 19:40Z · 1m"))
