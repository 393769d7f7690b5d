"""Situations in which arithmetic could flatter: births, holes in histograms, missing scrapes, recorded values."""

from __future__ import annotations

from support.engine_past import HOUR, INFERENCE, MINUTE, steady
from support.prometheus import Line
from support.situations import Moment, Situation, objective, objectives

from ml.verdict import Verdict

FAIL, NO_DATA, VACUOUS = Verdict.FAIL, Verdict.NO_DATA, Verdict.VACUOUS


def born(at: Moment, error: str, hours_ago: float, value: float, lives_s: float = 40 * HOUR) -> Line:
    """A labelled error counter that is there from one scrape on, with its value at once."""
    labels = {"job": "engine", "instance": "engine:8000", "model": at.model, "mode": "shadow", "error": error}
    begin, end = at.ago(hours_ago), min(at.ago(hours_ago) + lives_s, at.end)
    points = [(begin + index * MINUTE, value) for index in range(round((end - begin) / MINUTE))]
    return Line(f"{INFERENCE}_errors_total", labels, points)


def recorded(at: Moment, until: float) -> Line:
    """A value that a recording rule wrote every minute."""
    labels = {"model": at.model, "mode": "shadow"}
    count = round((until - at.begin) / MINUTE)
    return Line("mode:latency_ms:p99_5m", labels, [(at.begin + index * MINUTE, 25.0) for index in range(count)])


RECORDED = objective('kind = "promql"\nquery = "max_over_time(mode:latency_ms:p99_5m{$matchers}[5m])"\nlimit = 100')


def unseen(at: Moment, seen_min: int, of_min: int) -> tuple[tuple[float, float], ...]:
    """Scrapes that are missing at the end of every few minutes, but for the last ones."""
    times = int((at.now - 10 * MINUTE - at.begin) / MINUTE / of_min)
    return tuple(
        (at.begin + (index * of_min + seen_min) * MINUTE, at.begin + (index + 1) * of_min * MINUTE)
        for index in range(times)
    )


TABLE = (
    Situation(
        name="an_error_counter_is_born_with_thousands",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="error_rate breached in 1 of 288 windows",
        past=lambda at: [at.engine(), born(at, "timeout", 2, 30_000.0)],
    ),
    Situation(
        name="an_error_counter_is_born_with_three",
        verdicts={},
        says="288 of the last 288 windows hold data, 0 breached",
        past=lambda at: [at.engine(), born(at, "timeout", 2, 3.0)],
    ),
    Situation(
        name="error_counters_are_born_and_die_all_day",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="over 24h is not below 5 %",
        past=lambda at: [
            at.engine(),
            *(born(at, f"symbol-{index}", index / 6, 140.0, 5 * MINUTE) for index in range(1, 145)),
        ],
    ),
    Situation(
        name="an_engine_is_born_with_its_errors",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="error_rate breached in 1 of 288 windows",
        past=lambda at: [
            at.engine(instance="engine-a:8000"),
            at.engine(
                instance="engine-b:8000",
                begin=at.ago(3),
                errors=lambda time: 500.0 if time < at.ago(3) + MINUTE else 0.0,
            ),
        ],
    ),
    Situation(
        name="no_bucket_at_the_limit",
        verdicts={"soak": NO_DATA, "p99": VACUOUS},
        says="lies between 50 and 200 ms: the histogram has no bucket at the limit of 100 ms",
        past=lambda at: [at.engine(bounds=(10.0, 50.0, 200.0, 500.0), latencies=steady({50.0: 54.0, 200.0: 6.0}))],
        policy='[[objective]]\nname = "p999"\nlimit = 150\ngate = false\n',
    ),
    Situation(
        name="no_bucket_at_the_limit_and_all_below",
        verdicts={},
        says="49.6 ms over 24h and 49.6 ms over 5m, below 100 ms",
        past=lambda at: [at.engine(bounds=(10.0, 50.0, 200.0, 500.0), latencies=steady({50.0: 60.0}))],
    ),
    Situation(
        name="no_bucket_at_the_limit_and_above",
        verdicts={"soak": FAIL, "p99": FAIL, "p999": FAIL},
        says="is not below 100 ms",
        past=lambda at: [
            at.engine(bounds=(10.0, 50.0, 200.0, 400.0, 800.0), latencies=steady({50.0: 50.0, 800.0: 10.0}))
        ],
    ),
    Situation(
        name="buckets_are_laid_out_anew_half_way",
        verdicts={"soak": NO_DATA, "p99": VACUOUS, "p999": VACUOUS},
        says="lies between 0 and 500 ms",
        past=lambda at: [
            at.engine(bounds=(500.0,), end=at.ago(10)),
            at.engine(begin=at.ago(10), total=60 * 15 * 60.0),
        ],
    ),
    Situation(
        name="only_the_bucket_of_infinity",
        verdicts={"soak": NO_DATA, "p99": NO_DATA, "p999": NO_DATA},
        says="86,400 inferences were counted, but only the bucket +Inf",
        past=lambda at: [at.engine(bounds=())],
    ),
    Situation(
        name="unseen_two_of_five_minutes",
        verdicts={"soak": NO_DATA},
        says="of the windows hold data; 99 % are needed",
        past=lambda at: [at.engine(gaps=unseen(at, 3, 5))],
        landed_ago_s=24 * HOUR + 12 * MINUTE,
    ),
    Situation(
        name="scraped_every_five_minutes",
        verdicts={"soak": NO_DATA} | objectives(NO_DATA),
        says="The engine is scraped every 5m, and a window of 5m needs two scrapes",
        past=lambda at: [at.engine(step_s=300.0, latencies=steady({25.0: 300.0}))],
        landed_ago_s=24 * HOUR + 12 * MINUTE,
    ),
    Situation(
        name="scraped_every_five_minutes_in_longer_windows",
        verdicts={},
        says="96 of the last 96 windows hold data, 0 breached",
        like="scraped_every_five_minutes",
        policy="[soak]\ncell_minutes = 15\n",
        landed_ago_s=24 * HOUR + 20 * MINUTE,
        stale_s=600.0,
    ),
    Situation(
        name="le_changed_its_spelling_while_counting_on",
        verdicts={},
        says="of the last 288 windows hold data, 0 breached",
        past=lambda at: [
            at.engine(end=at.ago(5), le=lambda bound: f"{bound:g}"),
            at.engine(begin=at.ago(5), total=60 * 20 * 60.0),
        ],
    ),
    Situation(
        name="a_value_of_a_recording_rule",
        verdicts={},
        says="25 over 24h and 25 over 5m, below 100",
        past=lambda at: [at.engine(), recorded(at, at.end)],
        policy=RECORDED,
    ),
    Situation(
        name="a_recording_rule_that_stopped",
        verdicts={"soak": NO_DATA, "own": NO_DATA},
        says="The query finds no series at all, although 86,400 inferences were counted",
        past=lambda at: [at.engine(), recorded(at, at.ago(2))],
        policy=RECORDED,
    ),
    Situation(
        name="a_soak_of_two_thousand_hours",
        verdicts={"soak": Verdict.WAIT} | objectives(Verdict.WAIT),
        says="of 2000h soaked",
        like="quiet_day",
        policy="[soak]\nhours = 2000\n",
        landed_ago_s=2000 * HOUR,
    ),
)
