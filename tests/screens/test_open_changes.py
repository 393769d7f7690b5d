"""Open changes as a person walks through them, by keys, on a fake session."""

from __future__ import annotations

from dataclasses import replace

from fakes import ADDRESS, BRANCH, OPEN_GATES, FakeSession, change_ladder, change_subject, changes
from support.pushed import MODEL, WizardSession, emergency, to_active
from support.views import console, console_of, settled, told
from support.walk import reads, reads_soon, shown_on, type_by_hand, until, walking
from textual.widgets import Button, Input

from console.messages import ChangesArrived
from console.screens.changes import ChangesScreen
from console.screens.open_change import OpenChangeScreen
from console.screens.promote.screen import PromoteScreen
from console.screens.rollback import RollbackScreen
from ml.errors import Conflict, Refused, Unavailable
from ml.promotion.rungs import Approvals
from ml.verdict import Verdict
from widgets.ack_input import AckInput

COMMIT = change_subject().commit
ROLLBACK = changes()[0].subject.branch


def with_changes() -> FakeSession:
    session = FakeSession()
    session.shown_changes = changes()
    return session


# --- the list --------------------------------------------------------------------------------------------------------
async def test_five_opens_the_changes_and_enter_opens_one() -> None:
    async with console(with_changes()) as pilot:
        await pilot.press("5")
        await settled(pilot)
        assert isinstance(pilot.app.screen, ChangesScreen)
        for words in (
            "4 open, 1 done in the last day",
            "✗ CHECKED",
            "✓ MERGED",
            ROLLBACK,
            "mlconsole push",
            "there P pushes it",
        ):
            assert reads(pilot, words), words
        await pilot.press("down", "down")
        await reads_soon(pilot, BRANCH)
        assert reads(pilot, "APPROVED waiting: 1 more operator must approve it.")
        assert reads(pilot, "by developer@example.com, 2h00m ago")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, OpenChangeScreen))
        await reads_soon(pilot, "PLANNED done")
        assert reads(pilot, BRANCH)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChangesScreen))


async def test_branch_and_address_are_copied() -> None:
    async with console(with_changes()) as pilot:
        await pilot.press("5")
        await settled(pilot)
        await pilot.press("o")
        await until(pilot, lambda: "no address" in told(pilot))
        await pilot.press("down", "y")
        await until(pilot, lambda: pilot.app.clipboard == changes()[1].subject.branch)
        await pilot.press("o")
        await until(pilot, lambda: pilot.app.clipboard == ADDRESS)


async def test_the_chosen_change_stays_chosen_while_others_come() -> None:
    session = with_changes()
    async with console(session) as pilot:
        await pilot.press("5")
        await settled(pilot)
        await pilot.press("down", "down")
        await reads_soon(pilot, BRANCH)
        newer = change_ladder(change_subject(branch="promote/m/newer", model="m"))
        console_of(pilot).post_message(ChangesArrived((newer, *changes())))
        await reads_soon(pilot, "5 open")
        assert reads(pilot, BRANCH)


async def test_no_open_change_is_said_and_a_failed_look_is_a_problem() -> None:
    session = with_changes()
    session.shown_changes = ()
    async with console(session) as pilot:
        await pilot.press("5")
        await reads_soon(pilot, "none is open")
        session.failures["followed"] = Unavailable("The clone is gone.", "Look at it.")
        await pilot.press("f5")
        await reads_soon(pilot, "The clone is gone.")


async def test_a_webhook_that_cannot_be_told_is_a_problem_and_the_list_stands() -> None:
    session = with_changes()
    session.failures["tell"] = Unavailable("The notes cannot be written.", "Make room.")
    async with console(session) as pilot:
        await pilot.press("5")
        await settled(pilot)
        await reads_soon(pilot, "The notes cannot be written.")
        assert reads(pilot, "4 open")


