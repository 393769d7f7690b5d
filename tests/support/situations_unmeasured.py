"""Situations of engines beside a healthy one, without buckets, latencies, successes, or any inference."""

from __future__ import annotations

from support.engine_past import MINUTE, EnginePast, steady
from support.prometheus import Line
from support.situations import Moment, Situation, everywhere, objectives
from support.situations_artifact import OLD, SLOW, ours, swapped
from support.situations_engines import up

from ml.verdict import Verdict

FAIL, NO_DATA, VACUOUS = Verdict.FAIL, Verdict.NO_DATA, Verdict.VACUOUS

BUCKETS = frozenset({"grinder_ml_inference_latency_ms_bucket"})
LATENCIES = BUCKETS | {"grinder_ml_inference_latency_ms_count"}
FAILING_ONLY = LATENCIES | {"grinder_ml_inference_total"}
NOTHING = FAILING_ONLY | {"grinder_ml_inference_errors_total", "grinder_ml_block_total"}
"""What a client library exports before the first inference: no series of any labelled counter or histogram."""

IDLE = steady({25.0: 0.0})


def a_and_b(at: Moment, *, artifact: bool = True, **of_b: object) -> list[EnginePast]:
    """A healthy engine, and one that differs; both say what they serve unless told otherwise."""
    served = {"artifact": ours(at)} if artifact else {}
    a = at.engine(instance="engine-a:8000", **served)
    return [a, at.engine(**{"instance": "engine-b:8000", **served, **of_b})]


def sixty(_: float) -> float:
    return 60.0


def active_on(at: Moment, instance: str) -> Line:
    """An engine's own word that it decides trades."""
    labels = {"job": "engine", "instance": instance, "model": at.model}
    return Line("grinder_ml_active_on", labels, [(at.ago(3) + index * MINUTE, 1.0) for index in range(190)])


