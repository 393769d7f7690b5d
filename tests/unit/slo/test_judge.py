"""The soak judge's rules by numbers alone: each boundary from both sides, each sentence, and which rule comes first."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
from support.judged import (
    BOUNDS,
    CELL_S,
    DAY_S,
    ERRORS,
    FREE,
    NOW,
    P99,
    A,
    B,
    ago,
    case,
    longs,
    shorts,
    two,
    worst,
)

from ml.slo.buckets import Buckets
from ml.slo.judge import judge
from ml.verdict import Code, Finding, Verdict, finding

MIXED = finding(Verdict.VACUOUS, Code.SEVERAL_MODELS, "Two models are behind these numbers.")


def code(**changed: Any) -> Code:
    return judge(case(**changed)).code


def fact(found: Finding, name: str) -> object:
    return dict(found.facts)[name]


def test_a_good_day_passes_with_its_numbers() -> None:
    found = judge(case())
    assert (found.verdict, found.code) == (Verdict.PASS, Code.WITHIN_LIMIT)
    assert found.why == "20 ms over 24h and 18 ms over 5m, below 100 ms."
    assert dict(found.facts) == {"value": 20.0, "limit": 100.0, "series": 1, "worst_series": "a:9100", "short": 18.0}


def test_of_two_engines_the_worse_one_is_named() -> None:
    found = judge(case(**two()))
    assert found.why == "20 ms over 24h and 18 ms over 5m, below 100 ms (worst of 2 engines: a:9100)."


def test_of_error_rates_the_runbooks_form_is_told_beside_ours() -> None:
    rates = {**longs(a=0.02), **shorts(a=0.01), "buckets": {}}
    found = judge(case(ERRORS, **rates, shown=worst(0.03)))
    assert found.why == "2 % over 24h and 1 % over 5m, below 5 %; the runbook's form reads 3 %."
    without = "2 % over 24h and 1 % over 5m, below 5 %."
    assert judge(case(ERRORS, **rates, shown=worst(math.nan))).why == without
    assert judge(case(ERRORS, **rates, shown=None)).why == without
    assert "runbook" not in judge(case(shown=worst(0.03))).why


# --- each rule, with what makes it object and what it says -----------------------------------------------------------
RULES: dict[str, tuple[dict[str, Any], Verdict, Code, str]] = {
    "warned": (
        {"warnings": ("a store is gone",)},
        Verdict.NO_DATA,
        Code.SOURCE_WARNED,
        "Prometheus warns that the answer may be partial: a store is gone.",
    ),
    "skewed": (
        {"skew_s": 6.0},
        Verdict.NO_DATA,
        Code.CLOCK_SKEWED,
        "Prometheus's clock is 6s ahead of ours, so no age can be trusted.",
    ),
    "mixed_models": (
        {"mixed_models": MIXED},
        Verdict.VACUOUS,
        Code.SEVERAL_MODELS,
        "Two models are behind these numbers.",
    ),
    "misspelled": (
        {"misspelled": (("100", "100.0"),)},
        Verdict.VACUOUS,
        Code.BUCKET_MISSPELLED,
        'The query selects le="100", but the exporter writes le="100.0", so it never counts anything.',
    ),
    "bucketless": (
        {"buckets": {}},
        Verdict.NO_DATA,
        Code.NO_FINITE_BUCKET,
        "5,000 inferences were counted, but no bucket of grinder_ml_inference_latency_ms is scraped, so no quantile "
        "can be read. Export classic buckets beside a native histogram.",
    ),
    "blended": (
        {"blended": ("a:9100",)},
        Verdict.VACUOUS,
        Code.MODES_BLENDED,
        "grinder_ml_inference_total of a:9100 has no label mode, and a:9100 infers in two modes: the errors of one "
        "cannot be told from those of the other.",
    ),
    "blind": (
        {"blind": ("a:9100",)},
        Verdict.VACUOUS,
        Code.SUCCESSES_UNCOUNTED,
        "Latencies arrive but grinder_ml_inference_total never moves (a:9100), so failures would not show either.",
    ),
    "uncounted": (
        {"uncounted": ("a:9100",)},
        Verdict.VACUOUS,
        Code.ERRORS_UNCOUNTED,
        "There is no grinder_ml_inference_errors_total of a:9100: an error could not have been counted.",
    ),
    "absent": (
        {"long": None},
        Verdict.NO_DATA,
        Code.NO_SERIES,
        "The query finds no series at all, although 5,000 inferences were counted.",
    ),
    "no_number": (
        {"long": worst(math.nan)},
        Verdict.NO_DATA,
        Code.NOT_A_NUMBER,
        "The value is NaN: 5,000 inferences were counted in the last 24h.",
    ),
    "seldom": (
        {"scrape_s": 151.0},
        Verdict.NO_DATA,
        Code.SCRAPED_TOO_SELDOM,
        "The engine is scraped every 2m, and a window of 5m needs two scrapes. Scrape at least every 2m, or set "
        "soak.cell_minutes = 8.",
    ),
    "stale": (
        {"newest": {A: ago(61)}},
        Verdict.STALE,
        Code.SAMPLE_STALE,
        "The newest sample is 1m01s old; after 1m00s it is not believed.",
    ),
    "breached": (
        longs(a=100.5),
        Verdict.FAIL,
        Code.BREACHED,
        "100.5 ms over 24h is not below 100 ms.",
    ),
    "bounded": (
        {"buckets": {A: Buckets((25.0, 50.0), 50.0)}},
        Verdict.VACUOUS,
        Code.LIMIT_UNREACHABLE,
        "The top finite bucket is 50 ms: no value could ever reach the limit of 100 ms.",
    ),
    "between": (
        {**longs(a=120.0), "buckets": {A: Buckets((25.0, 50.0, 250.0, 500.0), 500.0)}},
        Verdict.VACUOUS,
        Code.LIMIT_BETWEEN_BUCKETS,
        "Over 24h the value lies between 50 and 250 ms: the histogram has no bucket at the limit of 100 ms, so nobody "
        "knows on which side.",
    ),
    "down": (
        {"down": ("b:9100",)},
        Verdict.NO_DATA,
        Code.ENGINE_DOWN,
        "b:9100 does not answer scrapes: nobody knows what it does.",
    ),
    "frozen": (
        {"lively": {A: 0.0}},
        Verdict.VACUOUS,
        Code.COUNTERS_STAND_STILL,
        "The counters are scraped but have stood still for 1h: the value cannot change.",
    ),
    "young": (
        {"since": ago(3_600), "long_s": 3_600},
        Verdict.WAIT,
        Code.WINDOW_YOUNG,
        "20 ms in the first 1h; 24h are over at 2026-02-18T13:00:00Z.",
    ),
    "few": (
        {"samples": {A: 999.0}},
        Verdict.NO_DATA,
        Code.TOO_FEW_SAMPLES,
        "Only 999 inferences in 24h; 1000 are needed.",
    ),
    "partial": (
        {"covered": 285.0},
        Verdict.NO_DATA,
        Code.COVERAGE_LOW,
        "Only 23h45m of the 24h hold data.",
    ),
    "paused": (
        {"lately": {A: 3.0}},
        Verdict.NO_DATA,
        Code.TOO_FEW_SAMPLES,
        "Only 3 inferences in the last 5m; 4 are needed.",
    ),
}


OF_ERRORS = ("blended", "blind", "uncounted")


@pytest.mark.parametrize("name", RULES)
def test_each_rule_objects_with_its_code_and_its_sentence(name: str) -> None:
    changed, verdict, expected, why = RULES[name]
    found = judge(case(ERRORS if name in OF_ERRORS else P99, **changed))
    assert (found.verdict, found.code, found.why) == (verdict, expected, why)


@pytest.mark.parametrize("name", ["warnings", "blended", "blind", "uncounted", "down"])
def test_of_several_the_first_is_named(name: str) -> None:
    found = judge(
        case(ERRORS, **longs(a=0.01), **shorts(a=0.01), buckets={}, **{name: ("first:1", "second:2", "third:3")})
    )
    assert "first:1" in found.why
    assert "first:1" in dict(found.facts).values()
    assert not {"second:2", "third:3"} & set(dict(found.facts).values())


def test_of_several_misspelled_bounds_the_first_is_told() -> None:
    found = judge(case(misspelled=(("100", "100.0"), ("250", "250.0"), ("500", "500.0"))))
    assert dict(found.facts) == {"asked": "100", "exported": "100.0"}


def test_of_several_engines_at_fault_the_first_by_name_is_told() -> None:
    without = {A: Buckets((), None), B: Buckets((), None)}
    assert fact(judge(case(**two(buckets=without))), "instance") == "a:9100"
    assert fact(judge(case(**two(lively={B: 0.0, A: 0.0}))), "instance") == "a:9100"
    assert (
        fact(judge(case(**two(buckets={B: Buckets((50.0,), 50.0), A: Buckets((50.0,), 50.0)}))), "instance") == "a:9100"
    )
    assert fact(judge(case(**two(lately={}))), "instance") == "a:9100"


PAIRS = [
    (first, second) for first, second in combinations(RULES, 2) if not RULES[first][0].keys() & RULES[second][0].keys()
]


def test_nearly_every_pair_of_rules_can_object_together() -> None:
    assert len(PAIRS) == 21 * 20 // 2 - 9, "nine pairs are about the same number"


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_rules_that_object_the_earlier_decides(first: str, second: str) -> None:
    """What cannot be believed, what is breached, what could not have been, what is not enough yet: in this order."""
    changed, verdict, expected, _ = RULES[first]
    found = judge(case(**changed, **RULES[second][0]))
    assert (found.verdict, found.code) == (verdict, expected)


# --- boundaries: what cannot be believed -----------------------------------------------------------------------------
class TestClocks:
    @pytest.mark.parametrize(
        ("skew_s", "believed"), [(None, True), (5.0, True), (-5.0, True), (5.01, False), (-5.01, False)]
    )
    def test_five_seconds_of_skew_are_believed(self, skew_s: float | None, *, believed: bool) -> None:
        assert (code(skew_s=skew_s) is Code.WITHIN_LIMIT) == believed

    def test_it_says_which_clock_is_ahead(self) -> None:
        assert "9s behind ours" in judge(case(skew_s=-9.0)).why
        assert fact(judge(case(skew_s=-9.0)), "skew_s") == -9.0


class TestAge:
    @pytest.mark.parametrize(
        ("age_s", "expected"), [(59.0, Code.WITHIN_LIMIT), (60.0, Code.WITHIN_LIMIT), (61.0, Code.SAMPLE_STALE)]
    )
    def test_exactly_as_old_as_allowed_is_believed_and_a_second_more_is_not(self, age_s: float, expected: Code) -> None:
        assert code(newest={A: ago(age_s)}) is expected

    @pytest.mark.parametrize(("stale_s", "expected"), [(19.0, Code.SAMPLE_STALE), (20.0, Code.WITHIN_LIMIT)])
    def test_the_limit_is_the_rounds_own(self, stale_s: float, expected: Code) -> None:
        found = judge(case(newest={A: ago(20)}, stale_s=stale_s))
        assert found.code is expected

    @pytest.mark.parametrize(("ahead_s", "expected"), [(5.0, Code.WITHIN_LIMIT), (5.5, Code.SAMPLE_IN_FUTURE)])
    def test_a_sample_of_the_future_is_no_sample(self, ahead_s: float, expected: Code) -> None:
        assert code(newest={A: ago(-ahead_s)}) is expected

    def test_what_it_says_of_the_future(self) -> None:
        found = judge(case(newest={A: ago(-8)}))
        assert found.why == "The newest sample is 8s in the future: a clock is wrong or stepped back."
        assert (found.verdict, fact(found, "age_s")) == (Verdict.NO_DATA, -8.0)

    def test_the_engine_that_is_silent_longest_decides(self) -> None:
        found = judge(case(**two(newest={A: ago(5), B: ago(100)})))
        assert found.why == "The newest sample of b:9100 is 1m40s old; after 1m00s it is not believed."
        assert dict(found.facts) == {"age_s": 100.0, "limit_s": 60.0, "instance": "b:9100"}

    def test_the_engine_that_is_furthest_ahead_decides_where_none_is_old(self) -> None:
        assert code(**two(newest={A: ago(5), B: ago(-9)})) is Code.SAMPLE_IN_FUTURE
        assert code(**two(newest={A: ago(-9), B: ago(5)})) is Code.SAMPLE_IN_FUTURE
        assert code(**two(newest={A: ago(-9), B: ago(61)})) is Code.SAMPLE_STALE

    def test_without_a_newest_sample_nothing_is_measured_now(self) -> None:
        found = judge(case(newest={}))
        assert (found.verdict, found.code) == (Verdict.NO_DATA, Code.NO_SAMPLE)


class TestScrapes:
    @pytest.mark.parametrize(
        ("scrape_s", "expected"),
        [
            (None, Code.WITHIN_LIMIT),
            (149.0, Code.WITHIN_LIMIT),
            (150.0, Code.WITHIN_LIMIT),
            (150.5, Code.SCRAPED_TOO_SELDOM),
        ],
    )
    def test_a_short_window_holds_two_scrapes(self, scrape_s: float | None, expected: Code) -> None:
        assert code(scrape_s=scrape_s) is expected

    @pytest.mark.parametrize(("scrape_s", "minutes"), [(160.0, 8), (180.0, 9), (181.0, 10)])
    def test_it_says_which_window_would_do(self, scrape_s: float, minutes: int) -> None:
        found = judge(case(scrape_s=scrape_s))
        assert found.why.endswith(f"or set soak.cell_minutes = {minutes}.")
        assert dict(found.facts) == {"scrape_s": scrape_s, "window_s": CELL_S}


class TestNumbers:
    @pytest.mark.parametrize(("samples", "words"), [(0.4, "nothing was inferred"), (0.6, "1 inferences were counted")])
    def test_what_nan_comes_from(self, samples: float, words: str) -> None:
        found = judge(case(ERRORS, long=worst(math.nan), samples={A: samples}))
        assert found.why == f"The value is NaN: {words} in the last 24h."
        assert dict(found.facts) == {"window_s": DAY_S, "samples": samples}

    @pytest.mark.parametrize(
        ("samples", "words"), [({}, ""), ({A: 0.4}, ""), ({A: 2.0}, ", although 2 inferences were counted")]
    )
    def test_what_no_series_comes_from(self, samples: dict[Any, float], words: str) -> None:
        assert judge(case(ERRORS, long=None, samples=samples)).why == f"The query finds no series at all{words}."

    @pytest.mark.parametrize("changed", [{"long": worst(20.0, infinite=True)}, {"short": worst(18.0, infinite=True)}])
    def test_what_is_infinite_in_either_window_is_no_measurement(self, changed: dict[str, Any]) -> None:
        found = judge(case(**changed))
        assert (found.verdict, found.code) == (Verdict.NO_DATA, Code.INFINITE_VALUE)

    def test_a_short_window_without_a_number_is_not_infinite(self) -> None:
        assert code(short=None) is Code.WITHIN_LIMIT


class TestBuckets:
    def test_only_the_bucket_without_a_bound_is_no_bucket(self) -> None:
        found = judge(case(**two(buckets={A: Buckets(BOUNDS, 500.0), B: Buckets((), None)})))
        assert (found.verdict, found.code) == (Verdict.NO_DATA, Code.NO_FINITE_BUCKET)
        assert "only the bucket +Inf of grinder_ml_inference_latency_ms is scraped of b:9100" in found.why
        assert dict(found.facts) == {"samples": 4_000.0, "instance": "b:9100"}

    @pytest.mark.parametrize(("samples", "expected"), [(0.4, Code.TOO_FEW_SAMPLES), (0.6, Code.NO_FINITE_BUCKET)])
    def test_where_nothing_was_counted_no_bucket_is_missed(self, samples: float, expected: Code) -> None:
        assert code(buckets={}, samples={A: samples}) is expected

    def test_error_rates_need_no_buckets(self) -> None:
        assert judge(case(ERRORS, **longs(a=0.02), **shorts(a=0.01), buckets={})).code is Code.WITHIN_LIMIT

    @pytest.mark.parametrize(("top", "expected"), [(99.0, Code.LIMIT_UNREACHABLE), (100.0, Code.WITHIN_LIMIT)])
    def test_the_top_bucket_must_reach_the_limit(self, top: float, expected: Code) -> None:
        assert code(buckets={A: Buckets((25.0, top), top)}) is expected

    def test_the_lowest_top_is_told_by_its_engine(self) -> None:
        low = {A: Buckets((25.0, 60.0), 60.0), B: Buckets((25.0, 50.0), 50.0)}
        found = judge(case(**two(buckets=low)))
        assert found.why == "The top finite bucket of b:9100 is 50 ms: no value could ever reach the limit of 100 ms."
        assert dict(found.facts) == {"top": 50.0, "limit": 100.0, "instance": "b:9100"}

    def test_between_two_buckets_the_engine_and_window_are_told(self) -> None:
        apart = Buckets((25.0, 50.0, 250.0, 500.0), 500.0)
        found = judge(case(**two(buckets={A: Buckets(BOUNDS, 500.0), B: apart}, **shorts(a=18.0, b=60.0))))
        assert found.why.startswith("Over 5m the value of b:9100 lies between 50 and 250 ms")
        assert dict(found.facts) == {
            "low": 50.0,
            "high": 250.0,
            "limit": 100.0,
            "window_s": CELL_S,
            "instance": "b:9100",
        }

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (49.0, Code.WITHIN_LIMIT),
            (50.0, Code.WITHIN_LIMIT),
            (50.5, Code.LIMIT_BETWEEN_BUCKETS),
            (99.0, Code.LIMIT_BETWEEN_BUCKETS),
            (250.0, Code.LIMIT_BETWEEN_BUCKETS),
            (250.5, Code.BREACHED),
        ],
    )
    def test_which_values_may_be_on_either_side(self, value: float, expected: Code) -> None:
        apart = Buckets((25.0, 50.0, 250.0, 500.0), 500.0)
        assert code(**longs(a=value), buckets={A: apart}) is expected

    def test_at_the_top_bucket_the_value_is_above_the_limit(self) -> None:
        found = judge(case(**longs(a=500.0), buckets={A: Buckets((25.0, 50.0, 500.0), 500.0)}))
        assert (found.code, found.why) == (Code.BREACHED, "≥500 ms (clamped) over 24h is not below 100 ms.")

    def test_without_a_bucket_below_the_limit_the_range_begins_at_zero(self) -> None:
        found = judge(case(**longs(a=20.0), buckets={A: Buckets((250.0, 500.0), 500.0)}))
        assert (found.code, fact(found, "low")) == (Code.LIMIT_BETWEEN_BUCKETS, 0.0)


# --- boundaries: what is breached ------------------------------------------------------------------------------------
class TestLimit:
    @pytest.mark.parametrize(
        ("value", "expected"), [(99.99, Code.WITHIN_LIMIT), (100.0, Code.BREACHED), (100.01, Code.BREACHED)]
    )
    def test_only_below_the_limit_passes_in_either_window(self, value: float, expected: Code) -> None:
        assert code(**longs(a=value)) is expected
        assert code(**shorts(a=value)) is expected

    def test_exactly_at_the_limit_is_said_so(self) -> None:
        assert judge(case(**longs(a=100.0))).why == "100 ms over 24h is exactly at the limit of 100 ms."

    def test_the_long_window_is_told_where_both_breach(self) -> None:
        found = judge(case(**longs(a=150.0), **shorts(a=300.0)))
        assert dict(found.facts) == {
            "value": 150.0,
            "limit": 100.0,
            "series": 1,
            "worst_series": "a:9100",
            "window_s": DAY_S,
        }

    def test_the_short_window_is_told_where_only_it_breaches(self) -> None:
        found = judge(case(**shorts(a=300.0)))
        assert found.why == "300 ms over 5m is not below 100 ms."
        assert fact(found, "window_s") == CELL_S

    def test_the_worst_of_two_is_told_among_both(self) -> None:
        found = judge(case(**two(**longs(a=20.0, b=130.0))))
        assert found.why == "130 ms over 24h is not below 100 ms (worst of 2 engines: b:9100)."
        found = judge(case(**two(**longs(a=140.0, b=130.0))))
        assert found.why == "140 ms over 24h is not below 100 ms (worst of 2 engines: a:9100)."

    @pytest.mark.parametrize(("lately", "expected"), [(3.0, Code.TOO_FEW_SAMPLES), (4.0, Code.BREACHED)])
    def test_a_short_breach_of_too_few_inferences_is_none(self, lately: float, expected: Code) -> None:
        assert code(**shorts(a=300.0), lately={A: lately}) is expected

    @pytest.mark.parametrize(("value", "expected"), [(0.0499, Code.WITHIN_LIMIT), (0.05, Code.BREACHED)])
    def test_of_a_ratio(self, value: float, expected: Code) -> None:
        assert judge(case(ERRORS, **longs(a=value), **shorts(a=0.01), buckets={})).code is expected

    @pytest.mark.parametrize(("value", "expected"), [(9.9, Code.WITHIN_LIMIT), (10.0, Code.BREACHED)])
    def test_of_a_free_query_which_knows_no_engine(self, value: float, expected: Code) -> None:
        far = {"long": worst(value, ()), "short": worst(1.0, ()), "longs": {}, "shorts": {}, "buckets": {}}
        assert judge(case(FREE, **far)).code is expected
        near = {"long": worst(1.0, ()), "short": worst(value, ()), "longs": {}, "shorts": {}, "buckets": {}}
        assert judge(case(FREE, **near)).code is expected

    def test_a_free_query_in_a_pause_is_not_judged_by_the_short_window(self) -> None:
        found = {"long": worst(1.0, ()), "short": worst(99.0, ()), "longs": {}, "shorts": {}, "buckets": {}}
        assert judge(case(FREE, **found, lately={A: 3.0})).code is Code.TOO_FEW_SAMPLES
        assert judge(case(FREE, **found, lately={A: 4.0})).code is Code.BREACHED
        assert judge(case(FREE, **found, lately={A: 1.0, B: 4.0})).code is Code.BREACHED


# --- boundaries: what could not have been breached, and what is not enough yet ---------------------------------------
class TestLife:
    @pytest.mark.parametrize(("moved", "expected"), [(0.1, Code.WITHIN_LIMIT), (0.0, Code.COUNTERS_STAND_STILL)])
    def test_every_engine_moved_within_the_hour(self, moved: float, expected: Code) -> None:
        assert code(**two(lively={A: 200.0, B: moved})) is expected

    def test_one_of_which_nothing_is_known_is_not_said_to_stand_still(self) -> None:
        assert code(**two(lively={A: 200.0})) is Code.WITHIN_LIMIT

    def test_the_one_that_stands_still_is_named(self) -> None:
        found = judge(case(**two(lively={A: 200.0, B: 0.0})))
        assert found.why == ("The counters of b:9100 are scraped but have stood still for 1h: the value cannot change.")
        assert fact(found, "instance") == "b:9100"


class TestYouth:
    @pytest.mark.parametrize(("long_s", "expected"), [(DAY_S - CELL_S, Code.WINDOW_YOUNG), (DAY_S, Code.WITHIN_LIMIT)])
    def test_a_whole_soak_is_needed(self, long_s: int, expected: Code) -> None:
        assert code(since=ago(long_s), long_s=long_s) is expected

    def test_what_has_no_beginning_is_not_young(self) -> None:
        assert code(since=None, long_s=3_600) is not Code.WINDOW_YOUNG

    def test_its_facts(self) -> None:
        found = judge(case(since=ago(3_600), long_s=3_600))
        assert dict(found.facts) == {"value": 20.0, "window_s": 3_600, "full_at": "2026-02-18T13:00:00Z"}


class TestCounts:
    @pytest.mark.parametrize(("samples", "expected"), [(999.0, Code.TOO_FEW_SAMPLES), (1_000.0, Code.WITHIN_LIMIT)])
    def test_a_soak_needs_its_inferences(self, samples: float, expected: Code) -> None:
        assert code(samples={A: samples}) is expected

    def test_where_nothing_was_counted_there_are_none(self) -> None:
        found = judge(case(ERRORS, **longs(a=0.01), **shorts(a=0.01), buckets={}, samples={}))
        assert dict(found.facts) == {"samples": 0.0, "needed": 1000, "window_s": DAY_S, "instance": ""}

    @pytest.mark.parametrize(("samples", "expected"), [(9.0, Code.TOO_FEW_SAMPLES), (10.0, Code.WITHIN_LIMIT)])
    def test_an_engine_needs_them_for_the_share_of_the_time_that_it_was_there(
        self, samples: float, expected: Code
    ) -> None:
        found = judge(case(**two(samples={A: 5_000.0, B: samples}, seen={A: 5_760.0, B: 57.6})))
        assert found.code is expected

    def test_an_engine_that_was_there_all_the_time_needs_as_many_as_all(self) -> None:
        late = two(samples={A: 5_000.0, B: 999.0})
        found = judge(case(**late))
        assert found.why == "Only 999 inferences of b:9100 in 24h; 1000 are needed."
        assert dict(found.facts) == {"samples": 999.0, "needed": 1000, "window_s": DAY_S, "instance": "b:9100"}
        assert code(**late | {"samples": {A: 5_000.0, B: 1_000.0}}) is Code.WITHIN_LIMIT
        assert code(**late | {"samples": {A: 5_000.0}}) is Code.TOO_FEW_SAMPLES
        assert code(**late | {"seen": {A: 5_760.0}}) is Code.TOO_FEW_SAMPLES, "unknown is the whole time"

    def test_what_is_needed_is_a_whole_number(self) -> None:
        found = judge(case(**two(samples={A: 5_000.0, B: 9.0}, seen={A: 5_760.0, B: 57.7})))
        assert fact(found, "needed") == 11

    def test_the_one_that_lacks_most_is_told(self) -> None:
        found = judge(case(**two(samples={A: 900.0, B: 800.0})))
        assert dict(found.facts)["instance"] == "b:9100"
        found = judge(case(**two(samples={A: 700.0, B: 800.0})))
        assert dict(found.facts)["instance"] == "a:9100"
        found = judge(case(**two(samples={A: 950.0, B: 99.0}, seen={A: 5_760.0, B: 576.0})))
        assert dict(found.facts)["instance"] == "a:9100", "950 of 1000 lack more than 99 of 100"

    def test_an_engine_that_is_gone_is_counted_and_not_asked_for_its_share(self) -> None:
        gone = two(samples={A: 995.0, B: 5.0}, newest={A: ago(5)}, seen={A: 5_700.0, B: 60.0})
        assert code(**gone) is Code.WITHIN_LIMIT


class TestCoverage:
    @pytest.mark.parametrize(
        ("covered", "expected"),
        [
            (288.0, Code.WITHIN_LIMIT),
            (285.12, Code.WITHIN_LIMIT),
            (285.11, Code.COVERAGE_LOW),
            (None, Code.COVERAGE_LOW),
        ],
    )
    def test_the_share_of_windows_that_hold_data(self, covered: float | None, expected: Code) -> None:
        assert code(covered=covered) is expected

    def test_its_facts(self) -> None:
        assert dict(judge(case(covered=100.0)).facts) == {"covered_s": 30_000.0, "window_s": DAY_S}
        assert dict(judge(case(covered=None)).facts) == {"covered_s": 0.0, "window_s": DAY_S}


class TestPause:
    @pytest.mark.parametrize(("lately", "expected"), [(3.9, Code.TOO_FEW_SAMPLES), (4.0, Code.WITHIN_LIMIT)])
    def test_each_engine_infers_now(self, lately: float, expected: Code) -> None:
        assert code(lately={A: lately}) is expected
        assert code(**two(lately={A: 40.0, B: lately})) is expected

    @pytest.mark.parametrize(("lately", "expected"), [(0.4, Code.NOTHING_INFERRED), (0.6, Code.TOO_FEW_SAMPLES)])
    def test_less_than_half_an_inference_is_none(self, lately: float, expected: Code) -> None:
        assert code(lately={A: lately}) is expected

    def test_what_it_says(self) -> None:
        assert judge(case(lately={})).why == "Nothing was inferred in the last 5m."
        found = judge(case(**two(lately={A: 40.0})))
        assert found.why == "Nothing was inferred by b:9100 in the last 5m."
        assert (found.verdict, dict(found.facts)) == (Verdict.NO_DATA, {"window_s": CELL_S, "instance": "b:9100"})
        found = judge(case(**two(lately={A: 2.0, B: 3.0})))
        assert found.why == "Only 2 inferences of a:9100 in the last 5m; 4 are needed."
        assert dict(found.facts) == {"samples": 2.0, "needed": 4, "window_s": CELL_S, "instance": "a:9100"}

    def test_inferences_without_a_value_over_the_short_window_prove_nothing(self) -> None:
        assert code(shorts={A: math.nan}, short=worst(math.nan)) is not Code.WITHIN_LIMIT
        assert code(shorts={}, short=None) is Code.NOTHING_INFERRED

    def test_the_short_window_is_judged_by_the_engines_that_infer(self) -> None:
        idle = two(**shorts(a=18.0, b=900.0), newest={A: ago(5)}, lately={A: 40.0, B: 1.0})
        assert code(**idle) is Code.WITHIN_LIMIT


def test_the_judgement_is_about_now() -> None:
    assert case().given.now == NOW
    assert P99.limit == case().limit == 100.0
