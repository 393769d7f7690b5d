"""Situations of several engines: one hides behind another, is seen twice, comes, goes, restarts, does not answer."""

from __future__ import annotations

from support.engine_past import HOUR, MINUTE, EnginePast, calm, during, steady
from support.prometheus import Line
from support.situations import Moment, Situation, everywhere, objectives

from ml.verdict import Verdict

FAIL, NO_DATA, VACUOUS = Verdict.FAIL, Verdict.NO_DATA, Verdict.VACUOUS

BUSY = steady({25.0: 600.0})
IDLE = steady({25.0: 0.0})
SLOW = steady({25.0: 30.0, 250.0: 30.0})
SELDOM = steady({25.0: 0.42})
"""605 inferences a day: too few, and with every one seen twice it would be enough."""


def a_and_b(at: Moment, **of_b: object) -> list[EnginePast]:
    """A busy engine, and one that differs."""
    return [
        at.engine(instance="engine-a:8000", latencies=BUSY),
        at.engine(**{"instance": "engine-b:8000"} | of_b),  # type: ignore[arg-type]
    ]


def rolled(at: Moment, hours: float, **values: object) -> list[EnginePast]:
    """Pods that take each other's place."""
    pods, begin = [], at.begin - HOUR / 2
    while begin < at.end:
        end = min(begin + hours * HOUR, at.end)
        pods.append(at.engine(**{"instance": f"pod-{len(pods)}:8000", "begin": begin, "end": end} | values))  # type: ignore[arg-type]
        begin = end
    return pods


def up(at: Moment, instance: str, value: float) -> Line:
    """Prometheus's own word on whether a target answers."""
    labels = {"job": "engine", "instance": instance, "model": at.model}
    return Line("up", labels, [(at.ago(3) + index * MINUTE, value) for index in range(190)])


def restarts(at: Moment, times: int) -> tuple[float, ...]:
    return tuple(at.ago(2 + 2 * index) for index in range(times))


