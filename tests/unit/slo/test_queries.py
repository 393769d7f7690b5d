"""The PromQL texts: the runbook's to the letter, selectors merged, many questions in one."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fixed_metrics import NOW, POLICY, START

from ml.policy import parse_policy
from ml.slo.promql import Scope, joined, split
from ml.slo.questions import Windows, duration, judged_query, questions, shown_query
from ml.slo.soak_start import first_seen_query, quoted
from ml.slo.source import Series
from ml.slo.terms import Terms
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
    query = first_seen_query(SHADOW, 'x"} or vector(1) #', "latency", START, 86_460)
    assert 'artifact_id="x\\"} or vector(1) #"' in query
    assert "[86460s:18s]" in query
