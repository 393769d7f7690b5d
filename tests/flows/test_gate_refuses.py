"""The corpus of illegal changes: each is refused, by its own gate and for its own reason (contract §8).

Each starts from a legal change of our own planner, real evidence included, which somebody then bends. The same legal
changes are accepted in `test_gate_accepts`; a case here proves that the bend, and nothing else, is what is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from support.clones import OPERATOR
from support.gatehouse import (
    FRESH,
    LIVE,
    MODEL,
    OLD,
    PHRASE,
    POLICY,
    SECOND,
    SIGNERS,
    SOAKED,
    STRANGER,
    Gatehouse,
    artifact_files,
    life,
    much_later,
    pointer_to,
)

from ml.artifacts.proposal import toml
from ml.clock import format_utc
from ml.contract import SPACING
from ml.policy import parse_policy
from ml.promotion.paths import Places
from ml.promotion.plan import plan_promotion
from ml.promotion.values import Plan
from ml.registry import changes
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH, archive_path
from ml.slo.review import review
from ml.stage import Action, Stage

pytestmark = pytest.mark.xdist_group("corpus")  # so that test_push_refused need not make the cases again

Made = tuple[str, str]
"""The base and the head of a proposed change."""


@dataclass(frozen=True)
class Case:
    """One illegal change: how it is made, which gate refuses it, and words of the reason."""

    name: str
    gate: str
    says: str
    make: Callable[[Gatehouse], Made]

    def made(self, house: Gatehouse) -> Made:
        """The change in this house; it is made once, because some are made in the operator's working tree."""
        return house.once(self.name, self.make)


CASES: list[Case] = []


def illegal(gate: str, says: str) -> Callable[[Callable[[Gatehouse], Made]], Callable[[Gatehouse], Made]]:
    def add(make: Callable[[Gatehouse], Made]) -> Callable[[Gatehouse], Made]:
        CASES.append(Case(make.__name__, gate, says, make))
        return make

    return add


def bent(house: Gatehouse, plan: Plan, **how: Any) -> Made:
    """A legal plan, bent; judged on the base that it was planned on."""
    return plan.target.base_commit, house.bent(plan, **how)


def by_hand(house: Gatehouse, edit: Callable[[dict[str, Any]], object], base: str = "") -> Made:
    """Somebody edits nothing but the registry."""
    base = base or house.main
    values = json.loads(house.raw(base))
    edit(values)
    return base, house.commit(base, [(REGISTRY_PATH, json.dumps(values, indent=2).encode())], "Edit by hand")


def event(model: dict[str, Any]) -> dict[str, Any]:
    """The event that the planner added."""
    newest = model["history"][-1]
    assert isinstance(newest, dict)
    return newest


# --- history and transition ---------------------------------------------------------------------------


@illegal("history", "the pointer of active was changed without an event")
def pointer_without_event(house: Gatehouse) -> Made:
    def edit(values: dict[str, Any]) -> None:
        values["models"][MODEL]["active"]["artifact_id"] = OLD

    return by_hand(house, edit)


@illegal("transition", "no pointer moved")
def event_without_pointer(house: Gatehouse) -> Made:
    shadow = json.loads(house.raw(house.main))["models"][MODEL]["shadow"]
    return bent(house, house.withdraw(), registry=lambda model: model.update(shadow=shadow))


@illegal("history", "the history was rewritten: 1 of its events")
def history_rewritten(house: Gatehouse) -> Made:
    return bent(house, house.withdraw(), registry=lambda model: model["history"][2].update(by=STRANGER))


@illegal("history", "the history was reordered")
def history_reordered(house: Gatehouse) -> Made:
    return by_hand(house, lambda values: values["models"][MODEL]["history"].reverse())


@illegal("history", "the history was truncated: 1 events are gone")
def history_truncated(house: Gatehouse) -> Made:
    return bent(house, house.withdraw(), registry=lambda model: model["history"].pop(0))


@illegal("history", "the history was truncated: 3 events are gone")
def history_emptied(house: Gatehouse) -> Made:
    return by_hand(house, lambda values: values["models"][MODEL].update(history=values["models"][MODEL]["history"][3:]))


@illegal("history", "a history keeps 50")
def history_archived_early(house: Gatehouse) -> Made:
    plan = house.withdraw()
    first = json.loads(house.raw(house.main))["models"][MODEL]["history"][0]
    return bent(
        house,
        plan,
        registry=lambda model: model["history"].pop(0),
        files={archive_path(MODEL): json.dumps(first).encode() + b"\n"},
    )


