"""The promotion wizard as a person walks through it, by keys, on a fake session."""

from __future__ import annotations

from pathlib import Path

from fakes import ACK_PHRASE, CANDIDATE, DIFF, SOAKING, board, model_view, sha, stage_view
from support.pushed import (
    BURST,
    MODEL,
    ODD,
    SICK_ALERTS,
    WizardSession,
    submitted,
    to_active,
    to_the_ack,
    to_the_plan,
    to_the_reason,
)
from support.walk import reads, reads_soon, type_by_hand, until, walking
from textual import events
from textual.widgets import Button, Input

from console.messages import BoardArrived
from console.screens.promote.screen import PromoteScreen
from ml.errors import Conflict, Refused, Unavailable
from ml.records.drafts import Draft, Drafts
from ml.stage import Stage
from widgets.ack_input import AckInput


async def test_a_promotion_to_active_goes_from_checklist_to_receipt() -> None:
    session = WizardSession()
    async with walking(session, to_active()) as pilot:
        await submitted(pilot)
        await reads_soon(pilot, "PUSHED, and read back from the remote")
        assert reads(pilot, "https://git.example.com/trading/compare")
        await reads_soon(pilot, "mlconsole change land promote/regime_classifier/")
        await pilot.press("y")
        assert pilot.app.clipboard.startswith("mlconsole land promote/regime_classifier/")
    assert ("plan", "Soak passed", ACK_PHRASE) in session.calls
    assert session.called("submit") == 1


async def test_the_gates_are_judged_by_the_finding_before_the_ack_is_asked() -> None:
    session = WizardSession()
    async with walking(session, to_active()) as pilot:
        await to_the_ack(pilot)
    assert [call[2] for call in session.calls if call[0] == "checklist"] == ["", "Calm: nothing odd in 24 h"]


async def test_a_step_to_shadow_asks_for_no_ack_and_shows_the_tests_as_they_print() -> None:
    session = WizardSession()
    async with walking(session, PromoteScreen(MODEL, Stage.SHADOW)) as pilot:
        await reads_soon(pilot, "412 passed in 38.20s")
        assert not reads(pilot, "ACK")
        await to_the_reason(pilot)
        await type_by_hand(pilot, "Staging passed")
        await pilot.press("ctrl+n")
        await reads_soon(pilot, "models.json")
    assert session.called("checklist") == 1
    assert ("plan", "Staging passed", "") in session.calls


async def test_a_blocked_wizard_stays_and_names_what_blocks() -> None:
    async with walking(WizardSession(BURST, SICK_ALERTS), to_active()) as pilot:
        await reads_soon(pilot, "BLOCKED by error_rate (FAIL), alerts (NO_DATA).")
        await pilot.press("ctrl+n", "ctrl+n")
        assert reads(pilot, "[Checklist]")
        await pilot.press("down", "down", "down")
        assert reads(pilot, "a burst of ten minutes at 04:10 UTC, two windows of the soak.")


async def test_waived_gates_open_the_way_and_are_judged_as_waived() -> None:
    session = WizardSession(BURST)
    async with walking(session, to_active()) as pilot:
        await reads_soon(pilot, "BLOCKED by error_rate (FAIL):")
        await pilot.press("down", "down", "down", "w")
        await reads_soon(pilot, "Why may this gate stay closed?")
        await pilot.press("tab", "tab")
        pilot.app.screen.query_one(Input).focus()
        await type_by_hand(pilot, "known batch at 04:10")
        await pilot.press("tab", "tab", "enter")
        await reads_soon(pilot, "waived: known batch at 04:10")
        await to_the_ack(pilot)
    judged = [call for call in session.calls if call[0] == "checklist"]
    assert judged[-1] == ("checklist", SOAKING, "Calm: nothing odd in 24 h", "error_rate")


async def test_verify_role_and_ack_can_never_be_waived() -> None:
    async with walking(WizardSession(), to_active()) as pilot:
        await reads_soon(pilot, "24h31m")
        await pilot.press("end", "w")
        assert reads(pilot, "ack can never be waived.")


async def test_an_unchanged_reason_page_says_what_is_missing() -> None:
    async with walking(WizardSession(), to_active()) as pilot:
        await to_the_reason(pilot)
        await pilot.press("ctrl+n")
        assert reads(pilot, "Type a reason")
        await type_by_hand(pilot, "Soak passed")
        await pilot.press("ctrl+n")
        assert reads(pilot, "Type what you saw on the dashboards")


async def test_oddities_of_the_review_are_shown_to_the_reviewer() -> None:
    session = WizardSession()
    session.oddities = ODD
    async with walking(session, to_active()) as pilot:
        await to_the_reason(pilot)
        assert reads(pilot, "18 % above the first half")


async def test_cancel_has_the_focus_where_enter_would_be_dangerous() -> None:
    for walk in (to_the_ack, to_the_plan):
        async with walking(WizardSession(), to_active()) as pilot:
            await walk(pilot)
            assert pilot.app.focused is pilot.app.screen.query_one("#cancel")