async def test_a_filter_and_the_palette_find_changes() -> None:
    async with console(with_changes()) as pilot:
        await pilot.press("5")
        await settled(pilot)
        await pilot.press("slash")
        await pilot.press(*"lowvol", "enter")
        await until(pilot, lambda: not reads(pilot, "spacing_ml"))
        assert reads(pilot, "regime_lowvol")
        await pilot.press("escape", "1", "ctrl+p")
        await pilot.press(*"change stage")
        await reads_soon(pilot, changes()[3].subject.branch[:40])
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, OpenChangeScreen))


# --- one change ------------------------------------------------------------------------------------------------------
async def test_a_rollback_is_landed_by_two_keys_and_followed() -> None:
    session = with_changes()
    async with walking(session, OpenChangeScreen(ROLLBACK)) as pilot:
        await reads_soon(pilot, "PLANNED done")
        await pilot.press("l")
        await reads_soon(pilot, "Press ^L to land it")
        await pilot.press("enter", "l", "l")
        assert not session.called("land")
        await until(pilot, lambda: isinstance(pilot.app.screen, OpenChangeScreen))
        await pilot.press("l")
        await reads_soon(pilot, "Press ^L to land it")
        await pilot.press("ctrl+l", "ctrl+l")
        await reads_soon(pilot, "MERGED done")
        assert [call for call in session.calls if call[0] == "land"] == [("land", ROLLBACK, COMMIT)]
        await pilot.press("l")
        await reads_soon(pilot, "It has landed.")


async def test_a_promotion_to_active_is_landed_by_its_word_only() -> None:
    session = with_changes()
    session.shown_changes = (change_ladder(),)
    async with walking(session, OpenChangeScreen(BRANCH, then="land")) as pilot:
        await reads_soon(pilot, "Type LAND")
        await pilot.press("ctrl+l")
        assert pilot.app.screen.query_one("#confirm", Button).disabled
        await pilot.press("shift+tab")
        await until(pilot, lambda: isinstance(pilot.app.focused, AckInput))
        await type_by_hand(pilot, "LAN")
        await pilot.press("enter")
        assert not session.called("land")
        await type_by_hand(pilot, "D")
        await pilot.press("enter", "enter")
        await reads_soon(pilot, "MERGED done")
    assert session.called("land") == 1


async def test_a_closed_gate_lands_nothing_and_its_lines_say_why() -> None:
    session = with_changes()
    closed = replace(OPEN_GATES[1], verdict=Verdict.FAIL, why="182 ms is not below 100 ms.")
    session.gates = (OPEN_GATES[0], closed, *OPEN_GATES[2:])
    async with walking(session, OpenChangeScreen(ROLLBACK, then="land")) as pilot:
        await reads_soon(pilot, "The gate refuses it: p99 (FAIL).")
        assert reads(pilot, "182 ms is not below 100 ms.")
        await pilot.press("ctrl+l", "tab", "enter")
        await pilot.pause()
        assert not session.called("land")


async def test_a_gate_that_cannot_be_judged_lands_nothing() -> None:
    session = with_changes()
    session.failures["gates"] = Unavailable("origin is out of reach.", "Look at the remote.")
    async with walking(session, OpenChangeScreen(ROLLBACK, then="land")) as pilot:
        await reads_soon(pilot, "origin is out of reach.")
        await pilot.press("ctrl+l")
        assert not session.called("land")


async def test_a_branch_that_moved_meanwhile_is_a_conflict_in_words() -> None:
    session = with_changes()
    session.failures["land"] = Conflict("The branch is at another commit now.", "Look at the change again.")
    async with walking(session, OpenChangeScreen(ROLLBACK, then="land")) as pilot:
        await reads_soon(pilot, "Press ^L")
        await pilot.press("ctrl+l")
        await reads_soon(pilot, "The branch is at another commit now. Look at the change again.")
        await until(pilot, lambda: session.called("change") > 2)
        assert reads(pilot, "The branch is at another commit now.")