@illegal("history", "the archive of regime_classifier was rewritten")
def archive_rewritten(house: Gatehouse) -> Made:
    base = house.base({archive_path(MODEL): '{"reason": "old"}\n'})
    return bent(house, house.withdraw(base), files={archive_path(MODEL): b'{"reason": "other"}\n'})


@illegal("history", "that is no JSON")
def archive_torn(house: Gatehouse) -> Made:
    return bent(house, house.withdraw(), files={archive_path(MODEL): b'{"reason": '})


@illegal("history", "2 events were added at once")
def two_events(house: Gatehouse) -> Made:
    return bent(
        house, house.withdraw(), registry=lambda model: model["history"].append({**event(model), "reason": "x"})
    )


@illegal("history", "not added at the history's end")
def event_at_the_wrong_end(house: Gatehouse) -> Made:
    return bent(house, house.withdraw(), registry=lambda model: model["history"].insert(0, model["history"].pop()))


@illegal("transition", "the only way to it is from shadow")
def active_from_staging(house: Gatehouse) -> Made:
    def skip(model: dict[str, Any]) -> None:
        event(model).update(to_stage="active")
        model.update(active=model["shadow"], shadow=None)

    return bent(house, house.to_shadow(), registry=skip)


@illegal("transition", "is added to staging, never straight to shadow")
def staged_straight_to_shadow(house: Gatehouse) -> Made:
    def skip(model: dict[str, Any]) -> None:
        event(model).update(to_stage="shadow")
        model.update(shadow=model["staging"], staging=None)

    return bent(house, house.stage(), registry=skip)


@illegal("transition", "the event is about regime_v2026_02_15_001, and active holds regime_v2026_02_13_001")
def another_artifact_than_the_event(house: Gatehouse) -> Made:
    old = pointer_to(OLD).model_dump(mode="json", exclude_none=True)
    return bent(house, house.to_active(), registry=lambda model: model["active"].update(old))


@illegal("transition", "active.model_sha256 is")
def digest_swapped_on_the_way(house: Gatehouse) -> Made:
    def swap(model: dict[str, Any]) -> None:
        model["active"]["model_sha256"] = event(model)["pointer"]["model_sha256"] = "0" * 64

    return bent(house, house.to_active(), registry=swap)


@illegal("transition", "active.artifact_dir is")
def directory_swapped_on_the_way(house: Gatehouse) -> Made:
    def swap(model: dict[str, Any]) -> None:
        model["active"]["artifact_dir"] = event(model)["pointer"]["artifact_dir"] = f"artifacts/onnx/{OLD}"

    return bent(house, house.to_active(), registry=swap)


@illegal("transition", "shadow is {")
def stage_below_not_cleared(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), registry=lambda model: model.update(shadow=model["active"]))


@illegal("transition", "staging was changed too")
def another_stage_cleared_too(house: Gatehouse) -> Made:
    return bent(house, house.rollback(house.staged()), registry=lambda model: model.update(staging=None))


@illegal("transition", "2 models are changed at once")
def two_models(house: Gatehouse) -> Made:
    _, head = by_hand(house, lambda values: values["models"].update(spacing=values["models"][MODEL]))
    values = json.loads(house.raw(head))
    values["models"]["spacing"]["shadow"] = values["models"][MODEL]["shadow"] = None
    return head, house.commit(head, [(REGISTRY_PATH, json.dumps(values).encode())], "Two")


@illegal("transition", "the model regime_classifier was removed")
def model_removed(house: Gatehouse) -> Made:
    return by_hand(house, lambda values: values["models"].clear())


@illegal("transition", "something outside the models was changed")
def key_beside_the_models(house: Gatehouse) -> Made:
    return by_hand(house, lambda values: values.update(operators=[STRANGER]))


@illegal("transition", "written anew without a change")
def only_reformatted(house: Gatehouse) -> Made:
    return house.main, house.commit(house.main, [(REGISTRY_PATH, house.raw(house.main) + b"\n")], "Reformat")


