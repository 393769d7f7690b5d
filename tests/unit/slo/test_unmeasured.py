"""Engines that an objective does not measure: the question that finds them, and what is said of each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fixed_metrics import NOW
from support.judged import BOUNDS, ERRORS, FREE, P99, POLICY, A, B, case, longs, shorts, two

from ml.slo.buckets import Buckets
from ml.slo.judge import judge
from ml.slo.measured import Terms
from ml.slo.promql import Attribution
from ml.slo.questions import UNMEASURED, Windows, questions
from ml.slo.unmeasured import COUNTS, NEVER, STAGELESS
from ml.stage import Stage
from ml.verdict import Code, Verdict

DAY = Windows("24h", "5m")
# Below every limit, and of no histogram.
CALM = {**longs(a=0.01), **shorts(a=0.01), "buckets": {}}


@pytest.mark.parametrize("objective", [P99, ERRORS, FREE], ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("value", "verdict", "found"),
    [
        (NEVER, Verdict.NO_DATA, Code.ENGINE_NEVER_INFERRED),
        (COUNTS, Verdict.VACUOUS, Code.ENGINE_UNMEASURED),
        (STAGELESS, Verdict.VACUOUS, Code.ENGINE_UNMEASURED),
    ],
)
def test_a_healthy_engine_does_not_cover_one_that_is_not_measured(
    objective: object, value: float, verdict: Verdict, found: Code
) -> None:
    good = {} if objective is P99 else CALM
    judged = judge(case(objective, **good, unmeasured={B: value}))  # type: ignore[arg-type]
    assert (judged.verdict, judged.code, dict(judged.facts)) == (verdict, found, {"instance": "b:9100"})
    assert judged.why.startswith("b:9100 ")


def test_a_breach_of_another_engine_is_told_first() -> None:
    judged = judge(case(**longs(a=140.0), **shorts(a=140.0), unmeasured={B: NEVER}))
    assert judged.verdict is Verdict.FAIL


def test_of_several_the_one_that_infers_is_named() -> None:
    assert judge(case(unmeasured={A: NEVER, B: COUNTS})).code is Code.ENGINE_UNMEASURED


def test_inferences_without_a_bucket_beside_an_engine_with_buckets() -> None:
    changed = two(**longs(a=20.0), **shorts(a=18.0), buckets={A: Buckets(BOUNDS, 500.0)})
    judged = judge(case(**changed))
    assert (judged.verdict, judged.code) == (Verdict.NO_DATA, Code.NO_FINITE_BUCKET)
    assert "no bucket of grinder_ml_inference_latency_ms is scraped of b:9100" in judged.why


def test_attempts_without_a_ratio_of_their_own() -> None:
    judged = judge(case(ERRORS, **CALM, samples={A: 5_000.0, B: 12.0}))
    assert (judged.verdict, judged.code) == (Verdict.VACUOUS, Code.ENGINE_UNMEASURED)
    assert dict(judged.facts) == {"instance": "b:9100", "samples": 12.0}


@pytest.mark.parametrize("samples", [0.0, 0.4])
def test_no_attempt_needs_no_ratio(samples: float) -> None:
    assert judge(case(ERRORS, **CALM, samples={A: 5_000.0, B: samples})).verdict is Verdict.PASS


def test_a_free_query_needs_no_value_of_each_engine() -> None:
    assert judge(case(FREE, **two(**longs(a=1.0), **shorts(a=1.0), buckets={}))).verdict is Verdict.PASS


@pytest.mark.parametrize("attribution", list(Attribution))
@pytest.mark.parametrize("objective", [P99, ERRORS], ids=lambda each: each.name)
def test_each_objective_asks_for_engines_that_serve_and_for_those_that_count(
    objective: object, attribution: Attribution
) -> None:
    plain = Terms(POLICY, NOW).scope(Stage.SHADOW, "regime", "regime_v1")
    text = questions(objective, replace(plain, attribution=attribution), DAY)[UNMEASURED]  # type: ignore[arg-type]
    assert 'grinder_ml_model_info{mode="shadow"} > 0' in text
    assert 'grinder_ml_inference_errors_total{mode="shadow"}' in text
    assert "grinder_ml_active_on == 1" in text
    active = Terms(POLICY, NOW).scope(Stage.ACTIVE, "regime", "regime_v1")
    assert "active_on" not in questions(objective, active, DAY)[UNMEASURED]  # type: ignore[arg-type]


def test_a_policy_without_a_ratio_knows_engines_by_what_they_serve() -> None:
    bare = replace(Terms(POLICY, NOW).scope(Stage.SHADOW, "regime", "regime_v1"), counters=())
    text = questions(P99, bare, DAY)[UNMEASURED]
    assert "grinder_ml_model_info" in text
    assert "_total" not in text
