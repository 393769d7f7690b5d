"""Every situation that a soak can be in, on a real Prometheus and on a real VictoriaMetrics with vmalert.

The table is the specification: a gate that a row does not name must be PASS in it. Beside the verdicts, the evidence
of each row is checked offline.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from support import (
    situations_arithmetic,
    situations_artifact,
    situations_basics,
    situations_engines,
    situations_unmeasured,
)
from support.prometheus import running
from support.situations import Situation
from support.situations_basics import CONFIG, RULES
from support.soaked import target_of
from support.victoria import running_victoria

from ml.adapters.prometheus import Prometheus
from ml.policy import parse_policy
from ml.promotion.evidence import build, verify
from ml.slo.soak import SoakJudgement, judge_soak
from ml.verdict import Verdict, worst

pytestmark = pytest.mark.xdist_group("situations")

PROMETHEUS, VICTORIA = "prometheus", "victoria"
TABLE = (
    *situations_basics.TABLE,
    *situations_artifact.TABLE,
    *situations_engines.TABLE,
    *situations_arithmetic.TABLE,
    *situations_unmeasured.TABLE,
)
_AT_ONCE = 3

Judgements = dict[str, tuple[SoakJudgement, datetime]]


@pytest.fixture(scope="module", params=[PROMETHEUS, VICTORIA])
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def judgements(source: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judgements]:
    """Every situation on one source, judged at once: the samples are as fresh as the table says only for a while."""
    now, folder = time.time(), tmp_path_factory.mktemp(source)
    history = (line for each in TABLE for line in each.lines(now))
    if source == PROMETHEUS:
        serving = running(folder, history=history, rules=RULES, config=CONFIG)
    else:
        serving = running_victoria(folder, history=history, rules=RULES)  # type: ignore[assignment]
    with serving as server, ThreadPoolExecutor(_AT_ONCE) as pool:
        server.rules_evaluated()
        soonest = sorted(TABLE, key=lambda each: not each.soon)
        yield dict(
            zip([each.name for each in soonest], pool.map(partial(judged, url=server.url), soonest), strict=True)
        )


def judged(each: Situation, url: str) -> tuple[SoakJudgement, datetime]:
    """The situation as it is judged now."""

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=each.skew_s)

    now, policy = clock(), parse_policy(each.policy_toml())
    prometheus = Prometheus("http://127.0.0.1:1" if each.down else url, now=clock, timeout_s=20)
    return judge_soak(prometheus, policy, each.subject(now), now, each.kills(now), stale_s=each.stale_s), now


@pytest.mark.parametrize("each", TABLE, ids=lambda each: each.name)
def test_each_situation_has_its_verdict_and_its_evidence_holds(
    each: Situation, source: str, judgements: Judgements
) -> None:
    judgement, now = judgements[each.name]
    report = judgement.report
    verdicts, says = each.right(victoria=source == VICTORIA)

    found = {gate.name: gate.verdict for gate in report.gates}
    sentences = "\n".join(f"{gate.name}: {gate.verdict} {gate.why}" for gate in report.gates)
    assert found == dict.fromkeys(found, Verdict.PASS) | dict(verdicts), sentences
    assert report.verdict is worst(found.values())
    assert says in sentences

    policy, subject = parse_policy(each.policy_toml()), judgement.subject
    target = target_of(subject, now)
    evidence = build(target=target, policy=policy, gates=report.gates, now=now, tool_version="1.0", soak=judgement)
    checks = verify(evidence.document)
    assert [check for check in checks if check.verdict is not Verdict.PASS] == []
    assert {f"gate {name}" for name in found} <= {check.name for check in checks}


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 90
    assert len({each.name for each in TABLE}) == len(TABLE)


def test_every_difference_between_the_sources_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs" / "slo.md").read_text()
    differing = [each.name for each in TABLE if each.on_victoria is not None]
    assert [name for name in differing if f"`{name}`" not in text] == []


def test_a_burst_is_named_with_its_time(judgements: Judgements) -> None:
    report = judgements["ten_minute_burst"][0].report
    tape = next(tape for tape in report.tapes if tape.objective == "p99")
    assert tape.worst is not None
    begin = tape.started_at + timedelta(seconds=tape.worst * tape.step_s)
    assert f"from {begin:%Y-%m-%dT%H:%M:%SZ} to " in report.gates[0].why
    assert timedelta(hours=3, minutes=40) < report.as_of - begin < timedelta(hours=4, minutes=10)
    assert report.eligible_at is not None
    assert timedelta(hours=19) < report.eligible_at - report.as_of < timedelta(hours=21)


def test_a_day_is_288_cells_for_each_objective_and_every_query_is_told(judgements: Judgements) -> None:
    judgement = judgements["restarted_within_seconds"][0]
    for tape in judgement.report.tapes:
        assert len(tape.cells) == len(tape.values) == 288
        assert set(tape.cells) == {"o", "r"}
        assert tape.longest_clean < 288
    assert len(judgement.report.queries) == len(judgement.responses)
    assert (
        'histogram_quantile(0.99, sum(rate(grinder_ml_inference_latency_ms_bucket{mode="shadow",'
        'model="restarted_within_seconds"}[24h])) by (le))' in judgement.report.queries
    )


def test_an_engine_that_is_seen_twice_is_one(judgements: Judgements) -> None:
    report = judgements["a_pair_of_prometheus_sees_enough"][0].report
    assert len(report.engines) == 1
    assert report.readings[0].samples == pytest.approx(86_400, rel=0.01)
    assert judgements["two_clusters_with_the_same_instance"][0].report.engines == (
        "engine:8000, cluster=east",
        "engine:8000, cluster=west",
    )


def test_what_ties_the_numbers_to_the_artifact_is_told(judgements: Judgements) -> None:
    told = {name: judgements[name][0].report.attribution for name in ("quiet_day", "served_all_day")}
    assert told == {"quiet_day": "mode", "served_all_day": "artifact"}
    assert judgements["one_of_two_does_not_say_what_it_serves"][0].report.attribution == "mixed"


def test_scrapes_and_restarts_are_told(judgements: Judgements) -> None:
    report = judgements["restarted_six_times"][0].report
    assert (report.scrape_s, report.restarts) == (60.0, 6)
    assert judgements["unseen_two_of_five_minutes"][0].report.coverage == pytest.approx(0.6, abs=0.02)