@illegal("transition", "was never active in regime_classifier")
def rollback_to_what_never_was_active(house: Gatehouse) -> Made:
    def forward(model: dict[str, Any]) -> None:
        soaked = {**model["shadow"], "promoted_at_utc": event(model)["timestamp_utc"]}
        event(model).update(artifact_id=SOAKED, pointer=soaked)
        model["active"] = soaked

    return bent(house, house.rollback(), registry=forward)


@illegal("transition", "active cannot be withdrawn")
def active_withdrawn(house: Gatehouse) -> Made:
    def withdraw(model: dict[str, Any]) -> None:
        event(model).update(from_stage="active", to_stage="active", artifact_id=LIVE, pointer=model["active"])
        model.update(shadow=event(model)["pointer"], active=None)

    return bent(house, house.withdraw(), registry=withdraw)


@illegal("transition", "an event of action hotfix to stage active is none of ours")
def unknown_action(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), registry=lambda model: event(model).update(action="hotfix"))


@illegal("transition", ".ts_utc is null")
def engine_words_missing(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), registry=lambda model: event(model).pop("ts_utc"))


@illegal("registry", "line 1, column")
def broken_registry(house: Gatehouse) -> Made:
    return house.main, house.commit(house.main, [(REGISTRY_PATH, b'{"schema_version": "v1", "models": {,}}')], "Break")


@illegal("registry", "the registry is deleted")
def registry_deleted(house: Gatehouse) -> Made:
    house.clones.operator.git("checkout", "-q", "--detach", house.main)
    house.clones.operator.git("rm", "-q", REGISTRY_PATH)
    house.clones.operator.git("commit", "-q", "-m", "Delete")
    return house.main, house.clones.operator.git("rev-parse", "HEAD")


# --- acknowledgement, role, author, clock, freeze ------------------------------------------------------


def ack_bent(house: Gatehouse, **changed: str) -> Made:
    return bent(house, house.to_active(), registry=lambda model: event(model)["ack"].update(changed))


@illegal("ack", "there is no acknowledgement")
def ack_missing(house: Gatehouse) -> Made:
    def strip(message: str) -> str:
        return "".join(line for line in message.splitlines(keepends=True) if not line.startswith("Ack"))

    return bent(house, house.to_active(), registry=lambda model: event(model).pop("ack"), message=strip)


@illegal("ack", "its phrase is not the one")
def ack_with_another_phrase(house: Gatehouse) -> Made:
    return bent(
        house,
        house.to_active(),
        registry=lambda model: event(model)["ack"].update(phrase="YES"),
        message=lambda text: text.replace(PHRASE, "YES"),
    )


@illegal("ack", "was used for an earlier change")
def ack_used_before(house: Gatehouse) -> Made:
    plan = house.to_active()
    spent = json.dumps({"evidence": {"sha256": plan.evidence_sha256}}) + "\n"
    base = house.base({archive_path(MODEL): spent})
    return base, house.commit(base, plan.files, plan.message)


@illegal("ack", "only")
def ack_expired(house: Gatehouse) -> Made:
    given, ends = (format_utc(house.now - timedelta(minutes=minutes)) for minutes in (20, 5))
    return ack_bent(house, at=given, expires_at=ends)


@illegal("ack", "longer than 15 minutes")
def ack_that_never_expires(house: Gatehouse) -> Made:
    return ack_bent(house, expires_at="2099-01-01T00:00:00Z")


@illegal("ack", "another artifact")
def ack_of_another_artifact(house: Gatehouse) -> Made:
    return ack_bent(house, model_sha256=pointer_to(OLD).model_sha256 or "")


@illegal("ack", "other evidence")
def ack_of_other_evidence(house: Gatehouse) -> Made:
    return ack_bent(house, evidence_sha256="0" * 64)


@illegal("ack", "another state of the registry")
def ack_of_another_registry(house: Gatehouse) -> Made:
    return ack_bent(house, registry_blob="0" * 40)


@illegal("ack", "the acknowledgement is incomplete")
def ack_torn(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), registry=lambda model: event(model)["ack"].pop("at"))


@illegal("ack", "it was given by second@example.com")
def ack_by_somebody_else(house: Gatehouse) -> Made:
    plan = house.to_active(ack_by=SECOND)
    return plan.target.base_commit, house.made(plan)


@illegal("role", "stranger@example.com is not an operator")
def ack_by_no_operator(house: Gatehouse) -> Made:
    plan = house.to_active(by=STRANGER, force=True)
    return plan.target.base_commit, house.made(plan)