TABLE = (
    Situation(
        name="one_of_two_hung_for_three_hours",
        verdicts={"soak": NO_DATA} | objectives(VACUOUS),
        says="The counters of engine-b:8000 are scraped but have stood still for 1h",
        past=lambda at: a_and_b(at, latencies=during(at.ago(3), at.end, IDLE, calm)),
    ),
    Situation(
        name="one_of_two_paused_ten_minutes_ago",
        verdicts=objectives(NO_DATA),
        says="Nothing was inferred by engine-b:8000 in the last 5m",
        past=lambda at: a_and_b(at, latencies=during(at.now - 9 * MINUTE, at.end, IDLE, calm)),
    ),
    Situation(
        name="one_of_two_never_moved",
        verdicts={"soak": NO_DATA} | objectives(VACUOUS),
        says="engine-b:8000",
        past=lambda at: a_and_b(at, latencies=IDLE, total=7.0),
    ),
    Situation(
        name="one_of_two_infers_too_seldom",
        verdicts={"soak": NO_DATA} | objectives(NO_DATA),
        says="inferences of engine-b:8000 in 24h; 1000 are needed",
        past=lambda at: a_and_b(at, latencies=SELDOM),
    ),
    Situation(
        name="one_of_two_unseen_for_three_hours",
        verdicts={"soak": NO_DATA},
        says="of the windows hold data; 99 % are needed",
        past=lambda at: a_and_b(at, gaps=((at.ago(9), at.ago(6)),)),
    ),
    Situation(
        name="one_of_two_silent_for_a_hundred_seconds",
        soon=True,
        verdicts=dict.fromkeys(objectives(FAIL), Verdict.STALE),
        says="The newest sample of engine-b:8000 is",
        past=lambda at: a_and_b(at, end=at.now - 100),
    ),
    Situation(
        name="one_of_two_does_not_answer",
        verdicts=objectives(NO_DATA),
        says="engine-down:8000 does not answer scrapes",
        past=lambda at: [
            *a_and_b(at),
            at.engine(instance="engine-down:8000", end=at.ago(1)),
            up(at, "engine-down:8000", 0.0),
        ],
    ),
    Situation(
        name="one_of_two_was_slow_and_is_gone",
        verdicts={"soak": FAIL, "p99": FAIL},
        says="(worst of 2 engines: engine-b:8000)",
        past=lambda at: a_and_b(at, latencies=SLOW, end=at.ago(1)),
    ),
    Situation(
        name="one_of_two_was_good_and_is_gone",
        verdicts={},
        says="288 of the last 288 windows hold data",
        past=lambda at: a_and_b(at, end=at.ago(1)),
    ),
    Situation(
        name="one_of_two_without_an_error_counter",
        verdicts={"error_rate": VACUOUS},
        says="There is no grinder_ml_inference_errors_total of engine-b:8000",
        past=lambda at: a_and_b(at, omit=frozenset({"grinder_ml_inference_errors_total"})),
    ),
    Situation(
        name="one_of_two_ends_its_buckets_early",
        verdicts={"p99": VACUOUS, "p999": VACUOUS},
        says="The top finite bucket of engine-b:8000 is 50 ms",
        past=lambda at: a_and_b(at, bounds=(10.0, 25.0, 50.0)),
    ),
    Situation(
        name="a_pair_of_prometheus_sees_too_few_twice",
        verdicts=everywhere(NO_DATA),
        says="1000 are needed",
        past=lambda at: [at.engine(latencies=SELDOM, labels={"replica": replica}) for replica in "ab"],
    ),
    Situation(
        name="two_jobs_see_too_few_twice",
        verdicts=everywhere(NO_DATA),
        says="1000 are needed",
        past=lambda at: [at.engine(latencies=SELDOM, job=job) for job in ("engine", "pods")],
    ),
    Situation(
        name="a_pair_of_prometheus_sees_enough",
        verdicts={},
        says="288 of the last 288 windows hold data",
        past=lambda at: [at.engine(labels={"prometheus_replica": replica}) for replica in "ab"],
    ),
    Situation(
        name="two_clusters_with_the_same_instance",
        verdicts={"soak": FAIL, "p99": FAIL},
        says="cluster=west",
        past=lambda at: [
            at.engine(latencies=BUSY, labels={"cluster": "east"}),
            at.engine(latencies=SLOW, labels={"cluster": "west"}),
        ],
    ),
    Situation(
        name="rolled_every_four_hours",
        verdicts={},
        says="The engines restarted 6 times",
        past=lambda at: rolled(at, 4),
    ),
    Situation(
        name="rolled_every_hour",
        verdicts={"soak": FAIL},
        says="at most 6 restarts are allowed",
        past=lambda at: rolled(at, 1),
    ),
    Situation(
        name="renamed_and_counted_on",
        verdicts={},
        says="288 of the last 288 windows hold data",
        past=lambda at: [
            at.engine(end=at.ago(10)),
            at.engine(instance="engine.example:8000", begin=at.ago(10), total=60 * 15 * 60.0),
        ],
    ),
    Situation(
        name="restarted_six_times",
        verdicts={},
        says="The engines restarted 6 times",
        past=lambda at: [at.engine(resets=restarts(at, 6))],
    ),
    Situation(
        name="restarted_seven_times",
        verdicts={"soak": FAIL},
        says="The engines restarted 7 times during the soak; at most 6 restarts are allowed",
        past=lambda at: [at.engine(resets=restarts(at, 7))],
    ),
    Situation(
        name="restarted_seven_times_as_the_policy_allows",
        verdicts={},
        says="The engines restarted 7 times",
        like="restarted_seven_times",
        policy="[soak]\nmax_restarts = 7\n",
    ),
    Situation(
        name="restarts_all_day",
        verdicts={"soak": FAIL},
        says="times during the soak; at most 6 restarts are allowed",
        past=lambda at: [at.engine(latencies=BUSY, resets=tuple(at.ago(0.1 * index) for index in range(1, 250)))],
    ),
    Situation(
        name="one_of_two_restarts_all_day",
        verdicts={"soak": FAIL},
        says="(engine-b:8000 most:",
        past=lambda at: [
            at.engine(instance="engine-a:8000", resets=(at.ago(3),)),
            at.engine(instance="engine-b:8000", resets=tuple(at.ago(0.5 * index) for index in range(1, 40))),
        ],
    ),
)