async def test_an_approval_is_of_the_commit_that_was_shown() -> None:
    session = with_changes()
    session.shown_changes = (change_ladder(approvals=Approvals(needed=1)),)
    async with walking(session, OpenChangeScreen(BRANCH)) as pilot:
        await reads_soon(pilot, "A approves it")
        await pilot.press("a")
        await reads_soon(pilot, "You approve exactly this commit")
        assert reads(pilot, COMMIT)
        await pilot.press("ctrl+l")
        await reads_soon(pilot, "operator@example.com approves a1b2c3d4e5f6")
    assert [call for call in session.calls if call[0] == "approve"] == [("approve", BRANCH, COMMIT)]


async def test_a_refused_approval_is_said_and_stays() -> None:
    session = with_changes()
    session.failures["approve"] = Refused("This is your own change.", "Ask another operator.")
    async with walking(session, OpenChangeScreen(BRANCH, then="approve")) as pilot:
        await reads_soon(pilot, "You approve exactly")
        await pilot.press("ctrl+l")
        await reads_soon(pilot, "This is your own change. Ask another operator.")


async def test_closing_takes_a_reason_and_says_how_to_undo_it() -> None:
    session = with_changes()
    async with walking(session, OpenChangeScreen(BRANCH)) as pilot:
        await reads_soon(pilot, "PLANNED done")
        await pilot.press("x")
        await reads_soon(pilot, "The branch goes from the remote.")
        await pilot.press("escape")
        await reads_soon(pilot, "PLANNED done")
        assert not session.called("close")
        await pilot.press("x", "shift+tab")
        await until(pilot, lambda: isinstance(pilot.app.focused, Input))
        await type_by_hand(pilot, "not today")
        await pilot.press("enter")
        assert not session.called("close")
        await pilot.press("ctrl+l")
        await reads_soon(pilot, "It is closed")
        await pilot.press("y")
        await until(pilot, lambda: pilot.app.clipboard == f"mlconsole push {BRANCH}")
    assert [call for call in session.calls if call[0] == "close"] == [("close", BRANCH, "not today")]


async def test_a_change_that_stayed_here_is_pushed_by_keys() -> None:
    session = with_changes()
    async with walking(session, OpenChangeScreen(ROLLBACK)) as pilot:
        await reads_soon(pilot, "P pushes it")
        await pilot.press("p")
        await reads_soon(pilot, "The remote gets the branch")
        await pilot.press("ctrl+l")
        await reads_soon(pilot, "The remote holds it.")
    assert [call for call in session.calls if call[0] == "push"] == [("push", ROLLBACK)]


async def test_the_tabs_show_what_the_change_is_made_of() -> None:
    async with walking(with_changes(), OpenChangeScreen(BRANCH)) as pilot:
        await reads_soon(pilot, "PLANNED done")
        for words in (
            "proof: a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
            '+ "artifact_id": "regime_v2026_02_16_001"',
            "The gate lets it through: 9 of 9 open.",
            "Judged again from 3 raw answers",
            "second@example.com at 2026-02-17 12:32Z, counts",
            "PLANNED done",
        ):
            await pilot.press("right")
            await reads_soon(pilot, words)


async def test_a_look_that_fails_marks_what_is_shown_as_old() -> None:
    session = with_changes()
    async with walking(session, OpenChangeScreen(BRANCH)) as pilot:
        await reads_soon(pilot, "PLANNED done")
        session.failures["change"] = Unavailable("The clone is locked.", "Wait.")
        await pilot.press("f5")
        await reads_soon(pilot, "NOT UP TO DATE since 14:02:11Z: The clone is locked.")
        session.failures.clear()
        await pilot.press("f5")
        await until(pilot, lambda: not reads(pilot, "NOT UP TO DATE"))


async def test_a_read_only_session_looks_and_changes_nothing() -> None:
    session = with_changes()
    async with console(session, read_only=True) as pilot:
        await pilot.press("5")
        await settled(pilot)
        await pilot.press("l")
        await reads_soon(pilot, "This session is read-only.")
        for key in ("a", "x"):
            await pilot.press(key)
        assert not reads(pilot, "Nothing is done yet")
    assert not {call[0] for call in session.calls} & {"land", "approve", "close"}


