"""Situations of whose numbers they are: another artifact's, another model's, the active's; and of whose alerts."""

from __future__ import annotations

from support.engine_past import MINUTE, calm, steady
from support.prometheus import Line
from support.situations import DAY, Moment, Situation, everywhere, objectives, quiet

from ml.verdict import Verdict

FAIL, NO_DATA, VACUOUS, WAIT = Verdict.FAIL, Verdict.NO_DATA, Verdict.VACUOUS, Verdict.WAIT

SLOW = steady({25.0: 30.0, 250.0: 30.0})
OLD = "predecessor_v2026_02_01_001"

COUNTERS = frozenset({"grinder_ml_inference_total", "grinder_ml_inference_errors_total", "grinder_ml_block_total"})


def ours(at: Moment) -> str:
    return f"{at.model}_v2026_02_16_001"


def swapped(at: Moment, moment: float) -> dict[str, object]:
    """An engine that served a slow predecessor until a moment, and the artifact since."""
    return {
        "artifacts": lambda time: ours(at) if time >= moment else OLD,
        "latencies": lambda time: calm(time) if time >= moment else SLOW(time),
    }


def alert(at: Moment, name: str = "FiredBefore", **labels: str) -> Line:
    """What Prometheus wrote while an alert was firing, ten minutes long, five hours ago."""
    told = {"alertname": name, "alertstate": "firing", **labels}
    return Line("ALERTS", told, [(at.ago(5) + index * MINUTE, 1.0) for index in range(10)])


