"""Soak and board of an engine with names, labels and a unit of its own, by configuration alone.

The table of situations is asked again with every metric under a foreign name, in seconds: the verdicts stay the same.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from support import situations_artifact, situations_basics, situations_engines
from support.foreign_exporter import CONTRACT
from support.prometheus import Line, running
from support.situations import Situation
from support.situations_basics import CONFIG, RULES
from support.soaked import target_of

from ml.adapters.prometheus import Prometheus
from ml.policy import Policy, parse_policy
from ml.promotion.evidence import build, verify
from ml.slo.readings import StageRead, board_readings
from ml.slo.soak import judge_soak
from ml.stage import Stage
from ml.verdict import Verdict

pytestmark = pytest.mark.xdist_group("foreign past")

# The table of situations, with every series under a foreign name.

_NAMES = {
    "grinder_ml_inference_latency_ms": "inference_seconds",
    "grinder_ml_inference_errors_total": "predictions_total",
    "grinder_ml_inference_total": "predictions_total",
    "grinder_ml_block_total": "skipped_total",
    "grinder_ml_model_info": "loaded_model_info",
    "grinder_ml_active_on": "trading_active",
}
_OUTCOMES = {"grinder_ml_inference_total": "ok", "grinder_ml_inference_errors_total": "error"}


def foreign(line: Line) -> Line:
    """The same series as somebody else's engine exports it; durations in seconds."""
    base = next((name for name in _NAMES if line.name in (name, f"{name}_bucket", f"{name}_count")), "")
    labels = dict(line.labels)
    if "mode" in labels:
        labels["deployment"] = {"active": "live"}.get(labels["mode"], labels["mode"])
        del labels["mode"]
    if "artifact_id" in labels:
        labels["version"] = labels.pop("artifact_id")
    if labels.pop("reason", "") == "KILL_SWITCH_ENV":
        labels["why"] = "kill"
    if base in _OUTCOMES:
        labels["outcome"] = _OUTCOMES[base]
    if line.name.endswith("_ms_bucket") and labels["le"] != "+Inf":
        labels["le"] = str(float(Decimal(labels["le"]) / 1000))
    return Line(line.name.replace(base, _NAMES[base]) if base else line.name, labels, line.points)


def foreign_rules() -> str:
    """The alert rules of the table for these names."""
    text = RULES
    for name, outcome in _OUTCOMES.items():
        text = re.sub(rf"{name}\b", f'predictions_total{{outcome="{outcome}"}}', text)
    text = text.replace("grinder_ml_inference_latency_ms", "inference_seconds").replace(
        "model, mode", "model, deployment"
    )
    text = text.replace("[5m])))' > 100", "[5m])))' > 0.1")
    return re.sub(r"(\[5m\]\)\)\)) > (\d+)'", lambda found: f"{found[1]} > {int(found[2]) / 1000:g}'", text)


_ALL = tuple(
    each
    for each in (*situations_basics.TABLE, *situations_artifact.TABLE, *situations_engines.TABLE)
    if "query" not in each.policy and not each.soon and not each.down and not each.skew_s
)
_LIMITS = ("just_below_the_limit", "exactly_at_the_limit", "quiet_day")
# The names differ in the texts of questions only, which every row shares: a third of the rows has each of them.
TABLE = tuple(each for number, each in enumerate(_ALL) if number % 3 == 0 or each.name in _LIMITS)


@dataclass(frozen=True)
class Serving:
    """A Prometheus with the foreign history, and the moment of it."""

    metrics: Prometheus
    now: datetime

    def policy(self, each: Situation) -> Policy:
        return parse_policy(each.policy_toml() + CONTRACT.encode())


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    now = time.time()
    shown = {each.name for each in TABLE} | {each.like for each in TABLE}
    lines = (foreign(line) for each in _ALL if each.name in shown for line in each.lines(now))
    with running(tmp_path_factory.mktemp("foreign"), history=lines, rules=foreign_rules(), config=CONFIG) as server:
        server.rules_evaluated()
        yield Serving(Prometheus(server.url, timeout_s=20), datetime.now(UTC))


