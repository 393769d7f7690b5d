"""Rollback, kill, release, compare and help as a person walks through them, by keys, on a fake session."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from fakes import DIFF, OLD, board, kill_view
from support.pushed import (
    MODEL,
    PARTIAL,
    WizardSession,
    emergency,
    to_active,
    to_the_ack,
    to_the_plan,
)
from support.walk import reads, reads_soon, shown_on, type_by_hand, until, walking
from textual.pilot import Pilot
from textual.widgets import Button, Input

from console.messages import BoardArrived, KillArrived
from console.screens.compare import CompareScreen
from console.screens.help import HelpScreen
from console.screens.kill import KillScreen, ReleaseScreen
from console.screens.promote.screen import PromoteScreen
from console.screens.rollback import RollbackScreen
from ml.board import Rung
from ml.errors import Conflict, Refused, Unavailable
from widgets.ack_input import AckInput


# --- rollback --------------------------------------------------------------------------------------------------------
async def test_a_rollback_is_confirmed_by_its_own_key_once() -> None:
    session = emergency()
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "was active before")
        await pilot.press("ctrl+r", "ctrl+r", "ctrl+r")
        await reads_soon(pilot, "PUSHED")
    assert [call for call in session.calls if call[0] == "rollback"] == [
        ("rollback", OLD, "EMERGENCY: error_rate 6.3 % (limit 5 %)")
    ]


async def test_what_a_small_terminal_hides_is_not_confirmed() -> None:
    session = emergency()
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "was active before")
        await pilot.resize_terminal(59, 15)
        await until(pilot, lambda: pilot.app.screen.has_class("-tiny"))
        await pilot.press("ctrl+r")
        assert not session.called("rollback")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: not pilot.app.screen.has_class("-tiny"))
        await pilot.press("ctrl+r")
        await reads_soon(pilot, "PUSHED")


async def test_held_enter_does_not_roll_back() -> None:
    session = emergency()
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "was active before")
        await pilot.press("enter", "enter")
        assert not isinstance(pilot.app.screen, RollbackScreen)
    assert not session.called("rollback")


async def test_everything_that_matters_is_on_the_screen() -> None:
    async with walking(emergency(), RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "was active before")
        for words in (
            "served 4d00h",
            "error_rate 6.3 %, limit 5 %",
            "layout, digests",
            "condemned regime_v2026_02_12_001",
            "would undo promote/regime_classifier",
            "production_data_v2 is gone",
        ):
            assert reads(pilot, words), words


async def test_another_candidate_is_prepared_and_a_bad_one_is_refused() -> None:
    session = emergency()
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "was active before")
        pilot.app.screen.query_one("CandidateRows").focus()
        await pilot.press("down", "enter")
        assert reads(pilot, "regime_v2026_02_10_001 is refused: model.onnx is not the file")
        await pilot.press("down", "enter")
        await until(pilot, lambda: ("rollback_plan", MODEL, "regime_v2026_02_08_002") in session.calls)
        await reads_soon(pilot, "regime_v2026_02_08_002")
        await until(pilot, lambda: not pilot.app.screen.query_one("#confirm", Button).disabled)
        await pilot.press("ctrl+r")
        await reads_soon(pilot, "PUSHED")
    assert [call[1] for call in session.calls if call[0] == "rollback"] == ["regime_v2026_02_08_002"]


async def test_an_edited_reason_is_the_one_that_is_written_and_an_empty_one_disarms() -> None:
    session = emergency()
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "was active before")
        pilot.app.screen.query_one("#reason", Input).focus()
        await pilot.press("ctrl+u", "ctrl+r")
        assert reads(pilot, "Type a reason.")
        await type_by_hand(pilot, "p99 doubled")
        await pilot.press("ctrl+r")
        await reads_soon(pilot, "PUSHED")
    assert [call[2] for call in session.calls if call[0] == "rollback"] == ["p99 doubled"]


async def test_what_is_prepared_tells_its_age_and_is_prepared_anew_when_the_registry_moves() -> None:
    session = emergency()
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "prepared 20s ago")
        board = session.shown
        pilot.app.post_message(BoardArrived(replace(board, as_of=board.as_of + timedelta(seconds=5))))
        await pilot.pause()
        assert session.called("rollback_plan") == 1
        moved = replace(board, registry=replace(board.registry, commit="f" * 40))
        pilot.app.post_message(BoardArrived(moved))
        await until(pilot, lambda: session.called("rollback_plan") == 2)


async def test_nothing_to_roll_back_is_said_and_nothing_can_be_confirmed() -> None:
    session = WizardSession()
    session.rollback_to = replace(
        session.rollback_to, plan=None, why="Nothing is active, so there is nothing to roll back.", candidates=()
    )
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "NOTHING TO ROLL BACK.")
        await pilot.press("ctrl+r")
        assert pilot.app.screen.query_one("#confirm", Button).disabled
    assert not session.called("rollback")


async def test_a_conflict_of_a_rollback_is_prepared_again() -> None:
    session = emergency()
    session.failures["rollback"] = Conflict("Somebody rolled back already.", "Look at it.", DIFF)
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "was active before")
        await pilot.press("ctrl+r")
        await reads_soon(pilot, "Somebody rolled back already.")
        session.failures.clear()
        pilot.app.screen.query_one("#again").focus()
        await pilot.press("enter")
        await until(pilot, lambda: session.called("rollback_plan") == 2)
        await reads_soon(pilot, "was active before")
        await until(pilot, lambda: not pilot.app.screen.query_one("#confirm", Button).disabled)
        await pilot.press("ctrl+r")
        await reads_soon(pilot, "PUSHED")


# --- kill and release ------------------------------------------------------------------------------------------------
async def test_the_kill_screen_follows_the_receipt() -> None:
    session = WizardSession()
    async with walking(session, KillScreen()) as pilot:
        await reads_soon(pilot, "The switch is off.")
        session.kill_state = kill_view(Rung.WRITTEN)
        pilot.app.post_message(KillArrived(session.kill_state))
        await reads_soon(pilot, "KILL WRITTEN, none of 2 confirmed")
        assert reads(pilot, "KILL ON · WRITTEN, none of 2 confirmed · 14:02Z by operator@example.com")
        session.kill_state = kill_view(Rung.CONFIRMED)
        pilot.app.post_message(KillArrived(session.kill_state))
        await reads_soon(pilot, "ML is off, and the engines' own metrics prove it.")
        session.kill_state = PARTIAL
        pilot.app.post_message(KillArrived(session.kill_state))
        await reads_soon(pilot, "KILL CONFIRMED 3 of 4")
        assert reads(pilot, "NOT PROVEN. Do the steps by hand now")
        assert reads(pilot, "systemctl stop grinder-ml")


async def test_a_switch_that_could_not_be_thrown_is_said_loudly_on_the_kill_screen() -> None:
    session = WizardSession()
    session.failures["kill"] = Unavailable("The kill file cannot be written.", "Stop the engines by hand.")
    async with walking(session, to_active()) as pilot:
        await pilot.press("f9")
        await reads_soon(pilot, "Kill switch")
        await reads_soon(pilot, "The kill file cannot be written. Stop the engines by hand.")
        assert pilot.app.screen.query_one("#notice").has_class("alarm")


async def test_the_kill_key_works_over_the_ack_field() -> None:
    session = WizardSession()
    async with walking(session, to_active()) as pilot:
        await to_the_ack(pilot)
        pilot.app.screen.query_one(AckInput).focus()
        await type_by_hand(pilot, "I_UNDER")
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(pilot.app.screen, KillScreen))
        await until(pilot, lambda: session.called("kill") == 1)
        await pilot.press("escape")
        await reads_soon(pilot, "KILL ON · WRITTEN, none of 2 confirmed · 14:02Z by operator@example.com")
        assert pilot.app.screen.query_one(AckInput).typed == "I_UNDER"


async def test_release_needs_the_word_and_a_reason() -> None:
    session = WizardSession()
    session.shown = board(kill=kill_view(Rung.CONFIRMED))
    session.warnings = ("error_rate is still 6.3 %, limit 5 %.",)
    async with walking(session, ReleaseScreen()) as pilot:
        await reads_soon(pilot, "error_rate is still 6.3 %")
        assert pilot.app.focused is pilot.app.screen.query_one("#cancel")
        pilot.app.screen.query_one(AckInput).focus()
        await type_by_hand(pilot, "RELEASE")
        await pilot.press("enter")
        assert reads(pilot, "Type a reason as well.")
        assert not session.called("release")
        pilot.app.screen.query_one("#reason", Input).focus()
        await type_by_hand(pilot, "rolled back, errors are normal")
        pilot.app.screen.query_one(AckInput).focus()
        await pilot.press("enter", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, KillScreen))
    assert [call for call in session.calls if call[0] == "release"] == [
        ("release", "RELEASE", "rolled back, errors are normal")
    ]


async def test_a_refused_release_says_why_and_forgets_the_word() -> None:
    session = WizardSession()
    session.failures["release"] = Refused("This session is read-only.", "Start without --read-only.")
    async with walking(session, ReleaseScreen()) as pilot:
        pilot.app.screen.query_one("#reason", Input).focus()
        await type_by_hand(pilot, "over")
        pilot.app.screen.query_one(AckInput).focus()
        await type_by_hand(pilot, "RELEASE")
        await pilot.press("enter")
        await reads_soon(pilot, "This session is read-only.")
        assert pilot.app.screen.query_one(AckInput).typed == ""


# --- compare and help ------------------------------------------------------------------------------------------------
async def test_compare_tells_how_far_it_is() -> None:
    session = WizardSession()
    screen = CompareScreen("artifacts/onnx/new", "artifacts/onnx/old")
    with session.held("compare"):
        async with walking(session, screen) as pilot:
            await reads_soon(pilot, "Now: digests #######--- 67 % model.onnx")
            session.let_go()
            await reads_soon(pilot, "48,212 B")
            assert not reads(pilot, "Now: digests")


async def test_compare_marks_what_differs_and_can_show_only_that() -> None:
    session = WizardSession()
    async with walking(session, CompareScreen("artifacts/onnx/a", "artifacts/onnx/b")) as pilot:
        await reads_soon(pilot, "48,212 B")
        assert reads(pilot, "3.12% of 4,096 common inputs")
        assert any(line.split()[:4] == ["MID", "40", "1300", "8"] for line in shown_on(pilot))
        assert any(line.split()[:6] == ["down", "/", "across", "LOW", "MID", "HIGH"] for line in shown_on(pilot))
        assert any("opset" in line and "≠" not in line for line in shown_on(pilot))
        await pilot.press("d")
        await until(pilot, lambda: not reads(pilot, "opset"))
        await pilot.press("down", "down")
        assert reads(pilot, session.compared.rows[3].left)


async def test_help_shows_the_keys_below_and_the_runbooks_words() -> None:
    async with walking(WizardSession(), to_active()) as pilot:
        await reads_soon(pilot, "24h31m")
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        assert reads(pilot, "ALL REQUIRED: soak window, latency SLO, error rate, no alerts")
        assert reads(pilot, "Waive the chosen gate with a typed reason")
        assert reads(pilot, "F4 Charts")
        assert reads(pilot, "↑ k Up")
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, PromoteScreen)


async def test_ascii_draws_nothing_else() -> None:
    async def at_once(pilot: Pilot[object]) -> None:
        await pilot.pause()

    cases = (
        (to_active(), to_the_plan),
        (RollbackScreen(MODEL), at_once),
        (KillScreen(), at_once),
        (ReleaseScreen(), at_once),
    )
    for pushed, walk in cases:
        async with walking(WizardSession(), pushed, ascii_only=True) as pilot:
            await walk(pilot)
            await until(pilot, lambda: "\n".join(shown_on(pilot)).isascii())