async def test_the_first_tab_on_the_plan_reaches_submit_not_what_gives_the_ack_up() -> None:
    session = WizardSession()
    async with walking(session, to_active()) as pilot:
        await to_the_plan(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: session.called("submit") == 1)


async def test_the_keys_offer_enter_once_the_ack_matches() -> None:
    async with walking(WizardSession(), to_active()) as pilot:
        await to_the_ack(pilot)
        await pilot.press("shift+tab")
        await type_by_hand(pilot, ACK_PHRASE[:-1])
        assert not reads(pilot, "Enter Confirm")
        await type_by_hand(pilot, ACK_PHRASE[-1])
        await reads_soon(pilot, "Enter Confirm")


async def test_a_wrong_ack_goes_nowhere() -> None:
    session = WizardSession()
    async with walking(session, to_active()) as pilot:
        await to_the_ack(pilot)
        await pilot.press("shift+tab")
        await type_by_hand(pilot, ACK_PHRASE.lower())
        await pilot.press("enter", "enter")
        assert reads(pilot, "It differs from letter 1 on")
        assert pilot.app.screen.query_one("#next", Button).disabled
    assert not session.called("plan")


async def test_a_pasted_ack_is_refused() -> None:
    session = WizardSession()
    async with walking(session, to_active()) as pilot:
        await to_the_ack(pilot)
        field = pilot.app.screen.query_one(AckInput)
        field.focus()
        await pilot.pause()
        pilot.app.post_message(events.Paste(ACK_PHRASE))
        await reads_soon(pilot, "Paste is refused. Type the phrase by hand.")
        await pilot.press("enter")
        assert field.typed == ""
    assert not session.called("plan")


async def test_held_enter_confirms_nothing_on_the_way_to_active() -> None:
    session = WizardSession()
    async with walking(session, to_active()) as pilot:
        await to_the_plan(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(pilot.app.screen, PromoteScreen))
    assert not session.called("submit")


async def test_a_plan_is_submitted_once_however_often_the_key_comes() -> None:
    session = WizardSession()
    async with walking(session, to_active()) as pilot:
        await to_the_plan(pilot)
        pilot.app.screen.query_one("#next").focus()
        with session.held("submit"):
            await pilot.press("enter", "enter", "enter", "escape")
            assert reads(pilot, "Press Escape when it has finished")
            assert isinstance(pilot.app.screen, PromoteScreen)
        await reads_soon(pilot, "PUSHED")
        await pilot.press("enter", "enter", "enter")
        assert reads(pilot, "PUSHED")
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, PromoteScreen)
    assert session.called("submit") == 1


async def test_a_push_offline_says_that_the_branch_is_local_and_how_to_push_it() -> None:
    session = WizardSession()
    session.pushed = False
    async with walking(session, to_active()) as pilot:
        await submitted(pilot)
        await reads_soon(pilot, "NOT PUSHED: the branch is local only")
        await reads_soon(pilot, "mlconsole push promote/regime_classifier/")


async def test_a_conflict_shows_the_difference_and_replays_nothing() -> None:
    session = WizardSession()
    session.failures["submit"] = Conflict("The registry moved since the plan was made.", "Look at it.", DIFF)
    async with walking(session, to_active()) as pilot:
        await submitted(pilot)
        await reads_soon(pilot, "CONFLICT")
        assert reads(pilot, "The registry moved since the plan was made.")
        assert reads(pilot, SOAKING)
        session.calls.clear()
        again = pilot.app.screen.query_one("#next")
        await until(pilot, lambda: not again.has_class("-active"))  # a button just pressed takes no second press
        again.focus()
        await pilot.press("enter")
        await reads_soon(pilot, "[Checklist]")
        await to_the_reason(pilot)
        assert pilot.app.screen.query_one("#reason", Input).value == "Soak passed"
        assert pilot.app.screen.query_one("#finding", Input).value == ""
    assert ("target", MODEL, "active") in session.calls
    assert not session.called("plan")
    assert not session.called("submit")


async def test_a_refused_plan_says_why_and_takes_a_new_ack() -> None:
    session = WizardSession()
    session.failures["plan"] = Refused("A freeze window is open until 18:00 UTC.", "Wait for its end.")
    async with walking(session, to_active()) as pilot:
        await to_the_ack(pilot)
        field = pilot.app.screen.query_one(AckInput)
        field.focus()
        await type_by_hand(pilot, ACK_PHRASE)
        await pilot.press("enter")
        await reads_soon(pilot, "A freeze window is open until 18:00 UTC. Wait for its end.")
        assert pilot.app.screen.query_one("#next", Button).disabled
        pilot.app.screen.query_one("#back").focus()
        await pilot.press("enter")
        await reads_soon(pilot, "[ACK]")
        assert field.typed == ""


async def test_nothing_to_promote_is_said() -> None:
    session = WizardSession()
    session.failures["target"] = Refused("Staging is empty.", "Stage an artifact first.")
    async with walking(session, PromoteScreen(MODEL, Stage.SHADOW)) as pilot:
        await reads_soon(pilot, "Staging is empty. Stage an artifact first.")
        assert pilot.app.screen.query_one("#next", Button).disabled


