"""Every situation that a soak can be in, on one real Prometheus: the verdict beside it, its evidence checked offline.

The table is the specification: a gate that a row does not name must be PASS in it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from support.engine_past import HOUR, LATENCY, MINUTE, calm, during, steady
from support.prometheus import Line, running
from support.situations import DAY, Moment, Situation
from support.soaked import target_of

from ml.adapters.prometheus import Prometheus
from ml.policy import parse_policy
from ml.promotion.evidence import build, verify
from ml.slo.soak import Killed, SoakJudgement, judge_soak
from ml.verdict import Verdict, worst

pytestmark = pytest.mark.xdist_group("situations")

PASS, FAIL, WAIT = Verdict.PASS, Verdict.FAIL, Verdict.WAIT
NO_DATA, STALE, VACUOUS, ERROR = Verdict.NO_DATA, Verdict.STALE, Verdict.VACUOUS, Verdict.ERROR

RULES = """
groups:
- name: named by the default policy
  rules:
  - {alert: MlInferenceLatencyHigh, expr: vector(0) > 0}
  - {alert: MlInferenceLatencyCritical, expr: vector(0) > 0}
  - {alert: MlInferenceErrorRateHigh, expr: vector(0) > 0}
  - {alert: FiresNow, expr: vector(1) > 0}
  - {alert: PendsNow, expr: vector(1) > 0, for: 1h}
  - {alert: FiredBefore, expr: vector(0) > 0}
  - {alert: Unevaluable, expr: 'label_replace(vector(1), "a", "", "", "(") > 0'}