@illegal("role", "names no operators")
def nobody_is_named_operator(house: Gatehouse) -> Made:
    plan = house.to_active(house.base({POLICY_PATH: "[soak]\nhours = 24\n"}), force=True)
    return plan.target.base_commit, house.made(plan)


@illegal("role", "is not a developer")
def staged_by_a_stranger(house: Gatehouse) -> Made:
    base = house.base({POLICY_PATH: f'[roles]\noperators = ["{OPERATOR}"]\ndevelopers = ["{SECOND}"]\n'})
    plan = house.stage(base, by=STRANGER, force=True)
    return base, house.made(plan)


@illegal("author", "the event is by operator@example.com, the commit by stranger@example.com")
def committed_by_another(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), by=STRANGER)


@illegal("author", "trailer Artifact is regime_v2026_02_13_001")
def trailer_of_another_artifact(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), message=lambda text: text.replace(f"Artifact: {SOAKED}", f"Artifact: {OLD}"))


@illegal("author", "trailer Ack-By is missing")
def trailer_missing(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), message=lambda text: text.replace("Ack-By: ", "Acked-By: "))


@illegal("clock", "before its parent")
def dated_before_its_parent(house: Gatehouse) -> Made:
    return bent(house, house.withdraw(), at=house.now - timedelta(days=3))


@illegal("clock", "in the future")
def dated_in_the_future(house: Gatehouse) -> Made:
    return bent(house, house.withdraw(), at=house.now + timedelta(days=1))


@illegal("freeze", "year's end")
def promoted_in_a_freeze(house: Gatehouse) -> Made:
    frozen = POLICY + '[[freeze]]\nfrom = 2020-01-01T00:00:00\nto = 2099-01-01T00:00:00\nreason = "year\'s end"\n'
    plan = house.to_active(house.base({POLICY_PATH: frozen}), force=True)
    return plan.target.base_commit, house.made(plan)


@illegal("freeze", "it began just now")
def promotion_dated_before_the_freeze_in_which_it_lands(house: Gatehouse) -> Made:
    begins = (house.now - timedelta(minutes=10)).replace(tzinfo=None).isoformat()
    window = f'[[freeze]]\nfrom = {begins}Z\nto = 2099-01-01T00:00:00Z\nreason = "it began just now"\n'
    made_at = house.now - timedelta(minutes=20)
    base = house.commit(house.main, [(POLICY_PATH, (POLICY + window).encode())], "base", at=made_at)
    plan = house.to_active(base, at=made_at, force=True)
    return base, house.made(plan, at=made_at)


# --- evidence -------------------------------------------------------------------------------------------


def reworked(house: Gatehouse, plan: Plan, work: Callable[[dict[str, Any]], object]) -> Made:
    """Evidence changed by somebody who also renews its seal and every digest that names it."""
    return plan.target.base_commit, house.reworked(plan, work)


@illegal("evidence", "the event says")
def evidence_altered(house: Gatehouse) -> Made:
    plan = house.to_active()
    path = next(path for path, _ in plan.files if path.endswith("evidence.json"))
    return bent(house, plan, files={path: dict(plan.files)[path].replace(b"24.85", b"14.85")})


@illegal("evidence", "is not in the commit")
def evidence_left_out(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), without=("evidence.json",))


@illegal("evidence", "names no evidence of its own")
def evidence_not_named(house: Gatehouse) -> Made:
    plan = house.to_shadow()
    strip = {"registry": lambda model: event(model).pop("evidence"), "without": ("evidence.json",)}
    return bent(house, plan, **strip)


@illegal("evidence", "its artifact_id is regime_v2026_02_13_001")
def evidence_of_another_artifact(house: Gatehouse) -> Made:
    plan = house.to_shadow(about=OLD)
    return plan.target.base_commit, house.made(plan)


@illegal("evidence", "its registry_blob is")
def evidence_of_another_registry(house: Gatehouse) -> Made:
    return reworked(house, house.to_shadow(), lambda values: values["target"].update(registry_blob="0" * 40))


@illegal("evidence", "judged by another policy")
def evidence_by_a_relaxed_policy(house: Gatehouse) -> Made:
    relaxed = house.base({POLICY_PATH: POLICY + "[soak]\nhours = 1\n"})
    plan = house.to_active(relaxed)
    return house.main, house.commit(house.main, plan.files, plan.message)