async def test_gates_that_cannot_be_judged_say_so_and_can_be_judged_again() -> None:
    session = WizardSession()
    session.failures["checklist"] = Unavailable("Prometheus is out of reach.", "Look at its address.")
    async with walking(session, to_active()) as pilot:
        await reads_soon(pilot, "Prometheus is out of reach.")
        session.failures.clear()
        await pilot.press("f5")
        await reads_soon(pilot, "24h31m without a breach.")


async def test_the_target_stays_when_the_board_changes() -> None:
    session = WizardSession()
    async with walking(session, to_active()) as pilot:
        await reads_soon(pilot, SOAKING)
        moved = board(model_view(shadow=stage_view(Stage.SHADOW, "regime_v2026_02_18_009")))
        pilot.app.post_message(BoardArrived(moved))
        await pilot.pause()
        assert reads(pilot, SOAKING)
        assert not reads(pilot, "regime_v2026_02_18_009")
        await to_the_ack(pilot)
    assert {call[1] for call in session.calls if call[0] == "checklist"} == {SOAKING}


async def test_two_possible_steps_are_offered_with_cancel_focused() -> None:
    session = WizardSession()
    session.shown = board(model_view(staging=stage_view(Stage.STAGING, CANDIDATE)))
    async with walking(session, PromoteScreen(MODEL, None)) as pilot:
        await reads_soon(pilot, "Which step?")
        assert pilot.app.focused is pilot.app.screen.query_one("#cancel")
        pilot.app.screen.query_one("#to-shadow").focus()
        await pilot.press("enter")
        await reads_soon(pilot, "412 passed")
    assert ("target", MODEL, "shadow") in session.calls


async def test_escape_leaves_every_page_without_a_write() -> None:
    for walk in (to_the_reason, to_the_ack, to_the_plan):
        session = WizardSession()
        async with walking(session, to_active()) as pilot:
            await walk(pilot)
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(pilot.app.screen, PromoteScreen))
        assert not session.called("submit")


async def test_keys_of_the_views_open_nothing_on_top() -> None:
    async with walking(WizardSession(), to_active()) as pilot:
        before = len(pilot.app.screen_stack)
        await pilot.press("p", "r", "c", "u", "2")
        assert len(pilot.app.screen_stack) == before


async def test_the_plan_turns_its_tabs_by_arrows() -> None:
    async with walking(WizardSession(), to_active()) as pilot:
        await to_the_plan(pilot)
        await pilot.press("right")
        await reads_soon(pilot, "## Promotion Evidence")
        await pilot.press("right")
        await reads_soon(pilot, "files ml/registry/models.json")
        await pilot.press("pagedown")
        await reads_soon(pilot, "message Promote regime_v2026_02_16_001 to active")
        await pilot.press("left", "left")
        await reads_soon(pilot, "models.json")


async def test_what_was_typed_is_there_again_after_a_lost_connection(tmp_path: Path) -> None:
    session = WizardSession(BURST)
    async with walking(session, to_active(), drafts=Drafts(tmp_path)) as pilot:
        await reads_soon(pilot, "BLOCKED")
        await pilot.press("down", "down", "down", "w")
        await reads_soon(pilot, "Why may this gate stay closed?")
        pilot.app.screen.query_one(Input).focus()
        await type_by_hand(pilot, "known batch")
        await pilot.press("tab", "tab", "enter")
        await to_the_reason(pilot)
        await type_by_hand(pilot, "Soak passed")
        kept = lambda: Drafts(tmp_path).find(MODEL, Stage.ACTIVE, sha("a"))  # noqa: E731
        await until(pilot, lambda: (draft := kept()) and draft.reason == "Soak passed")
    async with walking(session, to_active(), drafts=Drafts(tmp_path)) as pilot:
        await reads_soon(pilot, "Your earlier input is restored. 1 waived by you.")
        await to_the_reason(pilot)
        assert pilot.app.screen.query_one("#reason", Input).value == "Soak passed"
    assert [call[-1] for call in session.calls if call[0] == "checklist"] == ["", "error_rate"]


async def test_a_submitted_draft_is_forgotten_and_a_draft_of_another_artifact_is_not_found(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    drafts.keep(Draft(model=MODEL, to_stage=Stage.ACTIVE, model_sha256=sha("c"), reason="of another artifact"))
    async with walking(WizardSession(), to_active(), drafts=drafts) as pilot:
        await to_the_reason(pilot)
        assert pilot.app.screen.query_one("#reason", Input).value == ""
        await pilot.press("escape")
    async with walking(WizardSession(), to_active(), drafts=drafts) as pilot:
        await submitted(pilot)
        await reads_soon(pilot, "PUSHED")
        await until(pilot, lambda: not list(tmp_path.iterdir()))


async def test_a_draft_that_cannot_be_kept_is_said_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "drafts").write_text("a file where the folder should be")
    async with walking(WizardSession(), to_active(), drafts=Drafts(tmp_path / "drafts")) as pilot:
        await to_the_reason(pilot)
        await type_by_hand(pilot, "S")
        await reads_soon(pilot, "The draft cannot be kept")
        await type_by_hand(pilot, "oak passed")
        assert pilot.app.screen.query_one("#reason", Input).value == "Soak passed"