TABLE = (
    Situation(
        name="landed_a_minute_ago",
        soon=True,
        verdicts={"soak": WAIT} | objectives(NO_DATA),
        says="The query finds no series at all",
        past=lambda at: [at.engine(**swapped(at, at.now - 60))],
        landed_ago_s=90,
    ),
    Situation(
        name="the_predecessor_was_slow_until_the_soak",
        verdicts={},
        says="288 of the last 288 windows hold data",
        past=lambda at: [at.engine(**swapped(at, at.now - DAY - 2 * MINUTE))],
        landed_ago_s=DAY + 4 * MINUTE,
    ),
    Situation(
        name="landed_a_day_ago_and_served_since_six_hours",
        verdicts={"soak": WAIT} | objectives(WAIT),
        says="24.85 ms in the first",
        past=lambda at: [at.engine(**swapped(at, at.ago(6)))],
    ),
    Situation(
        name="one_of_two_still_serves_the_old_one",
        verdicts={},
        says="24.85 ms over 24h and 24.85 ms over 5m, below 100 ms.",
        past=lambda at: [
            at.engine(instance="engine-a:8000", artifact=ours(at)),
            at.engine(instance="engine-b:8000", artifact=OLD, latencies=SLOW),
        ],
    ),
    Situation(
        name="one_of_two_was_swapped_late",
        verdicts={},
        says="(worst of 2 engines",
        past=lambda at: [
            at.engine(instance="engine-a:8000", artifact=ours(at)),
            at.engine(instance="engine-b:8000", **swapped(at, at.ago(10))),
        ],
    ),
    Situation(
        name="one_of_two_was_swapped_late_and_fails_since",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="(worst of 2 engines: engine-b:8000)",
        past=lambda at: [
            at.engine(instance="engine-a:8000", artifact=ours(at)),
            at.engine(
                instance="engine-b:8000",
                artifacts=lambda time: ours(at) if time >= at.ago(10) else OLD,
                errors=lambda time: 20.0 if time >= at.ago(10) else 0.0,
            ),
        ],
    ),
    Situation(
        name="served_something_else_for_an_hour",
        verdicts={"soak": NO_DATA} | objectives(NO_DATA),
        says="of the 24h hold data",
        past=lambda at: [at.engine(artifacts=lambda time: OLD if at.ago(9) <= time < at.ago(8) else ours(at))],
    ),
    Situation(
        name="one_of_two_does_not_say_what_it_serves",
        verdicts={},
        says="In part by mode only: not every engine says which artifact it serves.",
        past=lambda at: [
            at.engine(instance="engine-a:8000", artifact=ours(at)),
            at.engine(instance="engine-b:8000"),
        ],
    ),
    Situation(
        name="the_one_that_does_not_say_what_it_serves_fails",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="(worst of 2 engines: engine-b:8000)",
        past=lambda at: [
            at.engine(instance="engine-a:8000", artifact=ours(at)),
            at.engine(instance="engine-b:8000", errors=lambda _: 20.0),
        ],
    ),
    Situation(
        name="no_engine_says_what_it_serves",
        verdicts={},
        says="By mode only: no engine says which artifact it serves.",
        like="quiet_day",
    ),
    Situation(
        name="the_active_fails_and_counters_have_no_mode",
        verdicts={},
        says="0 % over 24h and 0 % over 5m, below 5 %",
        past=lambda at: [
            at.engine(instance="shadow:8000", counter_mode=""),
            at.engine(instance="active:8000", mode="active", counter_mode="", errors=lambda _: 15.0),
        ],
    ),
    Situation(
        name="the_shadow_fails_and_counters_have_no_mode",
        verdicts={"soak": FAIL, "error_rate": FAIL},
        says="20 % over 24h is not below 5 %",
        past=lambda at: [
            at.engine(instance="shadow:8000", counter_mode="", errors=lambda _: 15.0),
            at.engine(instance="active:8000", mode="active", counter_mode=""),
        ],
    ),
    Situation(
        name="one_process_in_both_modes_without_a_mode",
        verdicts={"error_rate": VACUOUS},
        says="infers in two modes",
        past=lambda at: [
            at.engine(counter_mode=""),
            at.engine(mode="active", omit=COUNTERS),
        ],
    ),
    Situation(
        name="two_models_that_no_selector_tells_apart",
        verdicts=everywhere(VACUOUS),
        says="The series are those of several models",
        past=lambda at: [
            at.engine(labels={"team": at.model}),
            at.engine(model="another", instance="other:8000", labels={"team": at.model}),
        ],
        selector='team="two_models_that_no_selector_tells_apart"',
    ),
    Situation(
        name="two_models_with_one_selector",
        verdicts=everywhere(VACUOUS),
        says="The selectors of two_models_with_one_selector and another take the same series",
        past=lambda at: [
            at.engine(model="", labels={"env": at.model}),
            at.engine(model="", instance="other:8000", labels={"env": at.model}),
        ],
        selector='env="two_models_with_one_selector"',
        others={"another": 'env="two_models_with_one_selector"'},
    ),
    Situation(
        name="two_models_with_selectors_that_overlap",
        verdicts=everywhere(VACUOUS),
        says="that exclude each other",
        like="two_models_with_one_selector",
        selector='env="two_models_with_one_selector"',
        others={"another": 'instance=~"other:.*|engine:8000"'},
    ),
    Situation(
        name="two_models_with_selectors_that_exclude_each_other",
        verdicts={},
        says="288 of the last 288 windows hold data",
        like="two_models_with_one_selector",
        selector='env="two_models_with_one_selector",instance="engine:8000"',
        others={"another": 'env=~"two_.*",instance="other:8000"', "third": 'env!="two_models_with_one_selector"'},
    ),
    Situation(
        name="the_other_models_selector_is_the_wider_one",
        verdicts={},
        says="288 of the last 288 windows hold data",
        like="two_models_with_one_selector",
        selector='env="two_models_with_one_selector",instance="engine:8000"',
        others={"another": 'env="two_models_with_one_selector"'},
    ),
    Situation(
        name="two_models_with_one_selector_whose_engines_say_what_they_serve",
        verdicts={},
        says="288 of the last 288 windows hold data",
        past=lambda at: [
            at.engine(model="", artifact=ours(at), labels={"env": at.model}),
            at.engine(model="", instance="other:8000", artifact=OLD, labels={"env": at.model}),
        ],
        selector='env="two_models_with_one_selector_whose_engines_say_what_they_serve"',
        others={"another": 'env="two_models_with_one_selector_whose_engines_say_what_they_serve"'},
    ),
    Situation(
        name="one_selector_and_one_engine_that_does_not_say_what_it_serves",
        verdicts=everywhere(VACUOUS),
        says="take the same series, of engines that do not say what they serve",
        past=lambda at: [
            at.engine(model="", artifact=ours(at), labels={"env": at.model}),
            at.engine(model="", instance="other:8000", labels={"env": at.model}),
        ],
        selector='env="one_selector_and_one_engine_that_does_not_say_what_it_serves"',
        others={"another": 'env="one_selector_and_one_engine_that_does_not_say_what_it_serves"'},
    ),
    Situation(
        name="a_selector_that_takes_only_another_models_series",
        verdicts=everywhere(VACUOUS),
        says="and another take the same series",
        past=lambda at: [at.engine(model="another", labels={"env": at.model})],
        selector='env="a_selector_that_takes_only_another_models_series"',
        others={"another": 'model="another"'},
    ),
    # --- whose alerts ----------------------------------------------------------------------------------------------
    Situation(
        name="an_alert_fires_for_other_models",
        verdicts={},
        says="which is not this one",
        like="quiet_day",
        policy=quiet("SlowNow"),
    ),
    Situation(
        name="an_alert_fires_for_our_active",
        verdicts={},
        says="mode=active, which is not this one",
        past=lambda at: [
            at.engine(instance="shadow:8000"),
            at.engine(instance="active:8000", mode="active", counter_mode="active", latencies=SLOW),
        ],
        policy=quiet("SlowNow"),
    ),
    Situation(
        name="an_alert_fires_for_us",
        verdicts={"soak": FAIL, "p99": FAIL, "alerts": FAIL},
        says="SlowNow is firing for model=slow_all_day,mode=shadow",
        like="slow_all_day",
        policy=quiet("SlowNow"),
    ),
    Situation(
        name="an_alert_fired_for_another_model",
        verdicts={},
        says="All named alert rules are loaded and quiet",
        like="quiet_day",
        past=lambda at: [alert(at, "FiredForOne", model="somebody_else", mode="shadow")],
        policy=quiet("FiredForOne"),
    ),
    Situation(
        name="an_alert_fired_for_us",
        verdicts={"alerts": FAIL},
        says="fired during the soak for model=quiet_day,mode=shadow",
        like="quiet_day",
        past=lambda at: [alert(at, "FiredForUs", model="quiet_day", mode="shadow")],
        policy=quiet("FiredForUs"),
    ),
    Situation(
        name="an_alert_fired_for_our_active",
        verdicts={},
        says="All named alert rules are loaded and quiet",
        like="quiet_day",
        past=lambda at: [alert(at, "FiredForActive", model="quiet_day", mode="active")],
        policy=quiet("FiredForActive"),
    ),
    Situation(
        name="an_alert_without_a_mode_that_the_active_raises",
        verdicts={},
        says="is about other engines of this model: it never held for these",
        like="the_active_fails_and_counters_have_no_mode",
        policy=quiet("FailsNow"),
    ),
    Situation(
        name="an_alert_without_a_mode_that_the_shadow_raises",
        verdicts={"soak": FAIL, "error_rate": FAIL, "alerts": FAIL},
        says="FailsNow is firing for model=the_shadow_fails_and_counters_have_no_mode",
        like="the_shadow_fails_and_counters_have_no_mode",
        policy=quiet("FailsNow"),
    ),
    Situation(
        name="an_alert_that_is_constant",
        verdicts={"alerts": VACUOUS},
        says="The rule Constant cannot fire: its expression reads no series",
        like="quiet_day",
        policy=quiet("Constant"),
    ),
    Situation(
        name="an_alert_on_nobodys_series",
        verdicts={"alerts": VACUOUS},
        says="The rule Nobodys cannot fire: nothing that it reads is there",
        like="quiet_day",
        policy=quiet("Nobodys"),
    ),
    Situation(
        name="an_alert_above_the_top_bucket",
        verdicts={"alerts": VACUOUS},
        says="The rule AboveTheTopBucket cannot fire: the top finite bucket is 500",
        like="quiet_day",
        policy=quiet("AboveTheTopBucket"),
    ),
)