TABLE = (
    Situation(
        name="one_of_two_exports_no_buckets",
        verdicts={"soak": NO_DATA, "p99": NO_DATA, "p999": NO_DATA},
        says="no bucket of grinder_ml_inference_latency_ms is scraped of engine-b:8000",
        past=lambda at: a_and_b(at, omit=BUCKETS),
    ),
    Situation(
        name="one_of_two_exports_no_buckets_by_mode_only",
        verdicts={"soak": NO_DATA, "p99": NO_DATA, "p999": NO_DATA},
        says="no bucket of grinder_ml_inference_latency_ms is scraped of engine-b:8000",
        past=lambda at: a_and_b(at, artifact=False, omit=BUCKETS),
    ),
    Situation(
        name="one_of_two_exports_no_latencies",
        verdicts={"soak": VACUOUS, "p99": VACUOUS, "p999": VACUOUS},
        says="engine-b:8000 counts inferences but exports no grinder_ml_inference_latency_ms",
        past=lambda at: a_and_b(at, omit=LATENCIES),
    ),
    Situation(
        name="one_of_two_exports_no_latencies_by_mode_only",
        verdicts={"soak": VACUOUS, "p99": VACUOUS, "p999": VACUOUS},
        says="engine-b:8000 counts inferences but exports no grinder_ml_inference_latency_ms",
        past=lambda at: a_and_b(at, artifact=False, omit=LATENCIES),
    ),
    Situation(
        name="one_of_two_only_fails",
        verdicts={"soak": FAIL, "error_rate": FAIL, "p99": VACUOUS, "p999": VACUOUS},
        says="100 % over 24h is not below 5 % (worst of 2 engines: engine-b:8000)",
        past=lambda at: a_and_b(at, omit=FAILING_ONLY, errors=sixty),
    ),
    Situation(
        name="one_of_two_only_fails_by_mode_only",
        verdicts={"soak": FAIL, "error_rate": FAIL, "p99": VACUOUS, "p999": VACUOUS},
        says="100 % over 24h is not below 5 % (worst of 2 engines: engine-b:8000)",
        past=lambda at: a_and_b(at, artifact=False, omit=FAILING_ONLY, errors=sixty),
    ),
    Situation(
        name="one_of_two_only_failed_and_is_gone",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="windows, worst 100 % from",
        past=lambda at: a_and_b(at, omit=FAILING_ONLY, errors=sixty, end=at.ago(1)),
    ),
    Situation(
        name="the_one_that_only_fails_does_not_say_what_it_serves",
        verdicts=everywhere(VACUOUS),
        says="engine-b:8000 counts inferences in this stage, and shows neither latencies nor the artifact",
        past=lambda at: a_and_b(at, artifacts=lambda _: "", omit=FAILING_ONLY, errors=sixty),
    ),
    Situation(
        name="the_one_that_only_fails_counts_without_a_mode",
        verdicts=everywhere(VACUOUS),
        says="engine-b:8000 counts inferences without the label mode",
        past=lambda at: [
            at.engine(instance="engine-a:8000", counter_mode=""),
            at.engine(instance="engine-b:8000", counter_mode="", omit=FAILING_ONLY, errors=sixty),
        ],
    ),
    Situation(
        name="one_of_two_has_no_mode_at_all",
        verdicts=everywhere(VACUOUS),
        says="engine-b:8000 counts inferences without the label mode",
        past=lambda at: [
            at.engine(instance="engine-a:8000"),
            at.engine(instance="engine-b:8000", mode="", counter_mode="", latencies=SLOW),
        ],
    ),
    Situation(
        name="the_active_only_fails_and_counts_without_a_mode",
        verdicts={},
        says="288 of the last 288 windows hold data",
        past=lambda at: [
            at.engine(instance="shadow:8000", counter_mode=""),
            at.engine(instance="active:8000", mode="active", counter_mode="", omit=FAILING_ONLY, errors=sixty),
            active_on(at, "active:8000"),
        ],
    ),
    Situation(
        name="one_of_two_serves_and_never_inferred",
        verdicts=everywhere(NO_DATA),
        says="engine-b:8000 serves the artifact, but no inference of it is counted",
        past=lambda at: a_and_b(at, omit=NOTHING),
    ),
    Situation(
        name="one_of_two_counts_nothing_by_mode_only",
        verdicts={"soak": VACUOUS, "p99": VACUOUS, "p999": VACUOUS, "error_rate": VACUOUS},
        says="engine-b:8000",
        past=lambda at: a_and_b(at, artifact=False, omit=LATENCIES, latencies=IDLE),
    ),
    Situation(
        name="one_of_two_is_a_standby_that_exports_zeros",
        verdicts={"soak": NO_DATA} | objectives(VACUOUS),
        says="The counters of engine-b:8000 are scraped but have stood still for 1h",
        past=lambda at: a_and_b(at, latencies=IDLE),
    ),
    Situation(
        name="one_was_swapped_and_one_never_inferred",
        verdicts=everywhere(NO_DATA),
        says="engine-b:8000 serves the artifact, but no inference of it is counted",
        past=lambda at: [
            at.engine(instance="engine-a:8000", **swapped(at, at.now - 24.5 * 3600)),
            at.engine(instance="engine-b:8000", artifact=ours(at), omit=NOTHING),
            at.engine(instance="engine-c:8000", artifact=OLD, latencies=SLOW),
        ],
    ),
    Situation(
        name="one_of_two_serves_the_old_one_and_never_inferred",
        verdicts={},
        says="288 of the last 288 windows hold data",
        past=lambda at: a_and_b(at, artifacts=lambda _: OLD, omit=NOTHING),
    ),
    Situation(
        # Only the question who serves meets the storage that does not answer.
        name="the_roster_is_partial",
        verdicts=everywhere(NO_DATA, alerts=NO_DATA),
        says="soak: NO_DATA Prometheus warns that the answer may be partial",
        past=a_and_b,
        selector='model="the_roster_is_partial"',
        on_victoria={},
        victoria_says="288 of the last 288 windows hold data",
    ),
    Situation(
        name="one_of_two_never_inferred_and_does_not_answer",
        verdicts=objectives(NO_DATA),
        says="engine-off:8000 does not answer scrapes",
        past=lambda at: [
            *a_and_b(at, instance="engine-off:8000", omit=NOTHING, end=at.ago(1)),
            up(at, "engine-off:8000", 0.0),
        ],
    ),
)