"""
# A second storage that never answers makes Prometheus answer with a warning: partial data.
CONFIG = """
remote_read:
- {url: "http://127.0.0.1:1/read", required_matchers: {remote: "dead"}, remote_timeout: 1s, read_recent: true}
"""

IDLE = steady({25.0: 0.0})
SLOW, CRAWLING = steady({25.0: 30.0, 250.0: 30.0}), steady({float("inf"): 60.0})


def everywhere(verdict: Verdict, *, alerts: Verdict = PASS) -> dict[str, Verdict]:
    """The same verdict for the soak and each objective."""
    return {"soak": verdict, "p99": verdict, "p999": verdict, "error_rate": verdict, "alerts": alerts}


def objective(text: str) -> str:
    """A policy with one more objective, named ``own``."""
    return f'[[objective]]\nname = "own"\n{text}\n'


def share_above(le: str, otherwise: str = "") -> str:
    """An objective in free PromQL: the share of inferences above a bucket, as a dashboard writes it."""
    below, all_of_them = f'{LATENCY}_bucket{{$matchers,le="{le}"}}', f"{LATENCY}_count{{$matchers}}"
    query = f"1 - sum(rate({below}[$window])) / sum(rate({all_of_them}[$window])) {otherwise}"
    return f"kind = 'promql'\nlimit = 0.05\nquery = '{query}'"


def quiet(*names: str) -> str:
    """A policy with these alert rules."""
    return f"[alerts]\nquiet = [{', '.join(f'{name!r}' for name in names)}]\n"


def fired(at: Moment) -> Line:
    """What Prometheus itself wrote while an alert was firing, ten minutes long, five hours ago."""
    labels = {"alertname": "FiredBefore", "alertstate": "firing"}
    return Line("ALERTS", labels, [(at.ago(5) + i * MINUTE, 1.0) for i in range(10)])


def burst(at: Moment, hours_ago: float = 4, minutes: float = 10) -> tuple[float, float]:
    """A stretch of time inside the day."""
    return at.ago(hours_ago), at.ago(hours_ago) + minutes * MINUTE


TABLE = (
    # --- good and borderline -------------------------------------------------------------------------------
    Situation(
        name="quiet_day",
        verdicts={},
        says="288 of the last 288 windows hold data, 0 breached",
        past=lambda at: [at.engine()],
    ),
    Situation(
        name="just_below_the_limit",
        verdicts={},
        says="99.5 ms over 24h and 99.5 ms over 5m, below 100 ms",
        past=lambda at: [at.engine(latencies=steady({100.0: 60.0}))],
    ),
    Situation(
        name="exactly_at_the_limit",
        verdicts={"soak": FAIL, "own": FAIL},
        says="100 ms over 24h is exactly at the limit of 100 ms",
        past=lambda at: [at.engine(latencies=steady({100.0: 32.0, 250.0: 32.0}))],
        policy='[[objective]]\nname = "p99"\nlimit = 300\n'
        + objective(
            'kind = "quantile"\nmetric = "grinder_ml_inference_latency_ms"\nquantile = 0.5\nlimit = 100\nunit = "ms"'
        )
        + '[[objective]]\nname = "p999"\nlimit = 300\n',
    ),
    Situation(
        name="error_rate_exactly_at_the_limit",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="50 % over 24h is exactly at the limit of 50 %",
        past=lambda at: [at.engine(errors=lambda _: 60.0)],
        policy='[[objective]]\nname = "error_rate"\nlimit = 0.5\n',
    ),
    Situation(
        name="a_minute_short",
        verdicts={"soak": WAIT, "p99": WAIT, "p999": WAIT, "error_rate": WAIT},
        says="23h5",
        like="quiet_day",
        landed_ago_s=DAY - MINUTE,
    ),
    Situation(
        name="eighteen_hours",
        verdicts={"soak": WAIT, "p99": WAIT, "p999": WAIT, "error_rate": WAIT},
        says="24h are over at",
        like="quiet_day",
        landed_ago_s=18 * HOUR,
    ),
    Situation(
        name="an_older_artifact_was_slow",
        verdicts={"soak": WAIT, "p99": WAIT, "p999": WAIT, "error_rate": WAIT},
        says="24.85 ms in the first 5h",
        past=lambda at: [at.engine(latencies=during(at.begin, at.ago(6), CRAWLING, calm))],
        landed_ago_s=5 * HOUR + 2 * MINUTE,
    ),
    # --- breaches ------------------------------------------------------------------------------------------
    Situation(
        name="slow_all_day",
        verdicts={"soak": FAIL, "p99": FAIL},
        says="247 ms over 24h is not below 100 ms",
        past=lambda at: [at.engine(latencies=SLOW)],
    ),
    Situation(
        name="ten_minute_burst",
        verdicts={"soak": FAIL, "p99": FAIL},
        says="of 288 windows, worst 2",
        past=lambda at: [at.engine(latencies=during(*burst(at), steady({250.0: 6.0, 25.0: 54.0}), calm))],
    ),
    Situation(
        name="slow_only_now",
        verdicts={"soak": FAIL, "p99": FAIL},
        says="over 5m is not below 100 ms",
        past=lambda at: [at.engine(latencies=during(at.now - 6 * MINUTE, at.end, SLOW, calm))],
    ),
    Situation(
        name="slow_tail",
        verdicts={"soak": FAIL, "p999": FAIL},
        says="≥500 ms (clamped) over 24h is not below 250 ms",
        past=lambda at: [at.engine(latencies=steady({25.0: 199.0, float("inf"): 1.0}))],
    ),
    Situation(
        name="clamped_at_the_top_bucket",
        verdicts={"soak": FAIL, "p99": FAIL, "p999": FAIL},
        says="≥500 ms (clamped) over 24h is exactly at the limit of 500 ms",
        past=lambda at: [at.engine(latencies=CRAWLING)],
        policy='[[objective]]\nname = "p99"\nlimit = 500\n',
    ),
    Situation(
        name="six_percent_errors",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="6 % over 24h is not below 5 %",
        past=lambda at: [at.engine(latencies=steady({25.0: 94.0}), errors=lambda _: 6.0)],
    ),
    Situation(
        name="nothing_but_errors_since_noon",
        verdicts={"soak": FAIL, "error_rate": FAIL, "p99": VACUOUS, "p999": VACUOUS},
        says="windows, worst 100 % from",
        past=lambda at: [
            at.engine(
                latencies=during(at.begin, at.ago(2), calm, IDLE),
                errors=during(at.begin, at.ago(2), lambda _: 0.0, lambda _: 60.0),
            )
        ],
    ),
    Situation(
        name="burst_of_errors",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="error_rate breached in",
        past=lambda at: [at.engine(errors=during(*burst(at), lambda _: 30.0, lambda _: 0.0))],
    ),
    # --- restarts and kills --------------------------------------------------------------------------------
    Situation(
        name="restarted_within_seconds",
        verdicts={},
        says="288 of the last 288 windows hold data",
        past=lambda at: [at.engine(resets=(at.ago(5),))],
    ),
    Situation(
        name="restarted_after_half_an_hour",
        verdicts={"soak": NO_DATA, "p99": NO_DATA, "p999": NO_DATA, "error_rate": NO_DATA},
        says="of the windows hold data; 99 % are needed",
        past=lambda at: [at.engine(resets=(at.ago(4.5),), gaps=((at.ago(5), at.ago(4.5)),))],
    ),
    Situation(
        name="moved_to_another_instance",
        verdicts={},
        says="below 100 ms (worst of 2 series",
        past=lambda at: [
            at.engine(end=at.ago(5), instance="engine-a:8000"),
            at.engine(begin=at.ago(5), instance="engine-b:8000"),
        ],
    ),
    Situation(
        name="killed_for_a_quarter_of_an_hour",
        verdicts={"soak": NO_DATA},
        says="of the windows hold data; 99 % are needed",
        past=lambda at: [
            at.engine(
                latencies=during(*burst(at, 5, 15), IDLE, calm),
                blocks=during(*burst(at, 5, 15), lambda _: 60.0, lambda _: 0.0),
            )
        ],
    ),
    Situation(
        name="killed_for_a_minute",
        verdicts={},
        says="of the last 288 windows hold data, 0 breached",
        like="quiet_day",
        kills=lambda now: (Killed(now - timedelta(hours=5, minutes=1), now - timedelta(hours=5)),),
    ),
    Situation(
        name="breached_then_killed",
        verdicts={"soak": FAIL, "p99": FAIL},
        says="p99 breached in",
        past=lambda at: [at.engine(latencies=during(*burst(at, 5, 4), SLOW, calm))],
        kills=lambda now: (Killed(now - timedelta(hours=5), now - timedelta(hours=4, minutes=50)),),
    ),
    # --- no data, not enough, not fresh --------------------------------------------------------------------
    Situation(
        name="no_series",
        verdicts=everywhere(NO_DATA),
        says="No shadow inference was seen",
    ),
    Situation(
        name="never_inferred",
        verdicts=everywhere(NO_DATA),
        says="No shadow inference was seen",
        past=lambda at: [at.engine(latencies=IDLE)],
    ),
    Situation(
        name="paused_ten_minutes_ago",
        verdicts={"p99": NO_DATA, "p999": NO_DATA, "error_rate": NO_DATA},
        says="Nothing was inferred in the last 5m",
        past=lambda at: [at.engine(latencies=during(at.now - 9 * MINUTE, at.end, IDLE, calm))],
    ),
    Situation(
        name="too_few_samples",
        verdicts=everywhere(NO_DATA),
        says="1000 are needed",
        past=lambda at: [at.engine(latencies=steady({25.0: 0.5}))],
        policy="[soak]\nmin_samples = 1000\n",
    ),
    Situation(
        name="three_errors_and_no_success",
        verdicts=everywhere(NO_DATA),
        says="No shadow inference was seen",
        past=lambda at: [
            at.engine(latencies=IDLE, errors=during(at.ago(3), at.ago(3) + 180, lambda _: 1.0, lambda _: 0.0))
        ],
    ),
    Situation(
        name="ten_minutes_of_data",
        verdicts={"soak": WAIT, "p99": WAIT, "p999": WAIT, "error_rate": WAIT},
        says="m of 24h soaked",
        past=lambda at: [at.engine(begin=at.now - 10 * MINUTE)],
    ),
    Situation(
        name="hole_of_an_hour",
        verdicts={"soak": NO_DATA, "p99": NO_DATA, "p999": NO_DATA, "error_rate": NO_DATA},
        says="of the 24h hold data",
        past=lambda at: [at.engine(gaps=((at.ago(9), at.ago(8)),))],
    ),
    Situation(
        name="silent_for_a_hundred_seconds",
        verdicts={"p99": STALE, "p999": STALE, "error_rate": STALE},
        says="old; after 1m00s it is not believed",
        past=lambda at: [at.engine(end=at.now - 100)],
    ),
    Situation(
        name="gone_for_an_hour",
        verdicts={"soak": NO_DATA, "p99": NO_DATA, "p999": NO_DATA, "error_rate": NO_DATA},
        says="No sample says that the engine is measured now",
        past=lambda at: [at.engine(end=at.ago(1))],
    ),
    Situation(
        name="infinite",
        verdicts={"soak": NO_DATA, "own": NO_DATA},
        says="The value is infinite",
        like="quiet_day",
        policy=objective('kind = "promql"\nquery = "vector(1) / 0"\nlimit = 5'),
    ),
    # --- several series ------------------------------------------------------------------------------------
    Situation(
        name="one_of_two_is_slow",
        verdicts={"soak": FAIL, "p99": FAIL},
        says="(worst of 2 series: instance=engine-b:8000",
        past=lambda at: [
            at.engine(instance="engine-a:8000", latencies=steady({25.0: 6000.0})),
            at.engine(instance="engine-b:8000", latencies=SLOW),
        ],
    ),
    Situation(
        name="one_of_two_fails",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="50 % over 24h is not below 5 % (worst of 2 series: instance=engine-b:8000",
        past=lambda at: [
            at.engine(instance="engine-a:8000", latencies=steady({25.0: 6000.0})),
            at.engine(instance="engine-b:8000", errors=lambda _: 60.0),
        ],
    ),
    # --- vacuous -------------------------------------------------------------------------------------------
    Situation(
        name="total_never_moves",
        verdicts={"error_rate": VACUOUS, "soak": NO_DATA},
        says="grinder_ml_inference_total never moves",
        past=lambda at: [at.engine(successes=lambda _: 0.0)],
    ),
    Situation(
        name="only_the_active_total_moves",
        verdicts={"error_rate": VACUOUS},
        says="Latencies arrive but grinder_ml_inference_total never moves (instance=shadow:8000",
        past=lambda at: [
            at.engine(instance="shadow:8000", counter_mode="", successes=lambda _: 0.0),
            at.engine(instance="active:8000", mode="active", counter_mode=""),
        ],
    ),
    Situation(
        name="counters_without_a_mode",
        verdicts={},
        says="the runbook's form reads",
        past=lambda at: [at.engine(counter_mode="")],
    ),
    Situation(
        name="no_error_counter",
        verdicts={"error_rate": VACUOUS, "soak": NO_DATA},
        says="an error could not have been counted",
        past=lambda at: [at.engine(omit=frozenset({"grinder_ml_inference_errors_total"}))],
    ),
    Situation(
        name="top_bucket_below_the_limit",
        verdicts={"p99": VACUOUS, "p999": VACUOUS},
        says="no value could ever reach the limit of 100 ms",
        past=lambda at: [at.engine(bounds=(10.0, 25.0, 50.0), latencies=calm)],
    ),
    Situation(
        name="frozen_for_three_hours",
        verdicts={"soak": NO_DATA, "p99": VACUOUS, "p999": VACUOUS, "error_rate": VACUOUS},
        says="have stood still for 1h",
        past=lambda at: [at.engine(latencies=during(at.ago(3), at.end, IDLE, calm))],
    ),
    Situation(
        name="gauge_that_no_longer_changes",
        verdicts={"soak": NO_DATA, "p99": VACUOUS, "p999": VACUOUS, "error_rate": VACUOUS, "own": VACUOUS},
        says="own: VACUOUS The counters are scraped but have stood still for 1h: the value cannot change",
        past=lambda at: [
            at.engine(latencies=during(at.ago(3), at.end, IDLE, calm)),
            Line("queue_depth", {"model": at.model}, [(at.begin + i * MINUTE, 2.0) for i in range(26 * 60)]),
        ],
        policy=objective("kind = 'promql'\nquery = 'max(queue_depth{$selector})'\nlimit = 5"),
    ),
    Situation(
        name="le_as_the_dashboards_write_it",
        verdicts={"own": VACUOUS},
        says='selects le="100", but the exporter writes le="100.0"',
        like="quiet_day",
        policy=objective(share_above("100", "or vector(0)")),
    ),
    Situation(
        name="le_as_the_exporter_writes_it",
        verdicts={},
        says="0 over 24h and 0 over 5m, below 0.05",
        like="quiet_day",
        policy=objective(share_above("100.0")),
    ),
    Situation(
        # PromQL cannot add up two spellings within one window, so here the engine is away for longer than that.
        name="le_changed_its_spelling",
        verdicts={},
        says="of the last 288 windows hold data, 0 breached",
        past=lambda at: [
            at.engine(end=at.ago(5), le=lambda bound: f"{bound:g}"),
            at.engine(begin=at.ago(5) + 6 * MINUTE),
        ],
    ),
    # --- alerts --------------------------------------------------------------------------------------------
    Situation(
        name="alert_rule_absent",
        verdicts={"alerts": VACUOUS},
        says="The rule Misnamed is not loaded in Prometheus",
        like="quiet_day",
        policy=quiet("MlInferenceLatencyHigh", "Misnamed"),
    ),
    Situation(
        name="no_alert_named",
        verdicts={"alerts": VACUOUS},
        says="The policy names no alert rule",
        like="quiet_day",
        policy=quiet(),
    ),
    Situation(
        name="alert_firing",
        verdicts={"alerts": FAIL},
        says="FiresNow is firing",
        like="quiet_day",
        policy=quiet("MlInferenceLatencyHigh", "FiresNow"),
    ),
    Situation(
        name="alert_pending",
        verdicts={"alerts": WAIT},
        says="PendsNow is pending",
        like="quiet_day",
        policy=quiet("PendsNow"),
    ),
    Situation(
        name="alert_fired_during_the_soak",
        verdicts={"alerts": FAIL},
        says="FiredBefore fired during the soak, first by",
        like="quiet_day",
        past=lambda at: [fired(at)],
        policy=quiet("FiredBefore"),
    ),
    Situation(
        name="alert_fired_before_the_soak",
        verdicts={"soak": WAIT, "p99": WAIT, "p999": WAIT, "error_rate": WAIT},
        says="All named alert rules are loaded and quiet",
        like="quiet_day",
        policy=quiet("FiredBefore"),
        landed_ago_s=4 * HOUR,
    ),
    Situation(
        name="alert_rule_cannot_be_evaluated",
        verdicts={"alerts": ERROR},
        says="The rule Unevaluable cannot be evaluated",
        like="quiet_day",
        policy=quiet("Unevaluable"),
    ),
    # --- the artifact --------------------------------------------------------------------------------------
    Situation(
        name="another_artifact_serves",
        verdicts=everywhere(NO_DATA),
        says="No shadow inference was seen",
        past=lambda at: [at.engine(artifact="somebody_else_v2026_02_15_001")],
    ),
    Situation(
        name="served_only_lately",
        verdicts={"soak": WAIT, "p99": WAIT, "p999": WAIT, "error_rate": WAIT},
        says="of 24h soaked; eligible at",
        past=lambda at: [
            at.engine(end=at.ago(3), artifact="somebody_else_v2026_02_15_001"),
            at.engine(begin=at.ago(3), artifact=f"{at.model}_v2026_02_16_001"),
        ],
    ),
    Situation(
        name="served_all_day",
        verdicts={},
        says="288 of the last 288 windows hold data",
        past=lambda at: [at.engine(artifact=f"{at.model}_v2026_02_16_001")],
    ),
    # --- clocks and sick sources ---------------------------------------------------------------------------
    Situation(
        name="landed_in_the_future",
        verdicts=everywhere(NO_DATA),
        says="in the future: a clock is wrong",
        like="quiet_day",
        landed_ago_s=-HOUR,
    ),
    Situation(
        name="our_clock_is_ahead",
        verdicts=everywhere(NO_DATA, alerts=NO_DATA),
        says="Prometheus's clock is",
        like="quiet_day",
        skew_s=300,
    ),
    Situation(
        name="our_clock_is_behind",
        verdicts=everywhere(NO_DATA, alerts=NO_DATA),
        says="ahead of ours, so no age can be trusted",
        like="quiet_day",
        skew_s=-90,
    ),
    Situation(
        name="prometheus_warns",
        verdicts=everywhere(NO_DATA, alerts=NO_DATA),
        says="Prometheus warns",
        past=lambda at: [at.engine(labels={"remote": "dead"})],
        selector='model="prometheus_warns",remote="dead"',
    ),
    Situation(
        name="query_is_broken",
        verdicts={"soak": ERROR, "own": ERROR},
        says="Prometheus refused the query",
        like="quiet_day",
        policy=objective('kind = "promql"\nquery = "sum("\nlimit = 5'),
    ),
    Situation(
        name="query_gives_text",
        verdicts={"soak": ERROR, "own": ERROR},
        says="expected type instant vector in",
        like="quiet_day",
        policy=objective('kind = "promql"\nquery = "up[5m]"\nlimit = 5'),
    ),
    Situation(
        name="unreachable",
        verdicts=everywhere(ERROR, alerts=ERROR),
        says="cannot be reached: Connection refused",
        like="quiet_day",
        down=True,
    ),
)


Judgements = dict[str, tuple[SoakJudgement, datetime]]


@pytest.fixture(scope="module")
def judgements(tmp_path_factory: pytest.TempPathFactory) -> Judgements:
    """Every situation, judged at once: the samples are as fresh as the table says only for a while."""
    now = time.time()
    history = (line for each in TABLE for line in each.lines(now))
    with running(tmp_path_factory.mktemp("situations"), history=history, rules=RULES, config=CONFIG) as prometheus:
        prometheus.rules_evaluated()
        return {each.name: judged(each, prometheus.url) for each in TABLE}


def judged(each: Situation, url: str) -> tuple[SoakJudgement, datetime]:
    """The situation as it is judged now."""

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=each.skew_s)

    now, policy = clock(), parse_policy(each.policy_toml())
    prometheus = Prometheus("http://127.0.0.1:1" if each.down else url, now=clock)
    return judge_soak(prometheus, policy, each.subject(now), now, each.kills(now)), now


@pytest.mark.parametrize("each", TABLE, ids=lambda each: each.name)
def test_each_situation_has_its_verdict_and_its_evidence_holds(each: Situation, judgements: Judgements) -> None:
    judgement, now = judgements[each.name]
    report = judgement.report

    found = {gate.name: gate.verdict for gate in report.gates}
    sentences = "\n".join(f"{gate.name}: {gate.verdict} {gate.why}" for gate in report.gates)
    assert found == dict.fromkeys(found, PASS) | dict(each.verdicts), sentences
    assert report.verdict is worst(found.values())
    assert each.says in sentences

    policy, subject = parse_policy(each.policy_toml()), judgement.subject
    target = target_of(subject, now)
    evidence = build(target=target, policy=policy, gates=report.gates, now=now, tool_version="1.0", soak=judgement)
    checks = verify(evidence.document)
    assert [check for check in checks if check.verdict is not PASS] == []
    assert {f"gate {name}" for name in found} <= {check.name for check in checks}


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 30
    assert len({each.name for each in TABLE}) == len(TABLE)


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