@pytest.mark.parametrize("each", TABLE, ids=lambda each: each.name)
def test_a_soak_has_the_runbooks_verdicts_and_its_evidence_holds(each: Situation, history: Serving) -> None:
    now, policy = datetime.now(UTC), history.policy(each)
    judgement = judge_soak(history.metrics, policy, each.subject(now), now, each.kills(now), stale_s=600.0)
    found = {gate.name: gate.verdict for gate in judgement.report.gates}
    sentences = "\n".join(f"{gate.name}: {gate.verdict} {gate.why}" for gate in judgement.report.gates)
    assert found == dict.fromkeys(found, Verdict.PASS) | dict(each.verdicts), sentences
    assert not [query for query in judgement.report.queries if "grinder_ml" in query]

    target = target_of(judgement.subject, now)
    gates = judgement.report.gates
    evidence = build(target=target, policy=policy, gates=gates, now=now, tool_version="1.0", soak=judgement)
    assert [check for check in verify(evidence.document) if check.verdict is not Verdict.PASS] == []


def test_evidence_with_the_questions_of_another_contract_does_not_hold(history: Serving) -> None:
    each, now = TABLE[0], datetime.now(UTC)
    asked = judge_soak(history.metrics, parse_policy(each.policy_toml()), each.subject(now), now, stale_s=600.0)
    evidence = build(
        target=target_of(asked.subject, now),
        policy=history.policy(each),
        gates=asked.report.gates,
        now=now,
        tool_version="1.0",
        soak=asked,
    )
    failed = [check.name for check in verify(evidence.document) if check.verdict is not Verdict.PASS]
    assert failed


def test_limits_in_milliseconds_meet_a_histogram_in_seconds(history: Serving) -> None:
    each = next(each for each in TABLE if each.name == "just_below_the_limit")
    now = datetime.now(UTC)
    reading = judge_soak(history.metrics, history.policy(each), each.subject(now), now, stale_s=600.0).report.readings[
        0
    ]
    assert reading.value == pytest.approx(99.5, abs=0.1)
    assert (reading.unit, reading.limit, reading.verdict) == ("ms", 100.0, Verdict.PASS)
    assert reading.query.startswith(
        "round(1000 * histogram_quantile(0.99, sum(rate(inference_seconds_bucket{deployment="
    )


def test_the_board_comes_to_the_soaks_readings_for_many_models_at_once(history: Serving) -> None:
    rows = [each for each in TABLE if not (each.policy or each.selector or each.like or each.kills(history.now))]
    policy = parse_policy(b"".join(each.policy_toml() for each in rows) + CONTRACT.encode())
    now = datetime.now(UTC)
    since = {each.name: now - timedelta(hours=24, minutes=1) for each in rows}
    asked = {
        each.name: StageRead(each.name, Stage.SHADOW, since[each.name], each.subject(now).artifact_id) for each in rows
    }
    together = board_readings(history.metrics, policy, tuple(asked.values()), now, stale_s=600.0)
    for each in rows:
        alone = board_readings(history.metrics, policy, [asked[each.name]], now, stale_s=600.0)[asked[each.name]]
        grouped = together[asked[each.name]]
        assert [(one.name, one.verdict) for one in grouped] == [(one.name, one.verdict) for one in alone], each.name
    assert {Verdict.PASS, Verdict.FAIL} <= {one.verdict for found in together.values() for one in found}


def test_the_runbooks_names_would_find_nothing(history: Serving) -> None:
    each, now = TABLE[0], datetime.now(UTC)
    report = judge_soak(history.metrics, parse_policy(each.policy_toml()), each.subject(now), now).report
    assert report.verdict is not Verdict.PASS
    assert {one.verdict for one in report.readings if one.name != "alerts"} == {Verdict.NO_DATA}
