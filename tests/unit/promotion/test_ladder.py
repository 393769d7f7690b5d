"""The receipt ladder of a change: each rung with its proof, each gap as a value of its own, and the end of a change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ml.promotion.ladder import ladder, outcome
from ml.promotion.rungs import (
    Approvals,
    BaseFacts,
    Checks,
    Ending,
    Engine,
    EngineFacts,
    Facts,
    ForgeAnswer,
    ForgeState,
    How,
    Ladder,
    Landed,
    Outcome,
    ProofKind,
    Record,
    RemoteFacts,
    Request,
    Review,
    Rung,
    State,
    Subject,
    Why,
)

NOW = datetime(2026, 2, 16, 12, tzinfo=UTC)
COMMIT, OTHER, BASE, MERGE = "a" * 40, "b" * 40, "c" * 40, "d" * 40
BRANCH = "promote/m/regime_v2026_02_16_001-to-active-20260216T100000Z"
ARTIFACT = "regime_v2026_02_16_001"
SUBJECT = Subject(
    branch=BRANCH,
    commit=COMMIT,
    action="promote",
    model="m",
    artifact_id=ARTIFACT,
    to_stage="active",
    by="ann@example.com",
    at=NOW - timedelta(hours=2),
)
ADDRESS = "https://github.com/acme/trading/pull/7"
REQUEST = Request(
    tool="gh",
    address=ADDRESS,
    branch=BRANCH,
    head=COMMIT,
    base="main",
    state="open",
    checks=Checks.PASSED,
    checks_at=NOW,
    review=Review.APPROVED,
    reviewers=("bob",),
)
PUSHED = RemoteFacts(name="origin", tip=COMMIT, pushed=Record(NOW, "ann@example.com", 4))
NO_ENGINES = EngineFacts(configured=True)
LANDED = Landed(MERGE, How.MERGE, NOW, "bob@example.com")
OPEN = Facts(
    remote=PUSHED,
    forge=ForgeAnswer(state=ForgeState.ANSWERED, requests=(REQUEST,)),
    approvals=Approvals(needed=0),
    base=BaseFacts(name="main", commit=BASE),
    engines=NO_ENGINES,
)
ENGINE = Engine(
    instance="engine-1",
    stage="active",
    artifact_id=ARTIFACT,
    registry_commit=MERGE,
    holds=True,
    up=True,
    active_on=1.0,
)
SERVED = replace(
    OPEN,
    base=BaseFacts(name="main", commit=BASE, landed=LANDED),
    engines=EngineFacts(configured=True, engines=(ENGINE,), killed=False, since=NOW),
)


def climbed(facts: Facts = OPEN, subject: Subject = SUBJECT) -> Ladder:
    return ladder(subject, facts, NOW)


def states(found: Ladder) -> dict[str, str]:
    return {step.rung.value: step.state.value for step in found.steps}


def test_a_change_that_serves_has_a_proof_on_every_rung() -> None:
    found = climbed(SERVED)
    assert set(states(found).values()) == {"reached"}
    assert all(step.proof is not None for step in found.steps)
    assert found.done
    assert found.next is None
    assert found.highest.rung is Rung.SERVING
    assert outcome(found, Rung.SERVING) is Outcome.REACHED


def test_an_open_change_waits_on_the_rungs_above() -> None:
    found = climbed()
    assert states(found) == {
        "planned": "reached",
        "pushed": "reached",
        "checked": "reached",
        "approved": "reached",
        "merged": "waiting",
        "deployed": "waiting",
        "serving": "waiting",
    }
    assert found.next is not None
    assert found.next.todo.startswith(f"mlconsole change land {BRANCH}")
    assert outcome(found, Rung.CHECKED) is Outcome.REACHED
    assert outcome(found, Rung.MERGED) is Outcome.WAITING


def test_nothing_is_reached_without_an_answer() -> None:
    """No remote that answers, no forge, no rules, no source: every rung above the plan is unknown."""
    facts = Facts(
        remote=replace(PUSHED, why="origin does not answer."),
        forge=ForgeAnswer(),
        approvals=Approvals(why="The policy has a mistake."),
        base=BaseFacts(name="main", commit=BASE),
        engines=EngineFacts(),
    )
    found = climbed(facts)
    assert set(states(found).values()) == {"reached", "unknown"}
    assert found.highest.rung is Rung.PLANNED
    assert [step.code for step in found.steps[1:]] == [
        Why.REMOTE_SILENT,
        Why.NO_FORGE,
        Why.RULES_UNREAD,
        Why.REMOTE_SILENT,
        Why.NO_SOURCE,
        Why.NO_SOURCE,
    ]


@pytest.mark.parametrize(
    ("remote", "state", "code"),
    [
        (RemoteFacts(), State.NOT_NEEDED, Why.NO_REMOTE),
        (PUSHED, State.REACHED, Why.PROVEN),
        (replace(PUSHED, why="silent"), State.UNKNOWN, Why.REMOTE_SILENT),
        (replace(PUSHED, tip=OTHER), State.FAILED, Why.OTHER_COMMIT),
        (replace(PUSHED, tip=None), State.WAITING, Why.GONE),
        (replace(PUSHED, tip=None, pushed=None), State.WAITING, Why.LOCAL_ONLY),
    ],
)
def test_pushed_is_what_the_remote_shows(remote: RemoteFacts, state: State, code: Why) -> None:
    step = climbed(replace(OPEN, remote=remote)).step(Rung.PUSHED)
    assert (step.state, step.code) == (state, code)
    assert (step.proof is not None) == (state is State.REACHED)


def test_a_base_that_holds_the_change_proves_that_it_was_pushed_although_the_branch_is_gone() -> None:
    step = climbed(replace(SERVED, remote=replace(PUSHED, tip=None, why="silent"))).step(Rung.PUSHED)
    assert step.state is State.REACHED
    assert step.proof is not None
    assert step.proof.kind is ProofKind.BASE


@pytest.mark.parametrize(
    ("forge", "state", "code", "lasting"),
    [
        (ForgeAnswer(), State.UNKNOWN, Why.NO_FORGE, True),
        (ForgeAnswer(state=ForgeState.SILENT), State.UNKNOWN, Why.FORGE_SILENT, False),
        (ForgeAnswer(state=ForgeState.LIMITED), State.UNKNOWN, Why.FORGE_SILENT, False),
        (ForgeAnswer(state=ForgeState.ANSWERED), State.UNKNOWN, Why.NO_REQUEST, False),
        (REQUEST, State.REACHED, Why.PROVEN, False),
        (replace(REQUEST, head=OTHER), State.UNKNOWN, Why.OTHER_COMMIT, False),
        (replace(REQUEST, checks=Checks.FAILED, failed=("gate",)), State.FAILED, Why.CHECKS_FAILED, False),
        (replace(REQUEST, checks=Checks.RUNNING), State.WAITING, Why.CHECKS_RUN, False),
        (replace(REQUEST, checks=Checks.NONE), State.UNKNOWN, Why.NO_CHECK, False),
        (replace(REQUEST, checks=Checks.UNREAD), State.UNKNOWN, Why.CHECKS_UNREAD, False),
    ],
)
def test_checked_is_what_the_forge_says_of_this_commit(forge: Any, state: State, code: Why, lasting: bool) -> None:
    if isinstance(forge, Request):
        forge = ForgeAnswer(state=ForgeState.ANSWERED, requests=(forge,))
    step = climbed(replace(OPEN, forge=forge)).step(Rung.CHECKED)
    assert (step.state, step.code, step.lasting) == (state, code, lasting)


def test_a_landing_by_this_machine_proves_the_gate_where_there_is_no_forge() -> None:
    base = BaseFacts(name="main", commit=BASE, landed=LANDED, recorded=Record(NOW, "ann@example.com", 9))
    step = climbed(replace(SERVED, forge=ForgeAnswer(), base=base)).step(Rung.CHECKED)
    assert (step.state, step.by, step.at) == (State.REACHED, "ann@example.com", NOW)
    assert step.proof is not None
    assert step.proof.kind is ProofKind.AUDIT


@pytest.mark.parametrize("checks", [Checks.FAILED, Checks.RUNNING])
def test_a_landing_by_this_machine_does_not_hide_what_the_forge_says(checks: Checks) -> None:
    base = BaseFacts(name="main", commit=BASE, landed=LANDED, recorded=Record(NOW, "ann@example.com", 9))
    forge = ForgeAnswer(state=ForgeState.ANSWERED, requests=(replace(REQUEST, checks=checks),))
    assert climbed(replace(SERVED, base=base, forge=forge)).step(Rung.CHECKED).state is not State.REACHED


def test_what_nobody_can_wait_for_is_not_the_next_thing_to_do() -> None:
    found = climbed(replace(OPEN, forge=ForgeAnswer(), approvals=Approvals(needed=0)))
    assert found.next is not None
    assert found.next.rung is Rung.MERGED
    silent = climbed(replace(SERVED, engines=EngineFacts()))
    assert silent.next is not None
    assert (silent.next.rung, silent.next.lasting, silent.done) == (Rung.DEPLOYED, True, False)


def test_a_record_of_a_landing_that_the_base_does_not_hold_proves_nothing() -> None:
    base = BaseFacts(name="main", commit=BASE, recorded=Record(NOW, "ann@example.com", 9))
    assert climbed(replace(OPEN, forge=ForgeAnswer(), base=base)).step(Rung.CHECKED).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("approvals", "review", "state", "code"),
    [
        (Approvals(needed=None), Review.APPROVED, State.UNKNOWN, Why.RULES_UNREAD),
        (Approvals(needed=0), Review.NONE, State.NOT_NEEDED, Why.NO_APPROVAL_ASKED),
        (Approvals(needed=0), Review.UNREAD, State.NOT_NEEDED, Why.NO_APPROVAL_ASKED),
        (Approvals(needed=0), Review.REQUIRED, State.WAITING, Why.APPROVALS_MISSING),
        (Approvals(needed=0), Review.CHANGES, State.FAILED, Why.CHANGES_REQUESTED),
        (Approvals(needed=0), Review.APPROVED, State.REACHED, Why.PROVEN),
        (Approvals(needed=1), Review.APPROVED, State.WAITING, Why.APPROVALS_MISSING),
        (Approvals(needed=1, by=("bob",), at=NOW), Review.UNREAD, State.REACHED, Why.PROVEN),
        (Approvals(needed=2, by=("bob",), at=NOW), Review.APPROVED, State.WAITING, Why.APPROVALS_MISSING),
    ],
)
def test_approved_counts_signed_approvals_and_a_forge_only_where_the_rules_ask_for_none(
    approvals: Approvals, review: Review, state: State, code: Why
) -> None:
    forge = ForgeAnswer(state=ForgeState.ANSWERED, requests=(replace(REQUEST, review=review),))
    step = climbed(replace(OPEN, approvals=approvals, forge=forge)).step(Rung.APPROVED)
    assert (step.state, step.code) == (state, code)


def test_a_review_of_another_commit_approves_nothing() -> None:
    forge = ForgeAnswer(state=ForgeState.ANSWERED, requests=(replace(REQUEST, head=OTHER),))
    assert climbed(replace(OPEN, forge=forge)).step(Rung.APPROVED).state is State.NOT_NEEDED


def test_merged_is_never_believed_of_the_forge_alone() -> None:
    forge = ForgeAnswer(state=ForgeState.ANSWERED, requests=(replace(REQUEST, state="merged"),))
    step = climbed(replace(OPEN, forge=forge)).step(Rung.MERGED)
    assert (step.state, step.code) == (State.WAITING, Why.NOT_MERGED)


def test_who_landed_a_fast_forward_is_told_by_the_record_or_the_forge_and_not_by_the_commit() -> None:
    landed = Landed(COMMIT, How.FAST_FORWARD, None, "")
    alone = climbed(replace(SERVED, base=BaseFacts(name="main", commit=BASE, landed=landed))).step(Rung.MERGED)
    assert (alone.state, alone.by, alone.at) == (State.REACHED, "", None)
    merged = replace(REQUEST, state="merged", ended_at=NOW, ended_by="bob")
    forge = ForgeAnswer(state=ForgeState.ANSWERED, requests=(merged,))
    base = BaseFacts(name="main", commit=BASE, landed=landed)
    told = climbed(replace(SERVED, base=base, forge=forge)).step(Rung.MERGED)
    assert (told.by, told.at) == ("bob", NOW)


@pytest.mark.parametrize(
    ("base", "state", "code"),
    [
        (BaseFacts(name="main", commit=BASE), State.WAITING, Why.NOT_MERGED),
        (BaseFacts(name="main", why="a commit is not here."), State.UNKNOWN, Why.BASE_UNREAD),
        (BaseFacts(name="main", commit=BASE, landed=LANDED), State.REACHED, Why.PROVEN),
    ],
)
def test_merged_is_what_the_base_holds(base: BaseFacts, state: State, code: Why) -> None:
    step = climbed(replace(OPEN, base=base)).step(Rung.MERGED)
    assert (step.state, step.code) == (state, code)


@pytest.mark.parametrize(
    ("engine", "deployed", "serving", "code"),
    [
        ({}, State.REACHED, State.REACHED, Why.PROVEN),
        ({"holds": False}, State.WAITING, State.WAITING, Why.ENGINE_BEHIND),
        ({"holds": None}, State.UNKNOWN, State.UNKNOWN, Why.COMMIT_UNKNOWN),
        ({"artifact_id": "x"}, State.REACHED, State.WAITING, Why.OTHER_ARTIFACT),
        ({"artifact_id": ""}, State.REACHED, State.WAITING, Why.OTHER_ARTIFACT),
        ({"up": False}, State.REACHED, State.WAITING, Why.ENGINE_DOWN),
        ({"up": None}, State.REACHED, State.UNKNOWN, Why.NO_ENGINE),
        ({"active_on": 0.0}, State.REACHED, State.WAITING, Why.NOT_ACTIVE),
        ({"active_on": float("nan")}, State.REACHED, State.WAITING, Why.NOT_ACTIVE),
        ({"active_on": None}, State.REACHED, State.UNKNOWN, Why.NOT_ACTIVE),
        ({"stage": "shadow"}, State.UNKNOWN, State.UNKNOWN, Why.NO_ENGINE),
    ],
)
def test_serving_is_what_every_engine_of_the_stage_proves(
    engine: dict[str, Any], deployed: State, serving: State, code: Why
) -> None:
    other = replace(ENGINE, instance="engine-2", **engine)
    engines = (other,) if engine.get("stage") else (ENGINE, other)
    found = climbed(replace(SERVED, engines=replace(SERVED.engines, engines=engines)))
    assert (found.step(Rung.DEPLOYED).state, found.step(Rung.SERVING).state) == (deployed, serving)
    assert found.step(Rung.SERVING).code is code


def test_a_model_that_the_kill_switch_stops_does_not_serve_and_says_why() -> None:
    engines = replace(SERVED.engines, engines=(replace(ENGINE, active_on=0.0),), killed=True)
    step = climbed(replace(SERVED, engines=engines)).step(Rung.SERVING)
    assert (step.state, step.code) == (State.WAITING, Why.KILLED)


@pytest.mark.parametrize(
    ("engines", "code", "lasting"),
    [
        (EngineFacts(), Why.NO_SOURCE, True),
        (EngineFacts(configured=True, why="Prometheus does not answer."), Why.SOURCE_SILENT, False),
        (EngineFacts(configured=True), Why.NO_ENGINE, False),
    ],
)
def test_engines_that_cannot_be_asked_leave_it_unknown(engines: EngineFacts, code: Why, lasting: bool) -> None:
    found = climbed(replace(SERVED, engines=engines))
    for rung in (Rung.DEPLOYED, Rung.SERVING):
        assert (found.step(rung).state, found.step(rung).code) == (State.UNKNOWN, code)
    assert outcome(found, Rung.SERVING) is (Outcome.UNKNOWN if lasting else Outcome.WAITING)
    assert not found.done


def test_a_shadow_needs_no_trading_engine() -> None:
    shadow = replace(SUBJECT, to_stage="shadow")
    engines = replace(SERVED.engines, engines=(replace(ENGINE, stage="shadow", active_on=0.0),))
    assert climbed(replace(SERVED, engines=engines), shadow).done


@pytest.mark.parametrize("subject", [replace(SUBJECT, to_stage="staging"), replace(SUBJECT, model="", action="init")])
def test_what_no_engine_loads_is_done_when_it_has_landed(subject: Subject) -> None:
    waiting = climbed(OPEN, subject)
    assert waiting.step(Rung.SERVING).state is State.NOT_NEEDED
    assert outcome(waiting, Rung.SERVING) is Outcome.WAITING
    landed = climbed(replace(SERVED, engines=EngineFacts()), subject)
    assert landed.done
    assert outcome(landed, Rung.SERVING) is Outcome.REACHED


def test_a_withdrawal_serves_when_no_engine_of_its_stage_has_the_artifact() -> None:
    withdrawal = replace(SUBJECT, action="withdraw", to_stage="shadow")
    still = replace(SERVED.engines, engines=(ENGINE, replace(ENGINE, stage="shadow")))
    found = climbed(replace(SERVED, engines=still), withdrawal)
    assert found.step(Rung.SERVING).code is Why.OTHER_ARTIFACT
    gone = replace(SERVED.engines, engines=(ENGINE, replace(ENGINE, stage="shadow", artifact_id="x")))
    assert climbed(replace(SERVED, engines=gone), withdrawal).done


CLOSED = Record(NOW, "ann@example.com", 7)


@pytest.mark.parametrize(
    ("facts", "ending"),
    [
        (OPEN, Ending.OPEN),
        (replace(OPEN, remote=replace(PUSHED, tip=None, closed=CLOSED)), Ending.CLOSED),
        (replace(OPEN, remote=replace(PUSHED, closed=CLOSED)), Ending.OPEN),  # pushed again
        (replace(OPEN, remote=replace(PUSHED, tip=None)), Ending.CLOSED),
        (replace(OPEN, remote=replace(PUSHED, tip=None, pushed=None)), Ending.OPEN),
        (replace(OPEN, base=replace(OPEN.base, moved=True)), Ending.SUPERSEDED),
        (replace(SERVED, base=replace(SERVED.base, left=True)), Ending.OPEN),  # it still serves
        (replace(SERVED, base=replace(SERVED.base, left=True), engines=NO_ENGINES), Ending.SUPERSEDED),
        (replace(SERVED, remote=replace(PUSHED, tip=None, closed=CLOSED)), Ending.OPEN),
    ],
)
def test_a_change_ends_when_it_is_closed_or_superseded(facts: Facts, ending: Ending) -> None:
    found = climbed(facts)
    assert found.ending is ending
    assert bool(found.ending_why) == (ending is not Ending.OPEN)
    if ending is not Ending.OPEN:
        assert outcome(found, Rung.SERVING) is Outcome.ENDED


@pytest.mark.parametrize(("head", "ending"), [(COMMIT, Ending.CLOSED), (OTHER, Ending.OPEN)])
def test_a_request_that_was_closed_ends_the_change_of_its_own_commit(head: str, ending: Ending) -> None:
    request = replace(REQUEST, state="closed", head=head, ended_at=NOW)
    facts = replace(OPEN, forge=ForgeAnswer(state=ForgeState.ANSWERED, requests=(request,)))
    assert climbed(facts).ending is ending


def test_a_rung_that_was_reached_before_the_end_stays_reached() -> None:
    found = climbed(replace(OPEN, base=replace(OPEN.base, moved=True)))
    assert outcome(found, Rung.PUSHED) is Outcome.REACHED
    assert outcome(found, Rung.MERGED) is Outcome.ENDED


def test_failed_checks_matter_more_than_the_landing_of_an_approved_change() -> None:
    red = ForgeAnswer(state=ForgeState.ANSWERED, requests=(replace(REQUEST, checks=Checks.FAILED),))
    found = climbed(replace(OPEN, forge=red))
    assert found.stands_at is not None
    assert found.stands_at.rung is Rung.CHECKED
    landed = climbed(replace(SERVED, forge=red))
    assert landed.stands_at is landed.next
    waiting = climbed()
    assert waiting.stands_at is waiting.next
