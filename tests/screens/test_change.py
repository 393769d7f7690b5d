"""Staging and withdrawal by keys, on a fake session: what is typed, its plan, and then one write."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import CANDIDATE, FakeSession, board, model_view, stage_view
from support.pushed import MODEL, WizardSession
from support.views import console, told
from support.walk import reads, reads_soon, type_by_hand, until, walking
from textual.pilot import Pilot
from textual.widgets import Button, Input

from console.screens.change import StageScreen, WithdrawScreen
from ml.errors import Conflict, Invalid
from ml.stage import Stage

NEW = "artifacts/onnx/regime_v2026_02_18_001"


async def reason_typed(pilot: Pilot[object], reason: str = "Not wanted any more") -> None:
    await reads_soon(pilot, "Nothing is written until you confirm")
    pilot.app.screen.query_one("#reason", Input).focus()
    await type_by_hand(pilot, reason)


async def plan_shown(pilot: Pilot[object]) -> None:
    await pilot.press("ctrl+n")
    await reads_soon(pilot, "Nothing is written yet.")


async def confirmed(pilot: Pilot[object]) -> None:
    pilot.app.screen.query_one("#confirm", Button).focus()
    await pilot.press("enter", "enter", "enter")


async def test_a_withdrawal_shows_its_plan_and_is_written_once() -> None:
    session = WizardSession()
    async with walking(session, WithdrawScreen(MODEL, Stage.SHADOW)) as pilot:
        await reason_typed(pilot)
        assert not session.called("plan_withdraw")
        await plan_shown(pilot)
        assert pilot.app.focused is pilot.app.screen.query_one("#cancel")
        assert not session.called("submit")
        await pilot.press("left")
        await reads_soon(pilot, "withdraw/regime_classifier/")
        await confirmed(pilot)
        await reads_soon(pilot, "PUSHED, and read back from the remote")
    assert ("plan_withdraw", MODEL, "shadow", "Not wanted any more") in session.calls
    assert session.called("submit") == 1


async def test_an_artifact_is_staged_into_the_model_that_is_typed() -> None:
    session = WizardSession()
    async with walking(session, StageScreen("", "")) as pilot:
        await reason_typed(pilot, "New data")
        await pilot.press("ctrl+n")
        assert not session.called("plan_stage")  # model and directory are missing
        pilot.app.screen.query_one("#model", Input).value = "regime_new"
        pilot.app.screen.query_one("#directory", Input).value = NEW
        await pilot.pause()
        await plan_shown(pilot)
        await confirmed(pilot)
        await reads_soon(pilot, "PUSHED")
    assert ("plan_stage", NEW, "regime_new", "New data") in session.calls


async def test_enter_leads_through_the_fields_and_confirms_nothing() -> None:
    session = WizardSession()
    async with walking(session, StageScreen(MODEL, NEW)) as pilot:
        await reason_typed(pilot)
        await pilot.press("enter", "enter", "enter")
        assert not session.called("plan_stage")
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)


async def test_an_artifact_that_does_not_verify_is_said_and_can_be_corrected() -> None:
    session = WizardSession()
    session.failures["plan_stage"] = Invalid("regime_v2026_02_18_001 does not verify: digests.", "Build it anew.")
    async with walking(session, StageScreen(MODEL, NEW)) as pilot:
        await reason_typed(pilot)
        pilot.app.screen.query_one("#directory", Input).value = NEW
        await pilot.pause()
        await pilot.press("ctrl+n")
        await reads_soon(pilot, "does not verify: digests. Build it anew.")
        session.failures.clear()
        await plan_shown(pilot)


async def test_a_conflict_is_planned_again_and_not_replayed() -> None:
    session = WizardSession()
    session.failures["submit"] = Conflict("The registry changed since this plan was made.", "Plan it again.", "+x")
    async with walking(session, WithdrawScreen(MODEL, Stage.SHADOW)) as pilot:
        await reason_typed(pilot)
        await plan_shown(pilot)
        await confirmed(pilot)
        await reads_soon(pilot, "CONFLICT")
        session.failures.clear()
        pilot.app.screen.query_one("#again", Button).press()
        await reads_soon(pilot, "Nothing is written yet.")
        assert session.called("plan_withdraw") == 2
        assert not reads(pilot, "PUSHED")


@pytest.mark.parametrize(
    ("staging", "shadow", "keys", "said"),
    [
        (CANDIDATE, CANDIDATE, (), "Go to staging or shadow first"),
        (None, None, (), "Staging and shadow are empty."),
        (None, CANDIDATE, ("l", "h", "h"), "There is nothing to withdraw: staging is empty."),
        (CANDIDATE, CANDIDATE, ("l", "l"), "An active model is rolled back, not withdrawn"),
    ],
)
async def test_what_cannot_be_withdrawn_is_said(
    staging: str | None, shadow: str | None, keys: tuple[str, ...], said: str
) -> None:
    stages = {"staging": stage_view(Stage.STAGING, staging), "shadow": stage_view(Stage.SHADOW, shadow)}
    session = FakeSession(board(replace(model_view(), **stages)))
    async with console(session) as pilot:
        await pilot.press(*keys, "w")
        await until(pilot, lambda: said in told(pilot))
        assert len(pilot.app.screen_stack) == 1
