"""The judge's inputs: the windows of a round, what it takes for granted, and which number is the one that is shown."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from support.judged import (
    BOUNDS,
    CELL_S,
    DAY_S,
    ERRORS,
    FREE,
    NOW,
    P99,
    POLICY,
    A,
    B,
    ago,
    case,
    longs,
    shorts,
    two,
    worst,
)

from ml.policy import parse_policy
from ml.slo.buckets import Buckets
from ml.slo.exchanges import Failure
from ml.slo.judge import failed_reading, reading_of, unasked_reading
from ml.slo.measured import STALE_S, Terms, words
from ml.slo.promql import Attribution, Scope
from ml.slo.source import Ask, Kind
from ml.stage import Stage
from ml.verdict import Code, Verdict, finding

SCOPE = Scope(Stage.SHADOW, attribution=Attribution.ARTIFACT)
TERMS = Terms(POLICY, NOW)


def test_a_sample_is_believed_for_a_minute_unless_a_round_is_stricter() -> None:
    assert STALE_S == TERMS.stale_s == TERMS.circumstances((), None).stale_s == 60.0
    assert Terms(POLICY, NOW, stale_s=20.0).circumstances((), None).stale_s == 20.0
    assert POLICY.soak.stale_seconds == 60.0


class TestWindows:
    @pytest.mark.parametrize(
        ("passed_s", "long_s"),
        [
            (0, 300),
            (299, 300),
            (300, 300),
            (599, 300),
            (600, 600),
            (86_399, 86_100),
            (86_400, 86_400),
            (90_000, 86_400),
            (-600, 300),
        ],
    )
    def test_the_long_window_is_what_has_passed_in_whole_cells(self, passed_s: int, long_s: int) -> None:
        assert TERMS.long_s(ago(passed_s)) == long_s
        assert TERMS.circumstances((), None, ago(passed_s)).long_s == long_s

    def test_without_a_beginning_it_is_the_whole_soak(self) -> None:
        assert TERMS.long_s() == DAY_S
        assert (TERMS.windows().long, TERMS.windows().short) == ("24h", "5m")
        assert TERMS.windows(ago(3_600)).long == "1h"

    @pytest.mark.parametrize(("min_samples", "least"), [(1, 1), (288, 1), (289, 2), (1000, 4), (1152, 4), (1153, 5)])
    def test_a_cell_holds_its_share_of_the_inferences_and_at_least_one(self, min_samples: int, least: int) -> None:
        terms = Terms(parse_policy(f"[soak]\nmin_samples = {min_samples}\n".encode()), NOW)
        assert terms.least == terms.circumstances((), None).least == least


def test_the_circumstances_are_the_policys_and_the_rounds() -> None:
    doubt = finding(Verdict.VACUOUS, Code.SEVERAL_MODELS, "Two models.")
    found = TERMS.circumstances(("w",), -2.0, ago(600), scrape_s=15.0, mixed_models=doubt)
    assert (found.now, found.since, found.skew_s, found.warnings) == (NOW, ago(600), -2.0, ("w",))
    assert (found.min_samples, found.min_coverage) == (1000, 0.99)
    assert (found.long_s, found.short_s, found.required_s) == (600, CELL_S, DAY_S)
    assert (found.scrape_s, found.mixed_models) == (15.0, doubt)


def test_what_a_policy_measures() -> None:
    assert TERMS.ratio == ERRORS
    assert TERMS.latency == "grinder_ml_inference_latency_ms"


class TestDeciding:
    def test_the_long_window_where_nothing_breaches(self) -> None:
        assert case().deciding == (worst(20.0), DAY_S)

    def test_the_window_that_breaches(self) -> None:
        assert case(**shorts(a=300.0)).deciding == (worst(300.0), CELL_S)
        assert case(**longs(a=200.0), **shorts(a=300.0)).deciding == (worst(200.0), DAY_S)

    def test_the_worst_is_told_among_all_that_were_measured(self) -> None:
        found, window_s = case(**two(**longs(a=20.0, b=130.0))).deciding
        assert (found, window_s) == (worst(130.0, B, 2), DAY_S)

    def test_without_a_number_there_is_no_breach(self) -> None:
        assert case(FREE).breach({}, None) is None
        assert case(FREE).breach({}, worst(math.nan)) is None
        assert case(FREE).breach({}, worst(math.inf)) is None
        assert case(P99).breach({}, None) is None

    @pytest.mark.parametrize(("lately", "there"), [(3.9, False), (4.0, True)])
    def test_the_short_value_is_that_of_engines_which_infer(self, lately: float, *, there: bool) -> None:
        assert (case(lately={A: lately}).short is not None) == there
        assert (case(FREE, lately={A: lately}).short is not None) == there
        assert case(lately={}).short is None
        assert case(FREE, lately={}).short is None


class TestShare:
    @pytest.mark.parametrize(
        ("scrapes", "share"), [(5_760.0, 1.0), (2_880.0, 0.5), (5_761.0, 1.0), (9_000.0, 1.0), (0.0, 0.0)]
    )
    def test_what_was_scraped_of_the_long_window(self, scrapes: float, share: float) -> None:
        assert case(seen={A: scrapes}).share(A) == share

    def test_what_is_unknown_is_the_whole_of_it(self) -> None:
        assert case(seen={}).share(A) == 1.0
        assert case(seen={A: 1.0}, scrape_s=None).share(A) == 1.0


class TestWords:
    @pytest.mark.parametrize(("value", "text"), [(0.063_456_7, "6.346 %"), (0.05, "5 %"), (0.0, "0 %")])
    def test_a_ratio_is_said_in_percent(self, value: float, text: str) -> None:
        assert words(ERRORS, value) == case(ERRORS).words(value) == text

    def test_others_in_their_unit(self) -> None:
        assert words(P99, 42.123_45) == "42.12 ms"
        assert words(FREE, 3.0) == "3", "without a unit the number stands alone"

    @pytest.mark.parametrize(
        ("value", "text"), [(499.0, "499 ms"), (500.0, "≥500 ms (clamped)"), (501.0, "≥501 ms (clamped)")]
    )
    def test_at_the_top_bucket_it_is_that_or_more(self, value: float, text: str) -> None:
        assert case().measured_words(worst(value)) == text

    def test_without_a_top_bucket_nothing_is_clamped(self) -> None:
        assert not case(buckets={A: Buckets((), None)}).clamped(worst(9e9))
        assert not case(buckets={B: Buckets(BOUNDS, 500.0)}).clamped(worst(9e9))


class TestUnclear:
    APART = Buckets((50.0, 250.0), 500.0)

    def test_the_long_window_is_told_first(self) -> None:
        found = case(**longs(a=120.0), **shorts(a=130.0), buckets={A: self.APART}).unclear
        assert found is not None
        assert (found.engine, found.low, found.high, found.window_s) == (A, 50.0, 250.0, DAY_S)

    def test_a_bucket_at_the_limit_makes_it_clear(self) -> None:
        assert case(**longs(a=99.0)).unclear is None
        assert not case().unclear_of(worst(99.0))
        assert case(buckets={A: self.APART}).unclear_of(worst(99.0))

    def test_what_has_no_buckets_is_clear(self) -> None:
        assert case(buckets={}).unclear is None


class TestReading:
    def test_of_a_good_day(self) -> None:
        found = reading_of(case(**two()), SCOPE, TERMS)
        assert (found.name, found.verdict, found.code, found.gate) == ("p99", Verdict.PASS, Code.WITHIN_LIMIT, True)
        assert (found.value, found.limit, found.unit, found.window_s) == (20.0, 100.0, "ms", DAY_S)
        assert (found.samples, found.series, found.clamped, found.attribution) == (9_000, 2, False, "artifact")
        assert dict(found.facts)["short"] == 18.0
        assert found.why.startswith("20 ms over 24h")
        assert "[24h]" in found.query

    def test_the_oldest_of_the_newest_samples_is_its_time(self) -> None:
        found = reading_of(case(**two(newest={A: ago(5), B: ago(30)})), SCOPE, TERMS)
        assert found.sampled_at == NOW - timedelta(seconds=30)
        assert reading_of(case(newest={}), SCOPE, TERMS).sampled_at is None

    def test_a_clamped_value_is_marked(self) -> None:
        assert reading_of(case(**longs(a=500.0)), SCOPE, TERMS).clamped
        assert not reading_of(case(**longs(a=499.0)), SCOPE, TERMS).clamped

    @pytest.mark.parametrize("long", [None, worst(math.nan), worst(20.0, infinite=True)])
    def test_what_is_no_number_has_no_value(self, long: object) -> None:
        found = reading_of(case(long=long, samples={}), SCOPE, TERMS)
        assert (found.value, found.samples, found.clamped) == (None, None, False)
        assert found.series == (0 if long is None else 1)

    def test_of_a_question_without_an_answer(self) -> None:
        failure = Failure(Ask(Kind.QUERY, "up"), "SourceUnreachable", "Prometheus is gone.", "Start it.")
        doubt = failure.finding
        for found in (failed_reading(P99, SCOPE, TERMS, failure), unasked_reading(P99, SCOPE, TERMS, doubt)):
            assert (found.name, found.verdict, found.code) == ("p99", Verdict.ERROR, Code.SOURCE_FAILED)
            assert (found.why, found.facts) == ("Prometheus is gone.", (("error", "SourceUnreachable"),))
            assert (found.value, found.limit, found.unit, found.series, found.gate) == (None, 100.0, "ms", 0, True)
            assert "[24h]" in found.query