@illegal("evidence", "the change of")
def evidence_of_yesterday(house: Gatehouse) -> Made:
    return reworked(house, house.to_shadow(), lambda values: values.update(as_of="2026-02-16T10:00:00Z"))


@illegal("evidence", "the dashboard review is of")
def review_of_this_morning(house: Gatehouse) -> Made:
    raw = (POLICY + "# looked at early\n").encode()
    policy = parse_policy(raw)
    soak, _ = house.judged(policy, SOAKED)
    early = review(house.as_of(house.now), policy, MODEL, soak.report.as_of - timedelta(hours=3))
    house.judgements[house.judgement_key(policy, SOAKED, house.now)] = (soak, early)
    plan = house.to_active(house.base({POLICY_PATH: raw.decode()}))
    return plan.target.base_commit, house.made(plan)


@illegal("evidence", "the soak believes samples of 3600 s, the base's policy only those of 60 s")
def soak_that_believes_old_samples(house: Gatehouse) -> Made:
    return reworked(house, house.to_active(), lambda values: values["soak"].update(stale_s=3600))


@illegal("evidence", "the soak believes samples of 60 s, the base's policy only those of 30 s")
def soak_laxer_than_the_policy(house: Gatehouse) -> Made:
    plan = house.to_active(house.base({POLICY_PATH: POLICY + "[soak]\nstale_seconds = 30\n"}))
    return reworked(house, plan, lambda values: values["soak"].update(stale_s=60))


@illegal("evidence", "and the base's console.toml names another")
def evidence_of_another_source(house: Gatehouse) -> Made:
    named = house.base({"console.toml": '[prometheus]\nurl = "http://prometheus.example:9090"\n'})
    plan = house.to_active(named)
    return plan.target.base_commit, house.made(plan)


@illegal("evidence", "does not name the source of an answer")
def evidence_of_a_source_without_a_name(house: Gatehouse) -> Made:
    named = house.base({"console.toml": '[prometheus]\nurl = "http://prometheus.example:9090"\n'})
    plan = house.to_active(named)

    def unnamed(values: dict[str, Any]) -> None:
        for exchange in (*values["soak_exchanges"], *values["review_exchanges"]):
            exchange["url"] = None

    return plan.target.base_commit, house.reworked(plan, unnamed)


@illegal("evidence", "does not show what was measured")
def drawing_of_another_day(house: Gatehouse) -> Made:
    plan = house.to_active()
    path = next(path for path, _ in plan.files if path.endswith("review.svg"))
    calm = re.sub(rb'<polyline points="[^"]*"', b'<polyline points="70,200 770,200"', dict(plan.files)[path])
    digest = hashlib.sha256(calm).hexdigest()
    head = house.reworked(plan, lambda values: values["review"].update(svg_sha256=digest), {path: calm})
    return plan.target.base_commit, head


@illegal("verdicts", "The document's format is v99; this version reads v1, v2.")
def evidence_of_a_format_to_come(house: Gatehouse) -> Made:
    return reworked(house, house.to_active(), lambda values: values.update(schema_version="v99"))


@illegal("verdicts", "without a soak")
def evidence_without_a_soak(house: Gatehouse) -> Made:
    return reworked(house, house.to_active(), lambda values: values.update(soak=None, soak_exchanges=[]))


@illegal("evidence", "the drawing of the review")
def drawing_altered(house: Gatehouse) -> Made:
    plan = house.to_active()
    path = next(path for path, _ in plan.files if path.endswith("review.svg"))
    return bent(house, plan, files={path: b"<svg/>"})


@illegal("verdicts", "lacks what a judge needs")
def evidence_without_a_target(house: Gatehouse) -> Made:
    return reworked(house, house.to_shadow(), lambda values: values.pop("target"))


@illegal("evidence", "the evidence is incomplete")
def evidence_without_a_time(house: Gatehouse) -> Made:
    return reworked(house, house.to_shadow(), lambda values: values.pop("as_of"))


STRICT = POLICY + '[[objective]]\nname = "p99"\nlimit = 10\n'


@illegal("verdicts", "does not hold when it is judged again")
def verdict_turned_over(house: Gatehouse) -> Made:
    """p99 is 24.85 ms; the base's limit is 10, and somebody writes PASS over the FAIL."""
    plan = house.to_active(house.base({POLICY_PATH: STRICT}), force=True)

    def whitewash(values: dict[str, Any]) -> None:
        for gate in values["gates"]:
            gate["verdict"] = "PASS"

    return reworked(house, plan, whitewash)


