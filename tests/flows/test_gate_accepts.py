"""Legal changes, made by our own planner on real repositories, and accepted by the gate in all its lines."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.clones import OPERATOR
from support.gatehouse import (
    FRESH,
    MODEL,
    OLD,
    POLICY,
    SECOND,
    SOAKED,
    STRANGER,
    Gatehouse,
    artifact_files,
    life,
    much_later,
    pointer_to,
)
from support.landings import merged, rebased, squashed

from ml.policy import parse_policy
from ml.promotion.evidence_formats import plain
from ml.promotion.gate import judge
from ml.promotion.plan import plan_rollback
from ml.registry import changes
from ml.registry.codec import empty_document, parse
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH, archive_path
from ml.slo import exchanges
from ml.slo.source import Answer
from ml.slo.v1 import soak as v1_soak
from ml.slo.v1.review import review as v1_review
from ml.stage import Action, Stage
from ml.verdict import Code, Gate

Made = tuple[str, str]
BY: dict[str, Any] = {"by": OPERATOR, "reason": "as planned"}


def accepted(gates: tuple[Gate, ...]) -> None:
    closed = {gate.name: gate.why for gate in gates if not gate.verdict.opens}
    assert gates
    assert not closed


def as_planned(house: Gatehouse, plan: Any) -> Made:
    return plan.target.base_commit, house.made(plan)


def stage_with_files(house: Gatehouse) -> Made:
    return as_planned(house, house.stage())


def stage_what_is_committed_already(house: Gatehouse) -> Made:
    return as_planned(house, house.stage(house.base(artifact_files(FRESH))))


def stage_by_any_developer(house: Gatehouse) -> Made:
    return as_planned(house, house.stage(by=STRANGER))


def replace_what_is_staged(house: Gatehouse) -> Made:
    return as_planned(house, house.stage(house.staged(), "regime_v2026_02_16_002"))


def promote_to_shadow(house: Gatehouse) -> Made:
    return as_planned(house, house.to_shadow())


def promote_to_shadow_with_a_waiver(house: Gatehouse) -> Made:
    proposal_base = house.staged(POLICY + '[waivers]\ngates = ["freeze"]\n' + FREEZE)
    return as_planned(house, house.to_shadow(proposal_base, waive=("freeze",)))


def promote_to_active(house: Gatehouse) -> Made:
    return as_planned(house, house.to_active())


def promote_to_active_by_the_second_operator(house: Gatehouse) -> Made:
    return as_planned(house, house.to_active(by=SECOND))


def promote_to_active_with_a_waived_service_level(house: Gatehouse) -> Made:
    strict = POLICY + '[[objective]]\nname = "p99"\nlimit = 20\n'
    return as_planned(house, house.to_active(house.base({POLICY_PATH: strict}), waive=("p99", "soak")))


def promote_to_active_on_the_named_source(house: Gatehouse) -> Made:
    soak, _ = house.judged(parse_policy(POLICY.encode()), SOAKED)
    (url,) = {each.url for each in soak.responses if isinstance(each, Answer)}
    named = house.base({"console.toml": f'[prometheus]\nurl = "{url}/"\n'})
    return as_planned(house, house.to_active(named))


def promote_to_active_in_other_words(house: Gatehouse) -> Made:
    """A console that words every sentence otherwise than the server, on screen and in the drawing."""
    plan = house.to_active()
    path = next(path for path, _ in plan.files if path.endswith("review.svg"))
    drawing = dict(plan.files)[path]
    for ours, theirs in ((b"shadow against active", b"Schatten gegen Aktiv"), (b">Latency (ms)<", b">Latenz (ms)<")):
        assert ours in drawing
        drawing = drawing.replace(ours, theirs)

    def reword(values: dict[str, Any]) -> None:
        for gate in (*values["gates"], *values["soak"]["report"]["gates"], *values["soak"]["report"]["readings"]):
            gate["why"] = "auf Deutsch gesagt"
        values["review"]["svg_sha256"] = hashlib.sha256(drawing).hexdigest()

    return plan.target.base_commit, house.reworked(plan, reword, {path: drawing})


def promote_to_active_with_a_console_of_the_first_edition(house: Gatehouse, rules: str = POLICY) -> Made:
    """Evidence format v1, by the judge that was released with it."""
    base = house.main if rules == POLICY else house.base({POLICY_PATH: rules})
    plan, policy = house.to_active(base), parse_policy(rules.encode())
    now, metrics, pointer = house.now, house.as_of(house.now), pointer_to(SOAKED)
    subject = v1_soak.SoakSubject(MODEL, SOAKED, pointer.model_sha256 or "", house.now - timedelta(hours=30))
    soak, seen = v1_soak.judge_soak(metrics, policy, subject, now), v1_review(metrics, policy, MODEL, now)
    path = next(path for path, _ in plan.files if path.endswith("review.svg"))

    def as_v1(values: dict[str, Any]) -> None:
        report = plain(replace(soak.report, queries=()))
        shown = {gate["name"]: gate for gate in report["gates"]}
        gates = [shown.get(gate["name"], gate) for gate in values["gates"]]
        for gate in (*gates, *report["gates"], *report["readings"]):
            for key in ("code", "facts", "was"):
                gate.pop(key, None)
        values["schema_version"], values["gates"] = "v1", gates
        values["soak"] = {"subject": plain(subject), "kills": [], "stale_s": 60.0, "report": report}
        values["soak_exchanges"] = [exchanges.write(each) for each in soak.responses]
        values["review"] = {
            "model": MODEL,
            "as_of": plain(now),
            "finding": values["review"]["finding"],
            "oddities": list(seen.oddities),
            "problem": seen.problem,
            "svg_sha256": hashlib.sha256(seen.svg).hexdigest(),
        }
        values["review_exchanges"] = [exchanges.write(each) for each in seen.responses]

    return plan.target.base_commit, house.reworked(plan, as_v1, {path: seen.svg})


def roll_back(house: Gatehouse) -> Made:
    return as_planned(house, house.rollback())


FREEZE = '[[freeze]]\nfrom = 2020-01-01T00:00:00\nto = 2099-01-01T00:00:00\nreason = "year\'s end"\n'


def roll_back_in_a_freeze_by_anybody(house: Gatehouse) -> Made:
    frozen = house.base({POLICY_PATH: POLICY + FREEZE + "[ack]\nsigned = true\napprovals = 2\n"})
    proposal = house.propose(frozen, Action.ROLLBACK, OLD, Stage.ACTIVE, by=STRANGER)
    plan = plan_rollback(replace(proposal, exemption="frozen: year's end"))
    assert b'"freeze_exemption": "frozen: year\'s end"' in dict(plan.files)[REGISTRY_PATH]
    return as_planned(house, plan)


def roll_back_on_old_evidence(house: Gatehouse) -> Made:
    plan = house.rollback(at=house.now - timedelta(hours=5))
    return plan.target.base_commit, house.made(plan, at=house.now)


def withdraw_from_shadow(house: Gatehouse) -> Made:
    return as_planned(house, house.withdraw())


def withdraw_from_staging(house: Gatehouse) -> Made:
    return as_planned(house, house.withdraw(house.staged(), FRESH, Stage.STAGING))


def stage_again_after_a_withdrawal(house: Gatehouse) -> Made:
    return as_planned(house, house.stage(house.made(house.withdraw()), SOAKED))


def move_the_oldest_event_to_the_archive(house: Gatehouse) -> Made:
    doc = life(house.now)
    for turn in range(21):
        at = house.now - timedelta(hours=29) + timedelta(minutes=turn)
        doc = changes.stage(doc, MODEL, pointer_to(FRESH), at=at, **BY).document
        doc = changes.withdraw(doc, MODEL, Stage.STAGING, at=at, **BY).document
    base = house.base({REGISTRY_PATH: doc.raw, archive_path(MODEL): '{"reason": "older still"}\n'})
    made = as_planned(house, house.to_active(base))
    assert len(parse(house.raw(made[1])).registry.models[MODEL].history) == 50
    assert house.raw(made[1], archive_path(MODEL)).count(b"\n") == 2
    return made


def promote_what_entered_shadow_before_the_archive_was_begun(house: Gatehouse) -> Made:
    doc, archive = much_later(life(house.now), house.now - timedelta(hours=2))
    entered = [event for event in doc.registry.models[MODEL].history if event.to_stage == Stage.SHADOW]
    assert not entered
    base = house.base({REGISTRY_PATH: doc.raw, archive_path(MODEL): archive})
    return as_planned(house, house.to_active(base))


def stage_below_the_base_of_the_policy(house: Gatehouse) -> Made:
    plan = house.stage(house.base({POLICY_PATH: POLICY + '[artifacts]\nbase = "engine"\n'}))
    files = tuple(
        (f"engine/{path}" if path.startswith("artifacts/") else path, content) for path, content in plan.files
    )
    return as_planned(house, replace(plan, files=files))


def prepend_where_the_file_prepends(house: Gatehouse) -> Made:
    import json  # noqa: PLC0415

    values = json.loads(life(house.now).raw)
    values["models"][MODEL]["history"].reverse()
    return as_planned(house, house.to_active(house.base({REGISTRY_PATH: json.dumps(values, indent=4)})))


def build_on_a_base_that_moved(house: Gatehouse) -> Made:
    plan = house.to_active()
    moved = house.base({"engine.py": "x = 1\n"})
    return moved, house.commit(moved, plan.files, plan.message)


def ride_behind_ordinary_commits(house: Gatehouse) -> Made:
    plan = house.to_active()
    moved = house.base({"engine.py": "x = 1\n"})
    head = house.commit(moved, plan.files, plan.message)
    return house.main, house.commit(head, [("engine.py", b"x = 2\n")], "More code")


def arrive_by_a_merge_that_adds_nothing(house: Gatehouse) -> Made:
    operator, change = house.clones.operator, house.made(house.to_active())
    operator.git("checkout", "-q", "-f", "--detach", house.main)
    operator.git("merge", "-q", "--no-ff", "-m", "Merge pull request #1", change)
    return house.main, operator.git("rev-parse", "HEAD")


def change_code_only(house: Gatehouse) -> Made:
    return house.main, house.commit(house.main, [("ml/registry/codec.py", b"x = 1\n")], "Code", by=STRANGER)


def change_the_policy_as_an_operator(house: Gatehouse) -> Made:
    return house.main, house.commit(house.main, [(POLICY_PATH, POLICY.encode() + b"[soak]\nhours = 48\n")], "Rules")


def name_the_first_operators(house: Gatehouse) -> Made:
    base = house.base({POLICY_PATH: ""})
    return base, house.commit(base, [(POLICY_PATH, POLICY.encode())], "First rules", by=STRANGER)


def mend_a_broken_policy(house: Gatehouse) -> Made:
    base = house.base({POLICY_PATH: "[sock]\n"})
    return base, house.commit(base, [(POLICY_PATH, POLICY.encode())], "Mend the rules")


def roll_back_under_a_broken_policy(house: Gatehouse) -> Made:
    plan = house.rollback()
    base = house.base({POLICY_PATH: "[sock]\n"})
    return base, house.commit(base, plan.files, plan.message)


def begin_with_an_empty_registry(house: Gatehouse) -> Made:
    operator = house.clones.operator
    tree = operator.git("mktree", stdin="")
    # Dated by the house, whose now is the module's beginning: its first commit must not be older than this one.
    person = f"Operator <{OPERATOR}> {int(house.now.timestamp())} +0000"
    said = f"tree {tree}\nauthor {person}\ncommitter {person}\n\nNothing yet\n"
    empty = operator.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=said)
    first = [(REGISTRY_PATH, empty_document().raw), (POLICY_PATH, POLICY.encode())]
    return empty, house.commit(empty, first, "Begin")


LEGAL: tuple[Callable[[Gatehouse], Made], ...] = (
    stage_with_files,
    stage_what_is_committed_already,
    stage_by_any_developer,
    replace_what_is_staged,
    promote_to_shadow,
    promote_to_shadow_with_a_waiver,
    promote_to_active,
    promote_to_active_by_the_second_operator,
    promote_to_active_with_a_waived_service_level,
    promote_to_active_on_the_named_source,
    promote_to_active_in_other_words,
    promote_to_active_with_a_console_of_the_first_edition,
    roll_back,
    roll_back_in_a_freeze_by_anybody,
    roll_back_on_old_evidence,
    withdraw_from_shadow,
    withdraw_from_staging,
    stage_again_after_a_withdrawal,
    move_the_oldest_event_to_the_archive,
    promote_what_entered_shadow_before_the_archive_was_begun,
    stage_below_the_base_of_the_policy,
    prepend_where_the_file_prepends,
    build_on_a_base_that_moved,
    ride_behind_ordinary_commits,
    arrive_by_a_merge_that_adds_nothing,
    change_code_only,
    change_the_policy_as_an_operator,
    name_the_first_operators,
    mend_a_broken_policy,
    roll_back_under_a_broken_policy,
    begin_with_an_empty_registry,
)


@pytest.mark.parametrize("make", LEGAL, ids=lambda make: make.__name__)
def test_each_legal_change_is_accepted(house: Gatehouse, make: Callable[[Gatehouse], Made]) -> None:
    accepted(house.verdict(*make(house)))


FORTY = (
    stage_with_files,
    stage_by_any_developer,
    replace_what_is_staged,
    promote_to_shadow,
    promote_to_active,
    promote_to_active_by_the_second_operator,
    promote_to_active_with_a_waived_service_level,
    roll_back,
    withdraw_from_shadow,
    withdraw_from_staging,
)


def test_forty_legal_changes_are_accepted_however_they_arrive(
    house: Gatehouse, record_property: Callable[[str, object], None]
) -> None:
    """Ours, squashed, merged and rebased by a forge; on a base that moved meanwhile too."""
    ours = floor = 0.0
    arrived = 0
    for make in FORTY:
        base, change = make(house)
        moved = house.base({"NOTES.md": "moved\n"}, on=base)
        offers = ((base, change), *((moved, arrive(house, moved, change)) for arrive in (squashed, merged, rebased)))
        for onto, head in offers:
            began = time.perf_counter()
            accepted(house.verdict(onto, head))
            judged = time.perf_counter()
            house.clones.operator.git("rev-list", "--parents", head, f"^{onto}")
            house.clones.operator.git("diff-tree", "-r", "--raw", onto, head)
            ours, floor = ours + judged - began, floor + time.perf_counter() - judged
            arrived += 1
    assert arrived == 40
    record_property(
        "count", f"legal changes accepted {arrived}/40, {ours / floor:.1f} times git rev-list and diff-tree"
    )


@pytest.mark.parametrize("arrive", [squashed, merged, rebased])
@pytest.mark.parametrize("hours", [3, 23])
def test_a_review_may_take_longer_than_the_acknowledgement(
    house: Gatehouse, arrive: Callable[..., str], hours: float
) -> None:
    """A forge gives its commit the time of the click; the change is as old as its event says, however it arrives."""
    later = replace(house, now=house.now + timedelta(hours=hours))
    for make in FORTY:
        base, change = make(house)
        moved = house.base({"NOTES.md": "moved\n"}, on=base)
        bench = replace(house.bench, now=later.now + timedelta(minutes=1))
        accepted(judge(house.repository, moved, arrive(later, moved, change), bench))


@pytest.mark.parametrize("arrive", [squashed, merged, rebased])
def test_no_forge_makes_a_change_younger(house: Gatehouse, arrive: Callable[..., str]) -> None:
    later = replace(house, now=house.now + timedelta(hours=25))
    bench = replace(house.bench, now=later.now + timedelta(minutes=1))
    gates = judge(house.repository, house.main, arrive(later, house.main, house.made(house.to_active())), bench)
    assert {gate.name for gate in gates if not gate.verdict.opens} == {"age", "evidence"}
    assert next(gate for gate in gates if gate.name == "age").code is Code.TOO_OLD


def test_a_commit_that_is_dated_back_makes_no_old_acknowledgement_good(house: Gatehouse) -> None:
    """Event and commit are one claim: the earlier one counts, in both directions."""
    plan = house.to_active()
    for at in (house.now - timedelta(minutes=10), house.now - timedelta(hours=2)):
        closed = {gate.name for gate in house.verdict(house.main, house.made(plan, at=at)) if not gate.verdict.opens}
        assert closed & {"ack", "clock"}


def test_the_change_that_lands_is_the_one_that_was_judged(house: Gatehouse) -> None:
    """Every gate of a step to active is named, so that none can vanish without a test."""
    gates = house.verdict(house.main, house.made(house.to_active()))
    assert [gate.name for gate in gates] == [
        "transition",
        "landing",
        "scope",
        "author",
        "clock",
        "age",
        "role",
        "freeze",
        "waivers",
        "ack",
        "signature",
        "approvals",
        "evidence",
        "verdicts",
        "checklist",
        "measured",
        "claims",
        "artifact",
    ]
