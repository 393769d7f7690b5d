"""Plans: what they hold, when they are refused, and that nothing outside can act in them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml.board import SoakReport
from ml.errors import Invalid, Refused
from ml.promotion.body import Account, body, code, fence
from ml.promotion.gate.guard import Guard
from ml.promotion.gates import ack_gate, acknowledge
from ml.promotion.paths import Places
from ml.promotion.plan import Proposal, one_line, plan_promotion, plan_rollback, plan_stage, plan_withdraw
from ml.promotion.repository import trailers
from ml.promotion.values import Ack, Evidence, Target
from ml.registry import changes
from ml.registry.codec import Document, empty_document, parse
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH, Pointer, archive_path
from ml.stage import Action, Stage
from ml.verdict import Gate, Verdict

NOW = datetime(2026, 2, 16, 10, 0, tzinfo=UTC)
OLD, NEW = "regime_v2026_02_15_001", "regime_v2026_02_16_001"
PHRASE = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
BY: dict[str, Any] = {"by": "ann@example.com", "reason": "as planned", "at": NOW - timedelta(days=2)}
OPEN = Gate(name="verify", verdict=Verdict.PASS, why="9 checks")


def pointer(artifact_id: str) -> Pointer:
    return Pointer(
        artifact_id=artifact_id,
        artifact_dir=f"artifacts/onnx/{artifact_id}",
        model_sha256="a" * 64,
        git_sha="b" * 40,
        dataset_id="v4",
    )


@pytest.mark.parametrize(
    ("action", "to_stage", "from_stage"),
    [
        (Action.STAGE, Stage.STAGING, None),
        (Action.PROMOTE, Stage.SHADOW, Stage.STAGING),
        (Action.PROMOTE, Stage.ACTIVE, Stage.SHADOW),
        (Action.ROLLBACK, Stage.ACTIVE, Stage.ACTIVE),
        (Action.WITHDRAW, Stage.STAGING, Stage.STAGING),
        (Action.WITHDRAW, Stage.SHADOW, Stage.SHADOW),
    ],
)
@pytest.mark.parametrize(("written", "found", "digest"), [("a", None, "a"), ("a", "f", "f"), (None, None, "")])
def test_a_target_is_made_of_a_pointer_and_an_action(
    action: Action, to_stage: Stage, from_stage: Stage | None, written: str | None, found: str | None, digest: str
) -> None:
    moved = pointer(NEW).model_copy(update={"model_sha256": written})
    common: dict[str, Any] = {"base_commit": "c" * 40, "registry_blob": "d" * 40, "opened_at": NOW, "actor": "ann"}
    target = Target.of(action, "regime", to_stage, moved, model_sha256=found, **common)
    assert (target.action, target.model, target.from_stage, target.to_stage) == (action, "regime", from_stage, to_stage)
    assert (target.artifact_id, target.artifact_dir, target.model_sha256) == (NEW, f"artifacts/onnx/{NEW}", digest)
    assert {name: getattr(target, name) for name in common} == common


def document() -> Document:
    """OLD is active, NEW in shadow."""
    doc = empty_document()
    for name, steps in ((OLD, (Stage.SHADOW, Stage.ACTIVE)), (NEW, (Stage.SHADOW,))):
        doc = changes.stage(doc, "regime", pointer(name), **BY).document
        for step in steps:
            doc = changes.promote(doc, "regime", step, **BY).document
    return doc


def proposal(action: Action, artifact_id: str, from_stage: Stage | None, to_stage: Stage, **more: Any) -> Proposal:
    target = Target(
        action=action,
        model="regime",
        from_stage=from_stage,
        to_stage=to_stage,
        artifact_id=artifact_id,
        artifact_dir=f"artifacts/onnx/{artifact_id}",
        model_sha256="a" * 64,
        base_commit="c" * 40,
        registry_blob="d" * 40,
        opened_at=NOW,
        actor="ann@example.com",
    )
    given: dict[str, Any] = {
        "target": target,
        "document": document(),
        "reason": "soak passed",
        "at": NOW,
        "evidence": Evidence(b"{}\n", "e" * 64, b"<svg/>"),
        "gates": (OPEN,),
    }
    return Proposal(**given | more)


def to_active(**more: Any) -> Proposal:
    return proposal(Action.PROMOTE, NEW, Stage.SHADOW, Stage.ACTIVE, **more)


def ack(target: Target, now: datetime = NOW, phrase: str = PHRASE) -> Ack:
    return acknowledge(
        phrase, phrase=PHRASE, expires_minutes=15, target=target, evidence_sha256="e" * 64, by=target.actor, now=now
    )


def acknowledged() -> Proposal:
    asked = to_active()
    return replace(asked, ack=ack(asked.target))


def test_a_promotion_holds_registry_evidence_drawing_and_body() -> None:
    plan = plan_promotion(acknowledged(), phrase=PHRASE)
    folder = f"ml/registry/evidence/{NEW}/20260216T100000Z-promote"
    assert [path for path, _ in plan.files] == [
        f"{folder}/evidence.json",
        f"{folder}/pr_body.md",
        f"{folder}/review.svg",
        REGISTRY_PATH,
    ]
    assert plan.branch == f"promote/regime/{NEW}-to-active-20260216T100000Z"
    event = json.loads(dict(plan.files)[REGISTRY_PATH])["models"]["regime"]["history"][-1]
    assert event["evidence"] == {"path": folder, "sha256": "e" * 64}
    assert (event["ack"]["phrase"], event["ack"]["registry_blob"]) == (PHRASE, "d" * 40)
    assert event["registry_git_sha"] == "c" * 40
    assert trailers(plan.message)["Ack-By"] == "ann@example.com"


def test_every_action_has_its_branch_and_title() -> None:
    staging = proposal(Action.STAGE, "regime_v2026_02_17_001", None, Stage.STAGING)
    plans = [
        plan_stage(staging, pointer("regime_v2026_02_17_001"), [("artifacts/onnx/x/model.onnx", b"w")]),
        plan_promotion(acknowledged(), phrase=PHRASE),
        plan_rollback(proposal(Action.ROLLBACK, OLD, Stage.ACTIVE, Stage.ACTIVE, document=promoted())),
        plan_withdraw(proposal(Action.WITHDRAW, NEW, Stage.SHADOW, Stage.SHADOW)),
    ]
    stamp = "20260216T100000Z"
    assert [(plan.branch, plan.title) for plan in plans] == [
        (f"stage/regime/regime_v2026_02_17_001-to-staging-{stamp}", "Stage regime_v2026_02_17_001 (regime)"),
        (f"promote/regime/{NEW}-to-active-{stamp}", f"Promote {NEW} to active (regime)"),
        (f"rollback/regime/{OLD}-to-active-{stamp}", f"Roll back to {OLD} (regime)"),
        (f"withdraw/regime/{NEW}-from-shadow-{stamp}", f"Withdraw {NEW} from shadow (regime)"),
    ]
    assert ("artifacts/onnx/x/model.onnx", b"w") in plans[0].files
    assert "From-Stage" not in trailers(plans[0].message)


def promoted() -> Document:
    return parse(dict(plan_promotion(acknowledged(), phrase=PHRASE).files)[REGISTRY_PATH])


def test_the_diff_holds_only_the_change() -> None:
    plan = plan_withdraw(proposal(Action.WITHDRAW, NEW, Stage.SHADOW, Stage.SHADOW))
    changed = [line for line in plan.diff.splitlines() if line.startswith(("+ ", "- "))]
    assert changed[0].strip() == '-      "shadow": {'
    assert not any("active" in line and line.startswith("-") for line in changed)


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if not verdict.opens])
def test_a_closed_gate_of_any_kind_stops_a_promotion(verdict: Verdict) -> None:
    with pytest.raises(Invalid, match=f"p99 is {verdict}: why"):
        plan_promotion(to_active(gates=(OPEN, Gate(name="p99", verdict=verdict, why="why"))))


def test_evidence_that_grew_old_is_not_planned_with() -> None:
    hour = Evidence(b'{"as_of": "2026-02-16T09:00:00.000001Z"}', "e" * 64)
    assert plan_promotion(replace(acknowledged(), evidence=hour), phrase=PHRASE)
    older = Evidence(b'{"as_of": "2026-02-16T08:59:59Z"}', "e" * 64)
    with pytest.raises(Refused, match="judged at 2026-02-16T08:59:59Z"):
        plan_promotion(replace(acknowledged(), evidence=older), phrase=PHRASE)


def test_waivers_and_exemptions_are_recorded() -> None:
    waived = Gate(name="p99", verdict=Verdict.FAIL, why="120 ms").waived("known spike")
    plan = plan_promotion(replace(acknowledged(), gates=(OPEN, waived), exemption="frozen: audit"), phrase=PHRASE)
    event = json.loads(dict(plan.files)[REGISTRY_PATH])["models"]["regime"]["history"][-1]
    assert event["waivers"] == [{"gate": "p99", "why": "waived: known spike (was FAIL: 120 ms)"}]
    assert event["freeze_exemption"] == "frozen: audit"
    assert "## Waivers" in plan.body


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "bell\a", "x" * 501, "\u202egnirts"])
def test_a_reason_is_one_line_of_plain_text(reason: str) -> None:
    with pytest.raises(Refused):
        one_line(reason)


# --- ACK ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["", f" {PHRASE}", f"{PHRASE} ", PHRASE.lower(), f"{PHRASE}\n", PHRASE[:-1]])
def test_only_the_exact_phrase_acknowledges(typed: str) -> None:
    with pytest.raises(Refused, match="not the phrase"):
        ack(to_active().target, phrase=typed)


def test_an_acknowledgement_covers_one_thing_for_a_time() -> None:
    asked = acknowledged()
    target = asked.target
    elsewhere: tuple[tuple[Proposal, str], ...] = (
        (replace(asked, target=replace(target, model_sha256="f" * 64)), "another artifact"),
        (replace(asked, target=replace(target, registry_blob="f" * 40)), "another state of the registry"),
        (replace(asked, target=replace(target, actor="ben@example.com")), "it was given by ann@example.com"),
        (replace(asked, evidence=Evidence(b"{}", "f" * 64)), "other evidence"),
        (replace(asked, at=NOW + timedelta(minutes=15, seconds=1)), "only"),
        (replace(asked, at=NOW - timedelta(seconds=1)), "only"),
        (replace(asked, ack=replace(asked.ack or ack(target), phrase="YES")), "its phrase"),
    )
    for misused, why in elsewhere:
        with pytest.raises(Refused, match=why):
            plan_promotion(misused, phrase=PHRASE)
    with pytest.raises(Refused, match="needs an acknowledgement"):
        plan_promotion(to_active(), phrase=PHRASE)
    assert plan_promotion(replace(asked, at=NOW + timedelta(minutes=15)), phrase=PHRASE).ack == asked.ack


def test_the_checklist_waits_for_the_phrase() -> None:
    target = to_active().target
    words: dict[str, Any] = {"phrase": PHRASE, "target": target, "evidence_sha256": "e" * 64}
    assert ack_gate(None, now=NOW, **words).verdict is Verdict.WAIT
    assert ack_gate(ack(target), now=NOW, **words).verdict is Verdict.PASS
    assert ack_gate(ack(target), now=NOW + timedelta(hours=1), **words).verdict is Verdict.FAIL


# --- body -----------------------------------------------------------------------------------------------


def account(**more: Any) -> Account:
    given: dict[str, Any] = {
        "target": to_active().target,
        "reason": "soak passed",
        "at": NOW,
        "gates": (),
        "diff": "-a\n+b",
        "evidence_sha256": "e" * 64,
        "evidence_path": "ml/registry/evidence/x/evidence.json",
    }
    return Account(**given | more)


SOAK = SoakReport(
    model="regime",
    artifact_id=NEW,
    model_sha256="a" * 64,
    as_of=NOW,
    verdict=Verdict.PASS,
    why="",
    required_s=86_400,
    started_at=NOW - timedelta(hours=24),
    elapsed_s=86_400,
)


def test_the_body_is_the_runbooks_evidence_section_with_measured_values() -> None:
    gates = (
        Gate(name="soak", verdict=Verdict.PASS, why="", value=86_400, limit=86_400, unit="s"),
        Gate(name="p99", verdict=Verdict.PASS, why="", value=42, limit=100, unit="ms"),
        Gate(name="p999", verdict=Verdict.FAIL, why="", value=278.4, limit=250, unit="ms"),
        Gate(name="error_rate", verdict=Verdict.PASS, why="", value=0.003, limit=0.05),
        Gate(name="alerts", verdict=Verdict.PASS, why="None firing"),
        Gate(name="review", verdict=Verdict.NO_DATA, why="no charts"),
    )
    text = body(account(gates=gates, soak=SOAK, ack=ack(to_active().target)))
    for line in (
        "## Promotion Evidence",
        "- Shadow soak: 24h (2026-02-15 10:00 to 2026-02-16 10:00)",
        "- p99 latency: 42ms (SLO: <100ms) ✅",
        "- p99.9 latency: 278.4ms (SLO: <250ms) ❌ FAIL",
        "- Error rate: 0.3% (SLO: <5%) ✅",
        "- Alerts: None firing ✅",
        "- Dashboard: `ml/registry/evidence/x/review.svg` `no charts` ❌ NO_DATA",
        "ACK: I_UNDERSTAND_THIS_AFFECTS_TRADING",
        "I have reviewed the shadow metrics and confirm this model",
        "is safe to promote to active trading decisions.",
        f"Evidence: `ml/registry/evidence/x/evidence.json`, SHA-256 `{'e' * 64}`",
    ):
        assert line in text.splitlines()


def test_the_same_values_give_the_runbooks_section_line_by_line() -> None:
    runbook = (Path(__file__).parents[3] / "docs/RUNBOOK_19_ML_MODEL_PROMOTION.md").read_text()
    section = runbook.partition("## Promotion Evidence\n")[2].partition("```")[0]
    *wanted, dashboard = [line.strip() for line in section.splitlines() if line.strip()]
    assert dashboard == "- Dashboard: [link to screenshot]"
    gates = (
        Gate(name="soak", verdict=Verdict.PASS, why="", value=86_400, limit=86_400, unit="s"),
        Gate(name="p99", verdict=Verdict.PASS, why="", value=42, limit=100, unit="ms"),
        Gate(name="p999", verdict=Verdict.PASS, why="", value=78, limit=250, unit="ms"),
        Gate(name="error_rate", verdict=Verdict.PASS, why="", value=0.003, limit=0.05),
        Gate(name="alerts", verdict=Verdict.PASS, why="All named alert rules are loaded and quiet."),
        Gate(name="review", verdict=Verdict.PASS, why="Flat, like active. (nothing odd)"),
    )
    lines = body(account(gates=gates, soak=SOAK)).splitlines()
    at = lines.index(wanted[0])
    assert lines[at : at + len(wanted)] == wanted
    assert lines[at + len(wanted)] == (
        "- Dashboard: `ml/registry/evidence/x/review.svg` `Flat, like active. (nothing odd)`"
    )


def test_text_from_outside_cannot_act_in_markdown() -> None:
    hostile = "`]( https://x ) @everyone <img src=x>\n## ACK\n\x1b[2J"
    text = body(account(reason=hostile, gates=(Gate(name="alerts", verdict=Verdict.PASS, why="``` x"),)))
    reason = next(line for line in text.splitlines() if line.startswith("- Reason:"))
    assert reason.startswith("- Reason: `` `]( https://x )")
    assert reason.endswith("``")
    assert "## ACK" not in text.splitlines()
    assert "\x1b" not in text


def test_code_and_fences_hold_whatever_is_in_them() -> None:
    assert code("a``b") == "```a``b```"
    assert code("`") == "`` ` ``"
    assert code("") == "`-`"
    assert fence("x\n````\ny", "diff").startswith("`````diff\n")


# --- places ---------------------------------------------------------------------------------------------


def test_a_registry_elsewhere_takes_all_that_is_its_own_along() -> None:
    usual, other = Places(), Places("models/registry.json")
    assert (usual.policy, usual.archive("m")) == (POLICY_PATH, archive_path("m"))
    assert (other.policy, other.signers) == ("models/policy.toml", "models/allowed_signers")
    assert other.evidence("x", "t-promote") == "models/evidence/x/t-promote"
    paths = ("models/registry.json", "models/code.py", "models/evidence/x/y")
    assert [Guard(other).governs(path) for path in paths] == [True, False, True]


def test_trailers_are_those_of_the_last_paragraph() -> None:
    assert trailers("Title\n\nModel: evil\n\nModel: good\nAck: yes\nnot a trailer\n") == {"Model": "good", "Ack": "yes"}
    assert trailers("Title only: not one") == {}