@illegal("checklist", "is FAIL in the evidence")
def closed_gate_promoted_all_the_same(house: Gatehouse) -> Made:
    plan = house.to_active(house.base({POLICY_PATH: STRICT}), force=True)
    return plan.target.base_commit, house.made(plan)


@illegal("checklist", "does not show the gate review")
def gate_left_out(house: Gatehouse) -> Made:
    def leave_out(values: dict[str, Any]) -> None:
        values["gates"] = [gate for gate in values["gates"] if gate["name"] != "review"]

    return reworked(house, house.to_active(), leave_out)


@illegal("checklist", "does not show the gate unit_tests")
def unit_tests_not_run(house: Gatehouse) -> Made:
    def leave_out(values: dict[str, Any]) -> None:
        values["gates"] = [gate for gate in values["gates"] if gate["name"] != "unit_tests"]

    return reworked(house, house.to_shadow(), leave_out)


# --- waivers --------------------------------------------------------------------------------------------


@illegal("waivers", "the gate verify cannot be waived")
def unwaivable_gate_waived(house: Gatehouse) -> Made:
    plan = house.to_shadow(waive=("verify",))
    return plan.target.base_commit, house.made(plan)


@illegal("waivers", "the gate p99 cannot be waived")
def gate_waived_that_the_policy_keeps(house: Gatehouse) -> Made:
    plan = house.to_active(house.base({POLICY_PATH: STRICT + '[waivers]\ngates = ["review"]\n'}), waive=("p99", "soak"))
    return plan.target.base_commit, house.made(plan)


@illegal("waivers", "is no operator and cannot waive golden")
def waived_by_a_developer(house: Gatehouse) -> Made:
    plan = house.to_shadow(by=STRANGER, waive=("golden",))
    return plan.target.base_commit, house.made(plan)


@illegal("checklist", "different waivers")
def waiver_not_recorded(house: Gatehouse) -> Made:
    return bent(house, house.to_shadow(waive=("golden",)), registry=lambda model: event(model).pop("waivers"))


@illegal("waivers", "was left by a rollback, and nobody waived that")
def condemned_artifact_brought_back(house: Gatehouse) -> Made:
    doc, at = life(house.now), house.now - timedelta(minutes=30)
    by: dict[str, Any] = {"by": OPERATOR, "reason": "as planned", "at": at}
    doc = changes.rollback(doc, MODEL, OLD, **by).document
    doc = changes.withdraw(doc, MODEL, Stage.SHADOW, **by).document
    doc = changes.stage(doc, MODEL, pointer_to(LIVE), **by).document
    base = house.base({REGISTRY_PATH: doc.raw})
    proposal = house.propose(base, Action.PROMOTE, LIVE, Stage.SHADOW)
    gates = tuple(gate for gate in proposal.gates if gate.name != "condemned")
    plan = plan_promotion(replace(proposal, gates=gates))
    return base, house.made(plan)


@illegal("waivers", "was left by a rollback, and nobody waived that")
def condemned_artifact_brought_back_long_after(house: Gatehouse) -> Made:
    """The rollback that left it stands only in the archive."""
    at = house.now - timedelta(hours=3)
    by: dict[str, Any] = {"by": OPERATOR, "reason": "as planned"}
    doc, archive = much_later(changes.rollback(life(house.now), MODEL, OLD, at=at, **by).document, at)
    assert b'"rollback"' not in doc.raw
    assert b'"rollback"' in archive
    doc = changes.withdraw(doc, MODEL, Stage.SHADOW, at=house.now - timedelta(hours=1), archive=archive, **by).document
    change = changes.stage(doc, MODEL, pointer_to(LIVE), at=house.now - timedelta(minutes=50), archive=archive, **by)
    base = house.base({REGISTRY_PATH: change.raw, archive_path(MODEL): change.archive or b""})
    return base, house.made(plan_promotion(house.propose(base, Action.PROMOTE, LIVE, Stage.SHADOW)))


# --- artifact and scope ---------------------------------------------------------------------------------


@illegal("artifact", "is not in the commit")
def artifact_missing(house: Gatehouse) -> Made:
    return bent(house, house.stage(), without=(".onnx", "manifest.json", "train_report.json", "golden.json"))


