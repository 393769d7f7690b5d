"""Evidence: whoever changes a byte is caught at its part, and whoever seals a lie is caught by the judge."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.fixed_metrics import NOW, POLICY, SUBJECT, FixedMetrics
from support.soaked import target_of

from ml.policy import parse_policy
from ml.promotion.evidence import Verified, build, verify
from ml.promotion.evidence_formats import canonical, sealed
from ml.slo.review import review
from ml.slo.soak import Killed, judge_soak
from ml.slo.source import SourceTimedOut
from ml.stage import Stage
from ml.verdict import Check, Code, Finding, Gate, Verdict, finding

TARGET = target_of(SUBJECT, NOW)
VERIFIED = Verified((Check("digests", Verdict.PASS, "3 files agree with the manifest.", Code.SOUND),))


def document(metrics: FixedMetrics | None = None, **changes: Any) -> bytes:
    metrics = metrics or FixedMetrics()
    kills = (Killed(NOW - timedelta(hours=3), NOW - timedelta(hours=2, minutes=58)),)
    soak = judge_soak(metrics, POLICY, SUBJECT, NOW, kills)
    values = {
        "target": TARGET,
        "policy": POLICY,
        "gates": soak.report.gates,
        "now": NOW,
        "tool_version": "1.2.3",
        "verified": VERIFIED,
        "soak": soak,
        "review": review(metrics, POLICY, SUBJECT.model, NOW),
        "finding": "Baseline is flat. “Ruhig”, no spikes.",
    }
    return build(**(values | changes)).document


@pytest.fixture(scope="module")
def good() -> bytes:
    return document()


def failing(raw: bytes) -> list[str]:
    return [check.name for check in verify(raw) if check.verdict is not Verdict.PASS]


def relied(raw: bytes, change: Callable[[dict[str, Any]], None]) -> list[Check]:
    """The failing checks of a document in which something was changed and everything sealed anew."""
    values = json.loads(raw)
    del values["seal"]
    change(values)
    checks = verify(sealed(values))
    assert not [check for check in checks if check.name in ("form", "seal") and check.verdict is not Verdict.PASS]
    return [check for check in checks if check.verdict is not Verdict.PASS]


def test_every_verdict_is_judged_again(good: bytes) -> None:
    checks = verify(good)
    assert [check for check in checks if check.verdict is not Verdict.PASS] == []
    names = [check.name for check in checks]
    assert names == [
        *("form", "seal", "policy", "soak"),
        *("gate soak", "gate p99", "gate p999", "gate error_rate", "gate alerts"),
        "review",
    ]


def test_the_document_is_canonical_and_says_what_it_rests_on(good: bytes) -> None:
    values = json.loads(good)
    assert good == canonical(values) + b"\n"
    assert good.isascii()
    assert values["tool"] == {"name": "mlconsole", "version": "1.2.3"}
    assert values["clock"] == {"console": "2026-02-17T14:00:00Z", "asked_at": "2026-02-17T14:00:00Z", "skew_s": 0.0}
    assert json.loads(values["policy"]["in_force"])["soak"]["hours"] == 24
    assert values["schema_version"] == "v2"
    why = "3 files agree with the manifest."
    assert values["checks"] == [{"name": "digests", "verdict": "PASS", "why": why, "code": "sound", "facts": {}}]
    p99 = next(gate for gate in values["gates"] if gate["name"] == "p99")
    assert (p99["code"], p99["facts"]["value"], p99["facts"]["limit"]) == ("within-limit", 0.03, 100.0)
    assert values["target"]["model_sha256"] == SUBJECT.model_sha256
    assert values["review"]["finding"] == "Baseline is flat. “Ruhig”, no spikes."
    asked = [exchange["promql"] for exchange in values["soak_exchanges"]]
    assert (
        'histogram_quantile(0.99, sum(rate(grinder_ml_inference_latency_ms_bucket{mode="shadow"}[24h])) by (le))'
        in asked
    )
    bodies = [exchange["body"] for exchange in values["soak_exchanges"]]
    assert all(json.loads(body)["status"] == "success" for body in bodies)


def test_the_same_judgement_gives_the_same_bytes(good: bytes) -> None:
    assert document() == good
    assert hashlib.sha256(good).hexdigest() == build_sha256()


def build_sha256() -> str:
    soak = judge_soak(
        FixedMetrics(), POLICY, SUBJECT, NOW, (Killed(NOW - timedelta(hours=3), NOW - timedelta(hours=2, minutes=58)),)
    )
    return build(
        target=TARGET,
        policy=POLICY,
        gates=soak.report.gates,
        now=NOW,
        tool_version="1.2.3",
        verified=VERIFIED,
        soak=soak,
        review=review(FixedMetrics(), POLICY, SUBJECT.model, NOW),
        finding="Baseline is flat. “Ruhig”, no spikes.",
    ).sha256


def test_any_flipped_byte_is_named(good: bytes) -> None:
    parts = top_level_spans(good)
    step = len(good) // 90
    seams = [at + by for _, begin, end in parts for at in (begin, end) for by in (-1, 0, 1)]
    for position in {*range(0, len(good), step), *seams, 1, len(good) - 2, len(good) - 1}:
        flipped = bytearray(good)
        flipped[position] ^= 1
        found = [check for check in verify(bytes(flipped)) if check.verdict is not Verdict.PASS]
        assert found, f"byte {position} was not missed"
        part = next((name for name, begin, end in parts if begin <= position < end), "")
        told = " ".join(f"{check.name} {check.why}" for check in found)
        assert part in told or (position < 2 and "at its beginning" in told), f"byte {position} of {part}: {told}"


def top_level_spans(raw: bytes) -> list[tuple[str, int, int]]:
    """Where each part lies in a canonical document."""
    spans, at = [], 1
    for name, value in sorted(json.loads(raw).items()):
        length = len(canonical({name: value})) - 2
        spans.append((name, at, at + length))
        at += length + 1
    return spans


def test_a_changed_line_of_the_seal_is_told_from_a_changed_part(good: bytes) -> None:
    values = json.loads(good)
    values["seal"]["parts"]["gates"] = "0" * 64
    found = [check for check in verify(canonical(values) + b"\n") if check.verdict is not Verdict.PASS]
    assert [check.why for check in found] == ["The part gates is intact, but its line in the seal was changed."]
    values = json.loads(good)
    values["seal"]["chain"] = "0" * 64
    assert failing(canonical(values) + b"\n") == ["seal"]


def test_a_missing_and_an_added_part_are_named(good: bytes) -> None:
    values = json.loads(good)
    del values["checks"]
    values["extra"] = 1
    assert {"part checks", "part extra"} <= set(failing(canonical(values) + b"\n"))


class TestSealedLies:
    """The seal is only as good as the trailer's digest; the judge needs neither."""

    def test_a_verdict(self) -> None:
        metrics = FixedMetrics()
        metrics.instant["short"] = [({}, 412.0)]
        raw = document(metrics)
        assert failing(raw) == []

        def lie(values: dict[str, Any]) -> None:
            for gate in (*values["gates"], *values["soak"]["report"]["gates"]):
                gate["verdict"] = "PASS"

        found = {check.name: check.why for check in relied(raw, lie)}
        assert found["soak"] == "Judged again, these differ: gates."
        assert found["gate p99"] == (
            "The document says PASS; judged again it is FAIL. 412 ms over 5m is not below 100 ms."
        )

    def test_a_code_and_a_number(self, good: bytes) -> None:
        def p99(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
            for gate in (*values["gates"], *values["soak"]["report"]["gates"]):
                if gate["name"] == "p99":
                    yield gate

        def another_rule(values: dict[str, Any]) -> None:
            for gate in p99(values):
                gate["code"] = "breached"

        def another_value(values: dict[str, Any]) -> None:
            for gate in p99(values):
                gate["facts"]["value"] += 1e-6

        def the_last_digit(values: dict[str, Any]) -> None:
            for gate in p99(values):
                gate["facts"]["value"] *= 1 + 2e-16

        assert failing_names(relied(good, another_rule)) == ["soak", "gate p99"]
        assert failing_names(relied(good, another_value)) == ["soak", "gate p99"]
        assert relied(good, the_last_digit) == [], "another processor may add in another order"

    def test_a_response(self, good: bytes) -> None:
        def lie(values: dict[str, Any]) -> None:
            exchange = next(each for each in values["soak_exchanges"] if "long" in each["promql"])
            exchange["body"] = exchange["body"].replace('"0.03"', '"1000.0"')

        assert {"soak", "gate p99"} <= {check.name for check in relied(good, lie)}

    def test_a_policy(self, good: bytes) -> None:
        def lie(values: dict[str, Any]) -> None:
            values["policy"]["source"] = "[soak]\nhours = 1\n"

        assert {"policy", "soak"} <= set(failing_names(relied(good, lie)))

    def test_a_policy_that_is_not_the_one_in_force(self, good: bytes) -> None:
        def lie(values: dict[str, Any]) -> None:
            values["policy"]["in_force"] = values["policy"]["in_force"].replace("100.0", "900.0")

        assert failing_names(relied(good, lie)) == ["policy"]

    def test_another_artifacts_soak(self, good: bytes) -> None:
        def lie(values: dict[str, Any]) -> None:
            values["target"]["artifact_id"] = "regime_v2026_02_17_009"

        assert failing_names(relied(good, lie)) == ["subject"]

    def test_another_digest(self, good: bytes) -> None:
        def lie(values: dict[str, Any]) -> None:
            values["target"]["model_sha256"] = "6" * 64

        assert failing_names(relied(good, lie)) == ["subject"]

    def test_a_gate_that_was_left_out(self, good: bytes) -> None:
        def lie(values: dict[str, Any]) -> None:
            values["gates"] = [gate for gate in values["gates"] if gate["name"] != "alerts"]

        assert failing_names(relied(good, lie)) == ["gate alerts"]

    def test_a_kill_that_never_was(self, good: bytes) -> None:
        def lie(values: dict[str, Any]) -> None:
            values["soak"]["kills"] = []

        found = {check.name: check.why for check in relied(good, lie)}
        assert found["soak"] == "Judged again, these differ: coverage, gates, tapes."

    def test_oddities_that_were_left_out(self) -> None:
        metrics = FixedMetrics()
        metrics.ranged["shadow"] = [({}, lambda at: 900.0 if at > NOW.timestamp() - 3_600 else 20.0)]
        raw = document(metrics)
        assert json.loads(raw)["review"]["oddities"]

        def lie(values: dict[str, Any]) -> None:
            values["review"]["oddities"] = []

        assert failing_names(relied(raw, lie)) == ["review"]


def failing_names(checks: list[Check]) -> list[str]:
    return [check.name for check in checks]


def test_a_waived_gate_is_judged_again_behind_its_waiver() -> None:
    metrics = FixedMetrics()
    metrics.instant["short"] = [({}, 412.0)]
    soak = judge_soak(metrics, POLICY, SUBJECT, NOW)
    gates = tuple(gate.waived("a known slow market open") if gate.name == "p99" else gate for gate in soak.report.gates)
    raw = document(metrics, gates=gates, soak=soak)
    assert failing(raw) == []

    def p99(values: dict[str, Any]) -> dict[str, Any]:
        return next(each for each in values["gates"] if each["name"] == "p99")

    def reword(values: dict[str, Any]) -> None:
        p99(values)["why"] = p99(values)["was"]["why"] = "anders gesagt"

    assert relied(raw, reword) == [], "a sentence is decoration"
    for key, lie in (("verdict", "WAIT"), ("code", "window-young"), ("facts", {"value": 1.0})):
        found = relied(raw, lambda values, key=key, lie=lie: p99(values)["was"].update({key: lie}))
        assert [(check.name, dict(check.facts)) for check in found] == [("gate p99", {"fields": f"was {key}"})]
    assert failing_names(relied(raw, lambda values: p99(values).pop("was"))) == ["gate p99"]


def test_a_judge_that_speaks_another_language_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sentence of the living judge reworded, after the document was written."""
    metrics = FixedMetrics()
    metrics.instant["short"] = [({}, 412.0)]
    metrics.ranged["shadow"] = [({}, lambda at: 900.0 if at > NOW.timestamp() - 3_600 else 20.0)]
    soak = judge_soak(metrics, POLICY, SUBJECT, NOW)
    gates = tuple(gate.waived("known") if gate.name == "p99" else gate for gate in soak.report.gates)
    raw = document(metrics, gates=gates, soak=soak)
    said: list[str] = []

    def reworded(verdict: Verdict, code: Code, why: str, **values: Any) -> Finding:
        said.append(why)
        return finding(verdict, code, "auf Deutsch gesagt", **values)

    for name, module in list(sys.modules.items()):
        if name.startswith("ml.slo.") and not name.startswith("ml.slo.v1") and hasattr(module, "finding"):
            monkeypatch.setattr(module, "finding", reworded)
    assert failing(raw) == []
    assert len(said) > 10
    assert "auf Deutsch gesagt" in next(check.why for check in verify(raw) if check.name == "gate error_rate")


def test_a_failure_is_evidence_too() -> None:
    metrics = FixedMetrics()
    metrics.failures = {number: SourceTimedOut("No answer within 5 s.", "Wait.") for number in range(200)}
    raw = document(metrics)
    assert failing(raw) == []
    assert json.loads(raw)["soak_exchanges"][0]["failure"] == "SourceTimedOut"


def test_the_policys_own_bytes_judge_again() -> None:
    policy = parse_policy(b'# r\xc3\xa9glage\n[[objective]]\nname = "p99"\nlimit = 0.025\n')
    soak = judge_soak(FixedMetrics(), policy, SUBJECT, NOW)
    raw = document(policy=policy, soak=soak, gates=soak.report.gates, review=None)
    assert failing(raw) == []
    assert next(gate for gate in soak.report.gates if gate.name == "p99").verdict is Verdict.FAIL


def test_a_step_without_a_soak_has_evidence_as_well() -> None:
    gates = (Gate(name="verify", verdict=Verdict.PASS, why="9 checks passed."),)
    to_shadow = replace(TARGET, from_stage=Stage.STAGING, to_stage=Stage.SHADOW)
    evidence = build(target=to_shadow, policy=POLICY, gates=gates, now=NOW, tool_version="1", verified=VERIFIED)
    assert [check.name for check in verify(evidence.document)] == ["form", "seal", "policy"]
    assert failing(evidence.document) == []
    assert evidence.review_svg == b""
    bare = build(target=TARGET, policy=POLICY, gates=gates, now=NOW, tool_version="1", verified=VERIFIED)
    assert failing(bare.document) == ["soak"], "but nothing becomes active without one"


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b"\xff\xfe", b"null", b'{"a":NaN}', b"[" * 100_000, b'{"seal":{"parts":[]}}', b'{"soak":{}}'],
    ids=repr,
)
def test_what_is_no_evidence_is_said_and_never_raised(raw: bytes) -> None:
    checks = verify(raw)
    assert any(check.verdict is Verdict.FAIL for check in checks)
    assert all(check.why.endswith(".") for check in checks)
