"""Situations of one engine: good and borderline days, breaches, restarts, kills, gaps, alerts, clocks, sick sources."""

from __future__ import annotations

from datetime import timedelta

from support.engine_past import HOUR, LATENCY, MINUTE, calm, during, steady
from support.prometheus import Line
from support.situations import DAY, Moment, Situation, everywhere, objective, quiet

from ml.slo.soak import Killed
from ml.verdict import Verdict

PASS, FAIL, WAIT = Verdict.PASS, Verdict.FAIL, Verdict.WAIT
NO_DATA, STALE, VACUOUS, ERROR = Verdict.NO_DATA, Verdict.STALE, Verdict.VACUOUS, Verdict.ERROR

# They read counters of every model and can fire, but for a rate that no machine reaches.
_RULES = """
groups:
- name: named by the default policy
  rules:
  - {alert: MlInferenceLatencyHigh, expr: 'sum by (model, mode) (rate(grinder_ml_inference_total[5m])) > 1e9'}
  - {alert: MlInferenceLatencyCritical, expr: 'sum by (model, mode) (rate(grinder_ml_inference_total[5m])) > 1e9'}
  - {alert: MlInferenceErrorRateHigh, expr: 'sum by (model, mode) (rate(grinder_ml_inference_errors_total[5m])) > 1e9'}
  - {alert: FiresNow, expr: 'sum by (model, mode) (grinder_ml_inference_total) > 0'}
  - {alert: PendsNow, expr: 'sum by (model, mode) (grinder_ml_inference_total) > 0', for: 1h}
  - {alert: FiredBefore, expr: 'sum by (model, mode) (rate(grinder_ml_inference_total[5m])) > 1e9'}
  - {alert: Unevaluable, expr: 'label_replace(grinder_ml_inference_total, "a", "", "", "(") > 0'}
  - {alert: FiredForOne, expr: 'sum by (model, mode) (rate(grinder_ml_inference_total[5m])) > 1e9'}
  - {alert: FiredForUs, expr: 'sum by (model, mode) (rate(grinder_ml_inference_total[5m])) > 1e9'}
  - {alert: FiredForActive, expr: 'sum by (model, mode) (rate(grinder_ml_inference_total[5m])) > 1e9'}
  - {alert: SlowNow, expr: '{P99} > 100'}
  - {alert: FailsNow, expr: 'sum by (model) (rate(grinder_ml_inference_errors_total[5m])) > 0.1'}
  - {alert: Constant, expr: 'vector(0) > 0'}
  - {alert: Nobodys, expr: 'nobody_exports_this_metric > 0'}
  - {alert: AboveTheTopBucket, expr: '{P99} > 600'}
"""
P99 = "histogram_quantile(0.99, sum by (le, model, mode) (rate(grinder_ml_inference_latency_ms_bucket[5m])))"
RULES = _RULES.replace("{P99}", P99)
# A second storage that never answers makes Prometheus answer with a warning: partial data.
CONFIG = """
remote_read:
- {url: "http://127.0.0.1:1/read", required_matchers: {remote: "dead"}, remote_timeout: 1s, read_recent: true}
- url: "http://127.0.0.1:1/read"
  required_matchers: {__name__: "grinder_ml_active_on", model: "the_roster_is_partial"}
  remote_timeout: 1s
  read_recent: true
"""

IDLE = steady({25.0: 0.0})
SLOW, CRAWLING = steady({25.0: 30.0, 250.0: 30.0}), steady({float("inf"): 60.0})


def share_above(le: str, otherwise: str = "") -> str:
    """An objective in free PromQL: the share of inferences above a bucket, as a dashboard writes it."""
    below, all_of_them = f'{LATENCY}_bucket{{$matchers,le="{le}"}}', f"{LATENCY}_count{{$matchers}}"
    query = f"1 - sum(rate({below}[$window])) / sum(rate({all_of_them}[$window])) {otherwise}"
    return f"kind = 'promql'\nlimit = 0.05\nquery = '{query}'"


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
        says="below 100 ms (worst of 2 engines",
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
        verdicts=everywhere(NO_DATA, alerts=VACUOUS),
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
        soon=True,
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
        says="(worst of 2 engines: engine-b:8000",
        past=lambda at: [
            at.engine(instance="engine-a:8000", latencies=steady({25.0: 6000.0})),
            at.engine(instance="engine-b:8000", latencies=SLOW),
        ],
    ),
    Situation(
        name="one_of_two_fails",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="50 % over 24h is not below 5 % (worst of 2 engines: engine-b:8000",
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
        verdicts={"error_rate": VACUOUS, "soak": NO_DATA},
        says="Latencies arrive but grinder_ml_inference_total never moves (shadow:8000",
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
        verdicts={"error_rate": VACUOUS, "alerts": VACUOUS},
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
        on_victoria={},
        victoria_says="288 of the last 288 windows hold data",
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
        on_victoria={"soak": NO_DATA, "own": NO_DATA},
        victoria_says="The query finds no series at all",
        policy=objective('kind = "promql"\nquery = "nobody_exports_this[5m]"\nlimit = 5'),
    ),
    Situation(
        name="unreachable",
        verdicts=everywhere(ERROR, alerts=ERROR),
        says="cannot be reached: Connection refused",
        like="quiet_day",
        down=True,
    ),
)
