"""Pictures of the pushed screens and their main states, at the design size and a wide one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from fakes import (
    ACK_PHRASE,
    BLOCKED_GATES,
    CANDIDATE,
    DIFF,
    FrozenClock,
    ago,
    board,
    change_ladder,
    changes,
    kill_view,
    model_view,
    stage_view,
)
from support.pictures import SIZES, Compare
from support.pushed import (
    BURST,
    MODEL,
    ODD,
    PARTIAL,
    SICK_ALERTS,
    WizardSession,
    emergency,
    four,
    submitted,
    to_active,
    to_the_ack,
    to_the_plan,
    to_the_reason,
)
from support.walk import opened, reads_soon, type_by_hand, until
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from console.app import ConsoleApp
from console.messages import KillArrived
from console.screens.change import StageScreen, WithdrawScreen
from console.screens.compare import CompareScreen
from console.screens.kill import KillScreen, ReleaseScreen
from console.screens.open_change import OpenChangeScreen
from console.screens.promote.screen import PromoteScreen
from console.screens.review import ReviewScreen
from console.screens.rollback import RollbackScreen
from ml.board import Delivery, InstanceReceipt, KillView, Rung
from ml.errors import Conflict, Refused, Unavailable
from ml.promotion.rungs import Ending, Ladder
from ml.stage import Stage
from widgets.ack_input import AckInput

NEW = "artifacts/onnx/regime_v2026_02_18_001"

Walk = Callable[[Pilot[object]], Awaitable[None]]


@dataclass
class Picture:
    """One state of one screen, and how to get there."""

    session: WizardSession
    pushed: Screen[None]
    walk: Walk


def sees(text: str) -> Walk:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, text)

    return walk


# --- promotion -------------------------------------------------------------------------------------------------------
def promote_blocked() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "BLOCKED")
        await pilot.press("down", "down", "down")

    return Picture(WizardSession(BURST, SICK_ALERTS), to_active(), walk)


def promote_open() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await until(pilot, lambda: not pilot.app.screen.query_one("#next").disabled)

    return Picture(WizardSession(), to_active(), walk)


def promote_waiving() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "BLOCKED")
        await pilot.press("down", "down", "down", "w")
        await reads_soon(pilot, "Why may this gate stay closed?")

    return Picture(WizardSession(BURST), to_active(), walk)


def promote_waived() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "BLOCKED")
        await pilot.press("down", "down", "down", "w")
        await reads_soon(pilot, "Why may this gate stay closed?")
        pilot.app.screen.query_one(Input).focus()
        await type_by_hand(pilot, "a batch job at 04:10, known and over")
        await pilot.press("tab", "tab", "enter")
        await reads_soon(pilot, "waived: a batch job")

    return Picture(WizardSession(BURST), to_active(), walk)


def promote_tests() -> Picture:
    return Picture(WizardSession(), PromoteScreen(MODEL, Stage.SHADOW), sees("412 passed in 38.20s"))


def promote_steps() -> Picture:
    session = WizardSession()
    session.shown = board(model_view(staging=stage_view(Stage.STAGING, CANDIDATE)))
    return Picture(session, PromoteScreen(MODEL, None), sees("Which step?"))


def promote_reason() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await to_the_reason(pilot)
        await type_by_hand(pilot, "Soak passed")

    session = WizardSession()
    session.oddities = ODD
    return Picture(session, to_active(), walk)


def promote_ack() -> Picture:
    return Picture(WizardSession(), to_active(), to_the_ack)


def promote_ack_wrong() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await to_the_ack(pilot)
        pilot.app.screen.query_one(AckInput).focus()
        await type_by_hand(pilot, ACK_PHRASE[:13] + "HIS")
        await reads_soon(pilot, "It differs from letter 14 on")

    return Picture(WizardSession(), to_active(), walk)


def promote_plan() -> Picture:
    return Picture(WizardSession(), to_active(), to_the_plan)


def promote_plan_branch() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await to_the_plan(pilot)
        await pilot.press("left")
        await reads_soon(pilot, "evidence")

    return Picture(WizardSession(), to_active(), walk)


def promote_submitting() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        session.hold("submit")
        await submitted(pilot)
        await reads_soon(pilot, "3 of 7")

    session = WizardSession()
    return Picture(session, to_active(), walk)


def promote_pushed() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await submitted(pilot)
        await reads_soon(pilot, "PUSHED, and")
        await reads_soon(pilot, "MERGED")

    return Picture(WizardSession(), to_active(), walk)


def promote_offline() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await submitted(pilot)
        await reads_soon(pilot, "NOT PUSHED")
        await reads_soon(pilot, "MERGED")

    session = WizardSession()
    session.pushed = False
    return Picture(session, to_active(), walk)


def promote_conflict() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await submitted(pilot)
        await reads_soon(pilot, "CONFLICT")

    session = WizardSession()
    session.failures["submit"] = Conflict(
        "The registry on origin/main changed since this plan was made.", "Look at the difference and start again.", DIFF
    )
    return Picture(session, to_active(), walk)


def promote_refused() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await submitted(pilot)
        await reads_soon(pilot, "NOT DONE")

    session = WizardSession()
    session.failures["submit"] = Refused(
        "The remote refused the branch: pre-receive: gate role FAIL: nobody@example.com is no operator.",
        "Nothing was published; the branch is kept locally.",
    )
    return Picture(session, to_active(), walk)


# --- rollback --------------------------------------------------------------------------------------------------------
def rollback_ready() -> Picture:
    return Picture(emergency(), RollbackScreen(MODEL), sees("was active before"))


def rollback_refused_target() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "was active before")
        pilot.app.screen.query_one("CandidateRows").focus()
        await pilot.press("down", "enter")
        await reads_soon(pilot, "is refused")

    return Picture(emergency(), RollbackScreen(MODEL), walk)


def rollback_nothing() -> Picture:
    session = WizardSession()
    session.rollback_to = replace(
        session.rollback_to,
        plan=None,
        from_artifact="",
        why="Nothing is active, so there is nothing to roll back.",
        checks=(),
        breaching=(),
        candidates=(),
    )
    return Picture(session, RollbackScreen(MODEL), sees("NOTHING TO ROLL BACK"))


def rollback_pushed() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "was active before")
        await pilot.press("ctrl+r")
        await reads_soon(pilot, "PUSHED, and")
        await reads_soon(pilot, "MERGED")

    return Picture(emergency(), RollbackScreen(MODEL), walk)


# --- staging, withdrawal ---------------------------------------------------------------------------------------------
def stage_question() -> Picture:
    return Picture(WizardSession(), StageScreen(MODEL, NEW), sees("Nothing is written until you confirm"))


def withdraw_question() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "Nothing is written until you confirm")
        pilot.app.screen.query_one("#reason", Input).focus()
        await type_by_hand(pilot, "A better one comes")

    return Picture(WizardSession(), WithdrawScreen(MODEL, Stage.SHADOW), walk)


def withdraw_plan() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await withdraw_question().walk(pilot)
        await pilot.press("ctrl+n")
        await reads_soon(pilot, "Nothing is written yet")

    return Picture(WizardSession(), WithdrawScreen(MODEL, Stage.SHADOW), walk)


# --- kill, release, compare, help ------------------------------------------------------------------------------------
def kill_is(view: KillView, text: str) -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        pilot.app.post_message(KillArrived(view))
        await reads_soon(pilot, text)

    session = WizardSession()
    session.kill_state = view
    return Picture(session, KillScreen(), walk)


def kill_written() -> Picture:
    rungs = four(Rung.APPLIED, Rung.WRITTEN, Rung.WRITTEN, Rung.WRITTEN)
    return kill_is(kill_view(Rung.WRITTEN, instances=rungs), "KILL WRITTEN")


def kill_requested() -> Picture:
    """Not even the file could be written."""
    problem = (
        "file var/kill_switch.env: The kill file var/kill_switch.env could not be written: No space left on device."
    )
    by_hand = ("echo ML_KILL_SWITCH=1 > var/kill_switch.env", "restart each engine with ML_KILL_SWITCH=1, or stop it")
    rungs = four(Rung.REQUESTED, Rung.REQUESTED, Rung.REQUESTED, Rung.REQUESTED)
    view = kill_view(Rung.REQUESTED, engaged=False, asked=True, instances=rungs, problem=problem, manual=by_hand)
    return kill_is(view, "NOT WRITTEN. Do")


def kill_applied() -> Picture:
    rungs = four(Rung.APPLIED, Rung.APPLIED, Rung.CONFIRMED, Rung.APPLIED)
    return kill_is(kill_view(Rung.APPLIED, instances=rungs), "KILL CONFIRMED 1 of 4")


def kill_unconfirmed() -> Picture:
    """Prometheus shows no engine at all."""
    by_hand = ("echo ML_KILL_SWITCH=1 > var/kill_switch.env", "restart each engine with ML_KILL_SWITCH=1, or stop it")
    return kill_is(kill_view(Rung.UNCONFIRMED, instances=(), manual=by_hand), "NOT PROVEN")


def kill_elsewhere() -> Picture:
    """Two operators on two hosts: this clone's file says off, and the other one's kill blocks every engine."""
    blocked = tuple(
        InstanceReceipt(f"trade-{number}.example.com:9100", Rung.CONFIRMED, ago(5), "blocked by the kill switch")
        for number in range(1, 6)
    )
    by_hand = (
        "to release: ask who threw it, then press U here: it reaches engines that read this clone's kill file, or "
        "that its actuators reach",
        "else run `mlconsole kill off` on the engines' host, in the clone with the kill file that they read",
    )
    view = KillView(
        engaged=True,
        by_engines=True,
        rung=Rung.CONFIRMED,
        instances=blocked,
        manual=by_hand,
        beside="This clone's kill file says off: the kill was thrown elsewhere.",
    )
    return kill_is(view, "KILL ON by 5 of 5")


def kill_unproven() -> Picture:
    """One engine died after the proof, and one host was out of reach."""
    rungs = (
        InstanceReceipt("trade-1.example.com:9100", Rung.CONFIRMED, ago(5), "blocked by the kill switch"),
        InstanceReceipt(
            "trade-2.example.com:9100",
            Rung.UNPROVEN,
            ago(5),
            "it is silent: it was last seen at 2026-02-17T14:01:50Z, and nothing can be read from it now",
        ),
    )
    told = (
        Delivery("file var/kill_switch.env", True),
        Delivery("command ssh on trade-1.example.com", True),
        Delivery(
            "command ssh on trade-2.example.com", False, "`ssh` did not end within 10 s. Run it by hand and look."
        ),
    )
    by_hand = ("make sure that trade-2.example.com:9100 is stopped or scraped again: nobody can see it",)
    return kill_is(kill_view(Rung.UNPROVEN, instances=rungs, deliveries=told, manual=by_hand), "UNPROVEN")


def kill_released() -> Picture:
    view = kill_view(Rung.CONFIRMED, engaged=False, asked=False, reason="The bad artifact is rolled back")
    infers = tuple(replace(each, why="it infers again") for each in view.instances)
    return kill_is(replace(view, instances=infers), "Released, and the engines")


def kill_confirmed() -> Picture:
    return kill_is(kill_view(Rung.CONFIRMED), "prove it")


def kill_partial() -> Picture:
    return kill_is(PARTIAL, "NOT PROVEN")


def kill_off() -> Picture:
    return kill_is(kill_view(), "The switch is off.")


def release() -> Picture:
    session = WizardSession()
    session.shown = board(kill=kill_view(Rung.CONFIRMED))
    session.warnings = ("error_rate is still 6.3 %, limit 5 %.", "regime_v2026_02_15_001 is condemned.")
    return Picture(session, ReleaseScreen(), sees("error_rate is still"))


def compare_artifacts() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "48,212 B")
        await pilot.press("down", "down", "down")

    session = WizardSession()
    new, old = (f"artifacts/onnx/regime_v2026_02_{day}_001" for day in (16, 15))
    return Picture(session, CompareScreen(new, old), walk)


def review_day() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "KILL_SWITCH_ENV")
        await pilot.press("down", "down", "b")
        await reads_soon(pilot, "(over)")

    return Picture(WizardSession(), ReviewScreen(MODEL), walk)


def review_one_side() -> Picture:
    session = WizardSession()
    latency, errors, blocks = session.shown_review.charts
    only = replace(latency, lines=tuple(line for line in latency.lines if line.stage == "active"))
    nothing = tuple(replace(line, stage="shadow", values=(None,) * 288) for line in only.lines)
    session.shown_review = replace(
        session.shown_review,
        charts=(replace(latency, lines=(*nothing, *only.lines)), errors, replace(blocks, lines=())),
        oddities=(),
        problem="No latency of shadow was measured in the last 24 h, so there is nothing to review.",
    )
    return Picture(session, ReviewScreen(MODEL), sees("No p50 of shadow"))


def review_blocks() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "KILL_SWITCH_ENV")
        await pilot.press("end")
        await reads_soon(pilot, "KILL_SWITCH_ENV 94 blocks")

    return Picture(WizardSession(), ReviewScreen(MODEL), walk)


def help_promote() -> Picture:
    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "24h31m")
        await pilot.press("f1")
        await reads_soon(pilot, "ALL REQUIRED")

    return Picture(WizardSession(), to_active(), walk)


# --- one change ------------------------------------------------------------------------------------------------------
def change_is(*keys: str, text: str = "PLANNED", then: str = "", of: Ladder | None = None) -> Picture:
    """One change with everything that it is made of, some tabs to the right."""
    found = of or change_ladder()

    async def walk(pilot: Pilot[object]) -> None:
        await until(pilot, lambda: session.called("details") and session.called("change"))
        await pilot.press(*keys)
        await reads_soon(pilot, text)

    session = WizardSession()
    session.shown_changes = (found,)
    return Picture(session, OpenChangeScreen(found.subject.branch, then=then), walk)


def change_rungs() -> Picture:
    return change_is(text="L lands it here")


def change_alone() -> Picture:
    return change_is(text="A approves it", of=changes()[2])


def change_deploying() -> Picture:
    return change_is(text="1 of 2 engines loaded a registry without it", of=change_ladder(landed=True))


def change_serving() -> Picture:
    return change_is(text="It has reached every rung", of=change_ladder(landed=True, serves=True))


def change_failed() -> Picture:
    return change_is(text="Its checks failed", of=changes()[1])


def change_closed() -> Picture:
    end = {"ending": Ending.CLOSED, "ending_why": "second@example.com closed it."}
    return change_is(text="CLOSED: second@example.com", of=replace(change_ladder(), **end))  # type: ignore[arg-type]


def change_proofs() -> Picture:
    return change_is("right", text="proof:")


def change_difference() -> Picture:
    return change_is("right", "right", text="models.json")


def change_gates() -> Picture:
    picture = change_is("right", "right", "right", text="The gate refuses it")
    picture.session.gates = BLOCKED_GATES
    return picture


def change_evidence() -> Picture:
    return change_is("left", "left", text="Judged again")


def change_approvals() -> Picture:
    return change_is("left", text="does not count")


def change_land() -> Picture:
    return change_is(text="Type LAND", then="land")


def change_land_rollback() -> Picture:
    return change_is(text="Press ^L to land it", then="land", of=changes()[0])


def change_land_refused() -> Picture:
    picture = change_is(text="The gate refuses it", then="land")
    picture.session.gates = BLOCKED_GATES
    return picture


def change_approve() -> Picture:
    return change_is(text="You approve exactly", then="approve")


def change_close() -> Picture:
    return change_is(text="The branch goes from", then="close")


def change_outdated() -> Picture:
    picture = change_is(text="NOT UP TO DATE")
    first = picture.walk

    async def walk(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "L lands it here")
        picture.session.failures["change"] = Unavailable("origin is out of reach.", "Look at the remote.")
        await pilot.press("f5")
        await first(pilot)

    return replace(picture, walk=walk)


def promote_same_step() -> Picture:
    session = WizardSession()
    session.same_steps = (changes()[2],)
    return Picture(session, to_active(), sees("is open already"))


PICTURES = {
    each.__name__: each
    for each in (
        promote_blocked,
        promote_open,
        promote_waiving,
        promote_waived,
        promote_tests,
        promote_steps,
        promote_reason,
        promote_ack,
        promote_ack_wrong,
        promote_plan,
        promote_plan_branch,
        promote_submitting,
        promote_pushed,
        promote_offline,
        promote_conflict,
        promote_refused,
        rollback_ready,
        rollback_refused_target,
        rollback_nothing,
        rollback_pushed,
        stage_question,
        withdraw_question,
        withdraw_plan,
        kill_requested,
        kill_written,
        kill_applied,
        kill_unconfirmed,
        kill_released,
        kill_elsewhere,
        kill_unproven,
        kill_confirmed,
        kill_partial,
        kill_off,
        release,
        compare_artifacts,
        review_day,
        review_one_side,
        review_blocks,
        help_promote,
        change_rungs,
        change_alone,
        change_deploying,
        change_serving,
        change_failed,
        change_closed,
        change_proofs,
        change_difference,
        change_gates,
        change_evidence,
        change_approvals,
        change_land,
        change_land_rollback,
        change_land_refused,
        change_approve,
        change_close,
        change_outdated,
        promote_same_step,
    )
}
WIDE = (
    "promote_blocked",
    "promote_tests",
    "promote_reason",
    "promote_ack",
    "promote_plan",
    "promote_pushed",
    "promote_conflict",
    "rollback_ready",
    "kill_confirmed",
    "kill_partial",
    "release",
    "compare_artifacts",
    "review_day",
    "help_promote",
    "promote_waiving",
    "stage_question",
    "withdraw_plan",
    "change_rungs",
    "change_proofs",
    "change_evidence",
    "change_land",
    "promote_same_step",
    "rollback_pushed",
)
MONOCHROME = (
    "promote_blocked_monochrome",
    "promote_ack_monochrome",
    "promote_plan_monochrome",
    "promote_waiving_monochrome",
    "promote_pushed_monochrome",
    "withdraw_question_monochrome",
    "rollback_ready_monochrome",
    "kill_partial_monochrome",
    "release_monochrome",
    "compare_artifacts_monochrome",
    "review_day_monochrome",
    "help_promote_monochrome",
    "change_rungs_monochrome",
    "change_gates_monochrome",
    "change_land_monochrome",
    "promote_same_step_monochrome",
)


def draw(compare: Compare, picture: Picture, size: str, *, ascii_only: bool = False) -> bool:
    async def walk(pilot: Pilot[object]) -> None:
        await opened(pilot, picture.pushed)
        await picture.walk(pilot)
        await pilot.pause()

    try:
        app = ConsoleApp(picture.session, FrozenClock(), ascii_only=ascii_only)
        return compare(app, terminal_size=SIZES[size], run_before=walk)
    finally:
        picture.session.let_go()


@pytest.mark.parametrize("size", ["80x24"])
@pytest.mark.parametrize("name", PICTURES)
def test_pushed(compare: Compare, name: str, size: str) -> None:
    assert draw(compare, PICTURES[name](), size)


@pytest.mark.parametrize("size", ["120x40", "200x60"])
@pytest.mark.parametrize("name", WIDE)
def test_wide(compare: Compare, name: str, size: str) -> None:
    assert draw(compare, PICTURES[name](), size)


@pytest.mark.parametrize("name", MONOCHROME)
def test_monochrome(compare: Compare, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert draw(compare, PICTURES[name.removesuffix("_monochrome")](), "80x24")


@pytest.mark.parametrize("name", ["review_day_ascii", "change_rungs_ascii"])
def test_ascii(compare: Compare, name: str) -> None:
    assert draw(compare, PICTURES[name.removesuffix("_ascii")](), "80x24", ascii_only=True)