async def test_a_slow_landing_is_waited_for_and_blocks_no_key() -> None:
    session = with_changes()
    async with walking(session, OpenChangeScreen(ROLLBACK, then="land")) as pilot:
        await reads_soon(pilot, "Press ^L")
        with session.held("land"):
            await pilot.press("ctrl+l")
            await reads_soon(pilot, "The change is being landed")
            await pilot.press("escape", "l", "ctrl+l")
            assert isinstance(pilot.app.screen, OpenChangeScreen)
        await reads_soon(pilot, "MERGED done")
    assert session.called("land") == 1


async def test_a_small_terminal_confirms_nothing_that_it_hides() -> None:
    session = with_changes()
    async with walking(session, OpenChangeScreen(ROLLBACK, then="land")) as pilot:
        await reads_soon(pilot, "Press ^L")
        await pilot.resize_terminal(59, 15)
        await until(pilot, lambda: pilot.app.screen.has_class("-tiny"))
        await pilot.press("ctrl+l")
        assert not session.called("land")


# --- receipts --------------------------------------------------------------------------------------------------------
async def test_a_receipt_follows_its_change_and_l_lands_it() -> None:
    session = emergency()
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "was active before")
        await pilot.press("ctrl+r")
        await reads_soon(pilot, "MERGED waits")
        assert reads(pilot, "mlconsole change land")
        await pilot.press("l")
        await reads_soon(pilot, "Press ^L to land it")
        await pilot.press("ctrl+l")
        await reads_soon(pilot, "MERGED done")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RollbackScreen))
        await reads_soon(pilot, "MERGED done")
    assert session.called("land") == 1


# --- a second promotion ----------------------------------------------------------------------------------------------
async def test_a_second_promotion_says_that_one_is_open_before_anything_is_judged() -> None:
    session = WizardSession()
    session.same_steps = (change_ladder(approvals=Approvals(needed=1)),)
    async with walking(session, to_active()) as pilot:
        await reads_soon(pilot, "This step, shadow to active, is open already.")
        assert reads(pilot, BRANCH)
        assert reads(pilot, "by developer@example.com, 2h00m ago")
        assert not session.called("target")
        assert not session.called("checklist")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, OpenChangeScreen))
        assert not any(isinstance(screen, PromoteScreen) for screen in pilot.app.screen_stack)


async def test_a_second_promotion_goes_on_knowingly() -> None:
    session = WizardSession()
    session.same_steps = (change_ladder(),)
    async with walking(session, to_active()) as pilot:
        await reads_soon(pilot, "is open already")
        once_more = pilot.app.screen.query_one("#once-more")
        while pilot.app.focused is not once_more:
            await pilot.press("tab")
        await pilot.press("enter")
        await until(pilot, lambda: session.called("checklist"))


async def test_what_is_not_known_about_other_changes_stops_no_promotion() -> None:
    session = WizardSession()
    session.failures["same_step"] = Unavailable("git hangs.", "Look at it.")
    async with walking(session, to_active()) as pilot:
        await until(pilot, lambda: session.called("checklist"))


async def test_a_rollback_asks_nobody() -> None:
    session = emergency()
    session.same_steps = (change_ladder(),)
    async with walking(session, RollbackScreen(MODEL)) as pilot:
        await reads_soon(pilot, "was active before")
        await pilot.press("ctrl+r")
        await reads_soon(pilot, "PUSHED")
    assert not session.called("same_step")


async def test_ascii_and_every_size_are_survived() -> None:
    async with walking(with_changes(), OpenChangeScreen(BRANCH), ascii_only=True) as pilot:
        await reads_soon(pilot, "PLANNED done")
        text = "\n".join(shown_on(pilot))
        assert sorted(set(text) - set(map(chr, range(128)))) == []
        for width, height in ((1, 1), (240, 70), (59, 15), (3, 90), (200, 2), (80, 24)):
            await pilot.resize_terminal(width, height)
        await reads_soon(pilot, "PLANNED done")
