"""Staging and withdrawal by keys, on fake operations: what is typed, its plan, and then one write."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import CANDIDATE, FakeOperations, board, model_view, stage_view
from support.pushed import MODEL, WizardOperations
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
    operations = WizardOperations()
    async with walking(operations, WithdrawScreen(MODEL, Stage.SHADOW)) as pilot:
        await reason_typed(pilot)
        assert not operations.called("plan_withdraw")
        await plan_shown(pilot)
        assert pilot.app.focused is pilot.app.screen.query_one("#cancel")
        assert not operations.called("submit")
        await pilot.press("left")
        await reads_soon(pilot, "withdraw/regime_classifier/")
        await confirmed(pilot)
        await reads_soon(pilot, "PUSHED, and read back from the remote")
    assert ("plan_withdraw", MODEL, "shadow", "Not wanted any more") in operations.calls
    assert operations.called("submit") == 1


async def test_an_artifact_is_staged_into_the_model_that_is_typed() -> None:
    operations = WizardOperations()
    async with walking(operations, StageScreen("", "")) as pilot:
        await reason_typed(pilot, "New data")
        await pilot.press("ctrl+n")
        assert not operations.called("plan_stage")  # model and directory are missing
        pilot.app.screen.query_one("#model", Input).value = "regime_new"
        pilot.app.screen.query_one("#directory", Input).value = NEW
        await pilot.pause()
        await plan_shown(pilot)
        await confirmed(pilot)
        await reads_soon(pilot, "PUSHED")
    assert ("plan_stage", NEW, "regime_new", "New data") in operations.calls


async def test_enter_leads_through_the_fields_and_confirms_nothing() -> None:
    operations = WizardOperations()
    async with walking(operations, StageScreen(MODEL, NEW)) as pilot:
        await reason_typed(pilot)
        await pilot.press("enter", "enter", "enter")
        assert not operations.called("plan_stage")
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)


async def test_an_artifact_that_does_not_verify_is_said_and_can_be_corrected() -> None:
    operations = WizardOperations()
    operations.failures["plan_stage"] = Invalid("regime_v2026_02_18_001 does not verify: digests.", "Build it anew.")
    async with walking(operations, StageScreen(MODEL, NEW)) as pilot:
        await reason_typed(pilot)
        pilot.app.screen.query_one("#directory", Input).value = NEW
        await pilot.pause()
        await pilot.press("ctrl+n")
        await reads_soon(pilot, "does not verify: digests. Build it anew.")
        operations.failures.clear()
        await plan_shown(pilot)


async def test_a_conflict_is_planned_again_and_not_replayed() -> None:
    operations = WizardOperations()
    operations.failures["submit"] = Conflict("The registry changed since this plan was made.", "Plan it again.", "+x")
    async with walking(operations, WithdrawScreen(MODEL, Stage.SHADOW)) as pilot:
        await reason_typed(pilot)
        await plan_shown(pilot)
        await confirmed(pilot)
        await reads_soon(pilot, "CONFLICT")
        operations.failures.clear()
        pilot.app.screen.query_one("#again", Button).press()
        await reads_soon(pilot, "Nothing is written yet.")
        assert operations.called("plan_withdraw") == 2
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
    operations = FakeOperations(board(replace(model_view(), **stages)))
    async with console(operations) as pilot:
        await pilot.press(*keys, "w")
        await until(pilot, lambda: said in told(pilot))
        assert len(pilot.app.screen_stack) == 1
