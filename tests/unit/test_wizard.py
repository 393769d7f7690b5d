"""The wizard's state apart from its screen: where it may go, what stands in the way, what it forgets."""

from __future__ import annotations

from dataclasses import replace

from fakes import ACK_PHRASE, NOW, gate, model_view, plan, sha, stage_view, target

from console.screens.promote.steps import Step, Wizard, empty_draft, possible_steps, steps
from ml.errors import Conflict, Refused
from ml.ports import Progress
from ml.promotion.values import Checklist, Evidence, Submission, Target
from ml.stage import Stage
from ml.verdict import Gate, Verdict

OPEN = (
    gate("p99", Verdict.PASS, "42 ms."),
    gate("review", Verdict.WAIT, "Type a finding."),
    gate("ack", Verdict.WAIT, "Type the phrase.", waivable=False),
)
FAILED = replace(OPEN[0], verdict=Verdict.FAIL, why="142 ms is not below 100 ms.")


def judged_by(of: Target, *gates: Gate) -> Checklist:
    return Checklist(target=of, gates=gates, as_of=NOW, evidence=Evidence(b"{}", sha("e")), ack_phrase=ACK_PHRASE)


def wizard(to_stage: Stage = Stage.ACTIVE, *gates: Gate) -> Wizard:
    of = target(to_stage)
    fresh = Wizard(target=of, draft=empty_draft(of))
    return fresh.with_checklist(judged_by(of, *(gates or OPEN)), fresh.draft)


def test_only_a_step_to_active_asks_for_an_ack() -> None:
    assert Step.ACK in steps(Stage.ACTIVE)
    assert Step.ACK not in steps(Stage.SHADOW)


def test_possible_steps_are_what_the_board_shows() -> None:
    assert possible_steps(None) == ()
    assert [to for to, _ in possible_steps(model_view())] == [Stage.ACTIVE]
    both = model_view(staging=stage_view(Stage.STAGING, "regime_v2026_02_17_001"))
    assert [to for to, _ in possible_steps(both)] == [Stage.ACTIVE, Stage.SHADOW]


def test_gates_that_wait_for_a_later_page_do_not_block_the_checklist() -> None:
    assert wizard().obstacle == ""
    assert wizard(Stage.ACTIVE, FAILED, *OPEN[1:]).obstacle == "BLOCKED by p99 (FAIL): 142 ms is not below 100 ms."


def test_a_review_that_failed_is_no_mere_waiting() -> None:
    sick = replace(OPEN[1], verdict=Verdict.NO_DATA)
    assert wizard(Stage.ACTIVE, OPEN[0], sick, OPEN[2]).obstacle.startswith("BLOCKED by review (NO_DATA)")


def test_a_waiver_opens_the_way_and_can_be_taken_back() -> None:
    blocked = wizard(Stage.ACTIVE, FAILED, *OPEN[1:])
    waived = blocked.waived("p99", "known batch")
    assert waived.obstacle == ""
    assert waived.shown_gates[0].verdict is Verdict.WAIVED
    assert waived.waived("p99", "").obstacle == blocked.obstacle


def test_what_can_never_be_waived_stays_closed_whatever_the_draft_says() -> None:
    verify = gate("verify", Verdict.FAIL, "model.onnx differs.", waivable=False)
    assert wizard(Stage.ACTIVE, verify).waived("verify", "please").obstacle.startswith("BLOCKED by verify")


def test_the_reason_page_wants_a_reason_and_for_active_a_finding() -> None:
    at_reason = wizard().onwards()
    assert at_reason.obstacle.startswith("Type a reason")
    assert at_reason.typed("  ", "").obstacle.startswith("Type a reason")
    assert at_reason.typed("why", "").obstacle.startswith("Type what you saw")
    assert at_reason.typed("why", "calm").obstacle == ""
    to_shadow = wizard(Stage.SHADOW, OPEN[0]).onwards()
    assert to_shadow.typed("why", "").obstacle == ""


def test_a_checklist_holds_only_for_the_answers_that_it_was_judged_by() -> None:
    fresh = wizard()
    assert fresh.checklist is not None
    assert fresh.typed("a reason alone", "").checklist is not None
    assert fresh.typed("", "a finding").checklist is None
    assert fresh.waived("p99", "known").checklist is None


def test_gates_that_close_behind_the_reason_lead_back_to_where_they_are_answered() -> None:
    at_ack = wizard().onwards().typed("why", "short").onwards()
    assert at_ack.step is Step.ACK
    unanswered = at_ack.with_checklist(judged_by(at_ack.target, *OPEN), at_ack.draft)
    assert (unanswered.step, unanswered.trouble) == (Step.REASON, "BLOCKED by review (WAIT): Type a finding.")
    failed = at_ack.with_checklist(judged_by(at_ack.target, FAILED, *OPEN[1:]), at_ack.draft)
    assert failed.step is Step.CHECKLIST


def test_going_back_gives_up_the_plan() -> None:
    planned = replace(wizard(), step=Step.PLAN).planned(plan(target()))
    assert planned.obstacle == ""
    assert planned.backwards().plan is None


def test_a_plan_is_handed_over_once() -> None:
    planned = replace(wizard(), step=Step.PLAN).planned(plan(target()))
    assert planned.submitting().plan is None


def test_each_step_of_the_write_is_shown_once_in_its_last_state() -> None:
    writing = wizard().submitting()
    for progress in (Progress("commit"), Progress("push", 1, 7), Progress("push", 7, 7)):
        writing = writing.progressed(progress)
    assert writing.progress == (Progress("commit"), Progress("push", 7, 7))
    done = writing.submitted(Submission(branch="b", commit="c", pushed=True, why="read back"))
    assert (done.busy, done.way_on) == ("", "")


def test_judging_tells_bytes_and_speed_as_they_come_and_forgets_what_comes_late() -> None:
    halfway = Progress("digests", 1 << 29, 1 << 30, "812 MiB/s")
    judging = wizard().judging().with_progress(halfway)
    assert judging.busy == "Judging the gates: digests #####----- 50 % 812 MiB/s"
    done = replace(judging, busy="")
    assert done.with_progress(halfway) == done


def test_a_conflict_anywhere_goes_to_the_last_page_and_offers_to_start_again() -> None:
    moved = replace(wizard(), step=Step.PLAN).failed(Conflict("The registry moved.", "Start again.", "+x"))
    assert (moved.step, moved.conflicted, moved.way_on) == (Step.SUBMIT, True, "Start again")


def test_another_failure_stays_on_its_page_and_says_why() -> None:
    refused = replace(wizard(), step=Step.PLAN, busy="Computing").failed(Refused("A freeze is open.", "Wait."))
    assert (refused.step, refused.trouble) == (Step.PLAN, "A freeze is open. Wait.")
    assert refused.obstacle == "There is no plan."