@illegal("artifact", "digests")
def artifact_tampered(house: Gatehouse) -> Made:
    path = f"artifacts/onnx/{FRESH}/model.onnx"
    return bent(house, house.stage(), files={path: bytes(artifact_files(FRESH)[path]) + b"\0"})  # type: ignore[arg-type]


@illegal("artifact", "digests")
def artifact_swapped_for_another_good_one(house: Gatehouse) -> Made:
    files = {path.replace(OLD, FRESH): bytes(content) for path, content in artifact_files(OLD).items()}  # type: ignore[arg-type]
    return bent(house, house.stage(), files=files)


@illegal("artifact", "outputs.spacing_multiplier: model.onnx gives regime_probs")
def artifact_of_another_contract_than_the_bases_policy_states(house: Gatehouse) -> Made:
    """The planner did not know the contract; the gate reads it from the base."""
    rules = f"{POLICY}\n{toml(SPACING, f'model.{MODEL}.contract')}"
    return bent(house, house.stage(house.base({POLICY_PATH: rules})))


@illegal("scope", "a change cannot bring its own rules")
def contract_relaxed_in_the_same_change(house: Gatehouse) -> Made:
    """An artifact that breaks the contract of the base, and a policy without it."""
    rules = f"{POLICY}\n{toml(SPACING, f'model.{MODEL}.contract')}"
    return bent(house, house.stage(house.base({POLICY_PATH: rules})), files={POLICY_PATH: POLICY.encode()})


@illegal("scope", "belongs to an artifact that the registry names")
def live_artifact_changed_too(house: Gatehouse) -> Made:
    return bent(house, house.stage(), files={f"artifacts/onnx/{LIVE}/model.onnx": b"other weights"})


@illegal("artifact", "belongs to an artifact that the registry names")
def live_artifact_changed_later(house: Gatehouse) -> Made:
    return house.main, house.commit(house.main, [(f"artifacts/onnx/{LIVE}/model.onnx", b"other")], "Tidy up")


BELOW = POLICY + '[artifacts]\nbase = "engine"\n'


@illegal("artifact", "engine/artifacts/onnx/regime_v2026_02_14_001/model.onnx belongs to an artifact")
def live_artifact_changed_below_the_base_of_the_policy(house: Gatehouse) -> Made:
    path = f"engine/artifacts/onnx/{LIVE}/model.onnx"
    base = house.base({POLICY_PATH: BELOW, path: "good weights"})
    return base, house.commit(base, [(path, b"other weights")], "Tidy up")


@illegal("scope", "has no part in this change")
def staged_beside_the_base_of_the_policy(house: Gatehouse) -> Made:
    return bent(house, house.stage(house.base({POLICY_PATH: BELOW})))


@illegal("artifact", "engine/artifacts/onnx/regime_v2026_02_16_001 is not in the commit")
def staged_where_only_the_author_would_look_for_it(house: Gatehouse) -> Made:
    """The artifact lies where the author's settings resolve it, and not where the base's policy does."""
    base = house.base({POLICY_PATH: BELOW, **artifact_files(FRESH)})
    return bent(house, house.stage(base), without=(".onnx", "manifest.json", "train_report.json", "golden.json"))


@illegal("scope", "no regular file")
def symbolic_link_in_the_artifact(house: Gatehouse) -> Made:
    plan, operator = house.stage(), house.clones.operator
    operator.git("checkout", "-q", "--detach", house.made(plan))
    link = operator.path / f"artifacts/onnx/{FRESH}/golden.json"
    link.unlink()
    link.symlink_to("/etc/passwd")
    operator.git("commit", "-q", "-a", "--amend", "--no-edit")
    return house.main, operator.git("rev-parse", "HEAD")


@illegal("scope", "engine.py has no part in this change")
def code_swept_in(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), files={"engine.py": b"limit = None\n"})


@illegal("scope", "has no part in this change")
def another_artifact_swept_in(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), files={f"artifacts/onnx/{FRESH}/model.onnx": b"x"})


@illegal("scope", "archive/spacing.jsonl has no part")
def another_models_archive(house: Gatehouse) -> Made:
    return bent(house, house.withdraw(), files={archive_path("spacing"): b"{}\n"})


@illegal("scope", "replaces evidence that was there before")
def evidence_replaced(house: Gatehouse) -> Made:
    plan = house.withdraw()
    path = next(path for path, _ in plan.files if path.endswith("pr_body.md"))
    base = house.base({path: "earlier"})
    return base, house.commit(base, plan.files, plan.message)


