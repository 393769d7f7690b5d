"""The PromQL texts: the runbook's to the letter, selectors merged, many questions in one."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fixed_metrics import NOW, POLICY, START

from ml.metrics_contract import quoted
from ml.policy import parse_policy
from ml.slo.measured import Terms
from ml.slo.promql import Attribution, Scope, joined, parcels, split
from ml.slo.questions import Windows, duration, judged_query, questions, shown_query
from ml.slo.source import Series
from ml.slo.tape import first_seen_query
from ml.stage import Stage

SHADOW = Scope(Stage.SHADOW)
P99, P999, _, ERRORS = POLICY.objectives
RUNBOOK = Path(__file__).parents[3] / "docs" / "RUNBOOK_19_ML_MODEL_PROMOTION.md"

THE_RUNBOOKS = (
    'histogram_quantile(0.99, sum(rate(grinder_ml_inference_latency_ms_bucket{mode="shadow"}[24h])) by (le))',
    'histogram_quantile(0.999, sum(rate(grinder_ml_inference_latency_ms_bucket{mode="shadow"}[24h])) by (le))',
    "rate(grinder_ml_inference_errors_total[24h]) / (rate(grinder_ml_inference_total[24h]) + 0.001)",
)


def test_the_default_queries_are_the_runbooks() -> None:
    assert tuple(shown_query(each, SHADOW, "24h") for each in (P99, P999, ERRORS)) == THE_RUNBOOKS
    assert set(THE_RUNBOOKS) <= set(RUNBOOK.read_text().splitlines())


def test_a_selector_is_merged_into_every_query() -> None:
    scope = Scope(Stage.SHADOW, 'model="regime",env=~"a|b"')
    assert shown_query(P99, scope, "24h") == THE_RUNBOOKS[0].replace('shadow"', 'shadow",model="regime",env=~"a|b"')
    for objective in POLICY.objectives:
        for promql in questions(objective, scope, Windows("24h", "5m")).values():
            assert promql.count("grinder_ml_") == promql.count('model="regime",env=~"a|b"'), promql


def test_the_active_stage_is_asked_about_as_such() -> None:
    assert 'mode="active"' in judged_query(P99, Scope(Stage.ACTIVE), "5m")
    assert 'mode=~"active|"' in judged_query(ERRORS, Scope(Stage.ACTIVE), "5m")


def test_a_free_query_gets_its_blanks_filled_and_nothing_else_touched() -> None:
    text = 'max_over_time(depth{$matchers,side=~"l.*$"}[$window]) # $selector $mode $$ $unknown'
    policy = parse_policy(f"[[objective]]\nname = 'own'\nkind = 'promql'\nquery = '{text}'\nlimit = 1\n".encode())
    filled = judged_query(policy.objectives[-1], Scope(Stage.SHADOW, 'model="a"'), "24h")
    assert filled == ('max_over_time(depth{mode="shadow",model="a",side=~"l.*$"}[24h]) # model="a" shadow $ $unknown')


@pytest.mark.parametrize(
    ("seconds", "text"), [(86_400, "24h"), (300, "5m"), (66_000, "1100m"), (45, "45s"), (3600, "1h")]
)
def test_durations_are_written_as_promql_reads_them(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_a_young_soak_is_measured_over_what_has_passed_of_it() -> None:
    terms = Terms(POLICY, NOW)
    assert terms.windows() == Windows("24h", "5m")
    assert terms.windows(START) == Windows("24h", "5m")
    assert terms.windows(NOW - (NOW - START) / 4) == Windows("6h", "5m")
    assert terms.windows(NOW) == Windows("5m", "5m")


def test_many_questions_are_one_balanced_tree_and_their_answers_come_apart() -> None:
    text = joined({f"part{number}": f"vector({number})" for number in range(64)})
    assert text.count(" or ") == 63
    depth = deepest = 0
    for char in text:
        depth += {"(": 1, ")": -1}.get(char, 0)
        deepest = max(deepest, depth)
    assert deepest < 10
    answered = [Series((("mlconsole", "part3"), ("x", "y")), ((1.0, 2.0),)), Series((("mlconsole", "part4"),), ())]
    assert split(answered) == {"part3": (Series((("x", "y"),), ((1.0, 2.0),)),), "part4": (Series((), ()),)}


def test_text_becomes_a_string_literal_that_cannot_end_early() -> None:
    assert quoted('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'
    hostile = Scope(Stage.SHADOW, artifact_id='x"} or vector(1) #', attribution=Attribution.ARTIFACT)
    query = first_seen_query(hostile, START, 86_460)
    assert 'artifact_id="x\\"} or vector(1) #"' in query
    assert "[86460s:18s]" in query


class TestWhoseNumbersTheyAre:
    """A vector by engine is narrowed to the engines that say that they serve the artifact, where any says so."""

    def scope(self, attribution: Attribution, **values: object) -> Scope:
        return Scope(Stage.SHADOW, 'model="a"', "a_v2026_02_16_001", ("instance",), attribution, **values)  # type: ignore[arg-type]

    def test_by_mode_alone_nothing_is_narrowed_but_counters_without_a_mode(self) -> None:
        scope = self.scope(Attribution.MODE)
        assert scope.attributed("x", "5m") == "x"
        assert scope.attributed("x", "5m", counter=True) == (
            "(x and on (instance) count by (instance) (count_over_time("
            'grinder_ml_inference_latency_ms_count{mode="shadow",model="a"}[5m])))'
        )
        labelled = self.scope(Attribution.MODE, modeless=False)
        assert labelled.attributed("x", "5m", counter=True) == "x"
        assert labelled.counted("total") == 'total{mode="shadow",model="a"}'

    def test_an_engine_counts_while_it_serves_the_artifact_and_no_other(self) -> None:
        promql = self.scope(Attribution.ARTIFACT).attributed("x", "5m")
        ours = 'grinder_ml_model_info{mode="shadow",artifact_id="a_v2026_02_16_001",model="a"}'
        assert promql == (
            f"(x and on (instance) (max by (instance) (max_over_time({ours}[5m])) > 0 unless on (instance) "
            f"max by (instance) (max_over_time({ours.replace('artifact_id=', 'artifact_id!=')}[5m])) > 0))"
        )

    def test_an_engine_that_never_says_is_known_by_its_mode(self) -> None:
        promql = self.scope(Attribution.MIXED).attributed("x", "5m")
        assert "unless on (instance) count by (instance) (last_over_time(grinder_ml_model_info" in promql

    def test_only_of_engines_that_served_something_else_cells_are_added_up(self) -> None:
        plain = self.scope(Attribution.ARTIFACT)
        swapped = self.scope(Attribution.ARTIFACT, swapped=True)
        assert "sum_over_time" not in judged_query(P99, plain, "24h", "5m")
        assert "[24h:5m]" in judged_query(P99, swapped, "24h", "5m")
        assert "sum_over_time" not in judged_query(P99, swapped, "5m", "5m")


class TestBirths:
    def test_a_counter_that_was_not_there_before_the_window_counts_its_highest_value(self) -> None:
        assert Scope(Stage.SHADOW, by=("instance",)).counts('x{a="b"}', "5m") == (
            'sum by (instance) ((max_over_time(x{a="b"}[5m]) unless last_over_time(x{a="b"}[1d] offset 5m)) '
            'or increase(x{a="b"}[5m]))'
        )

    def test_a_bucket_is_born_with_its_histogram_only(self) -> None:
        promql = Scope(Stage.SHADOW, by=("instance",)).counts('x_bucket{a="b"}', "5m", le=True)
        assert 'unless ignoring (le) last_over_time(x_bucket{a="b",le="+Inf"}[1d] offset 5m)' in promql
        assert promql.startswith("sum by (instance, le)")


def test_questions_are_parcelled_so_that_every_query_stays_short() -> None:
    asked = {f"q{number}": "x" * 4_000 for number in range(7)}
    parts = parcels(asked)
    assert {key: text for part in parts for key, text in part.items()} == asked
    assert [len(part) for part in parts] == [3, 3, 1]
    assert all(len(joined(part)) < 16_384 for part in parts)
    assert [list(part) for part in parcels({"long": "x" * 20_000, "short": "x"})] == [["long"], ["short"]]


def test_every_query_of_a_soak_is_short_enough_for_victoria_metrics() -> None:
    scope = Scope(
        Stage.SHADOW,
        'model="regime_classifier"',
        "regime_v2026_02_16_001",
        ("instance", "job", "model"),
        Attribution.MIXED,
        swapped=True,
    )
    for objective in POLICY.objectives:
        asked = questions(objective, scope, Windows("24h", "5m"))
        assert all(len(joined(part)) < 16_384 for part in parcels(asked))