@illegal("scope", "has no part in this change")
def older_evidence_rewritten(house: Gatehouse) -> Made:
    path = Places().evidence(OLD, "20260101T000000Z-promote") + "/evidence.json"
    return bent(house, house.withdraw(), files={path: b"{}"})


@illegal("scope", "a change cannot bring its own rules")
def thresholds_relaxed_on_the_way(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), files={POLICY_PATH: (POLICY + "[soak]\nhours = 1\n").encode()})


@illegal("scope", "a change cannot bring its own rules")
def signer_added_on_the_way(house: Gatehouse) -> Made:
    return bent(house, house.to_active(), files={SIGNERS: b"stranger@example.com ssh-ed25519 AAAA\n"})


@illegal("scope", "2 changes of the registry at once")
def two_changes_in_one_push(house: Gatehouse) -> Made:
    first = house.made(house.withdraw())
    return house.main, house.made(house.rollback(first))


@illegal("scope", "a merge commit changes the registry")
def merge_that_smuggles(house: Gatehouse) -> Made:
    operator = house.clones.operator
    change = house.made(house.withdraw())
    operator.git("checkout", "-q", "--detach", house.main)
    operator.git("merge", "-q", "--no-ff", "--no-commit", change)
    operator.write(REGISTRY_PATH, house.raw(change).replace(b"as planned", b"as it pleases"))
    operator.git("commit", "-q", "-a", "-m", "Merge")
    return house.main, operator.git("rev-parse", "HEAD")


@illegal("history", "the pointer of active was changed without an event")
def merge_of_a_long_branch(house: Gatehouse) -> Made:
    """The last commit of the branch looks harmless, the one before it does the deed."""
    operator = house.clones.operator
    _, deed = by_hand(house, lambda values: values["models"][MODEL].update(active=None))
    tail = house.commit(deed, [("notes.txt", b"x")], "Notes")
    operator.git("checkout", "-q", "--detach", house.main)
    operator.git("merge", "-q", "--no-ff", "-m", "Merge", tail)
    return house.main, operator.git("rev-parse", "HEAD")


@illegal("ancestry", "does not build on the base")
def history_of_the_branch_rewound(house: Gatehouse) -> Made:
    return house.made(house.withdraw()), house.main


# --- the rules themselves ---------------------------------------------------------------------------------


@illegal("role", "only operators change the rules")
def policy_changed_by_a_stranger(house: Gatehouse) -> Made:
    changed = (POLICY_PATH, b'[roles]\noperators = ["stranger@example.com"]\n')
    return house.main, house.commit(house.main, [changed], "Rules", by=STRANGER)


@illegal("policy", "unknown")
def policy_that_cannot_be_read(house: Gatehouse) -> Made:
    return house.main, house.commit(house.main, [(POLICY_PATH, b"[sock]\nhours = 1\n")], "Rules")


@illegal("scope", "changes together with the rules")
def policy_changed_with_evidence(house: Gatehouse) -> Made:
    both = [(POLICY_PATH, POLICY.encode() + b"\n"), (Places().evidence(OLD, "x") + "/evidence.json", b"{}")]
    return house.main, house.commit(house.main, both, "Rules")


@illegal("policy", "a first registry is empty")
def first_registry_with_a_life(house: Gatehouse) -> Made:
    operator = house.clones.operator
    operator.git("checkout", "-q", "--orphan", "fresh")
    operator.git("rm", "-q", "-r", "--cached", ".")
    operator.git("commit", "-q", "--allow-empty", "-m", "Nothing yet")
    empty = operator.git("rev-parse", "HEAD")
    operator.git("checkout", "-q", "-f", "main")
    operator.git("branch", "-q", "-D", "fresh")
    return empty, house.commit(empty, [(REGISTRY_PATH, house.raw(house.main))], "First")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_illegal_change_is_refused_for_its_own_reason(house: Gatehouse, case: Case) -> None:
    base, head = case.made(house)

    gates = house.verdict(base, head)

    refused = {gate.name: gate.why for gate in gates if not gate.verdict.opens}
    assert case.gate in refused, refused or "accepted"
    assert case.says in refused[case.gate]


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(CASES) >= 40
    assert len({(case.gate, case.says) for case in CASES}) >= 40
