"""Whether an alert rule can fire at all, and whose alert it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.slo.alert_findings import Ours
from ml.slo.alerts import Selector, never_true, rewritten, selectors_of
from ml.stage import Stage

DEFAULT = "histogram_quantile(0.99, sum by (le, model, mode) (rate(grinder_ml_inference_latency_ms_bucket[5m])))"


@pytest.mark.parametrize(
    ("expression", "selectors"),
    [
        (f"{DEFAULT} > 100", ["grinder_ml_inference_latency_ms_bucket"]),
        ('rate(a_total{x="1",y=~"b|c"}[5m]) / on (job) group_left (x) b', ['a_total{x="1",y=~"b|c"}', "b"]),
        ("up == 0 and on (job, instance) active_on offset 5m", ["up", "active_on"]),
        ('{__name__="a"} > 1', ['{__name__="a"}']),
        ('count_values("v", a) by (b) > 1 # up', ["a"]),
        ('job:latency:p99{mode="}"} > 1e3', ['job:latency:p99{mode="}"}']),
        ("sum without (le) (a) unless b @ start() or a", ["a", "b"]),
        ("vector(1) > 0", []),
        ("time() > 1e9 and hour() < 7", []),
        ("Inf > NaN", []),
    ],
)
def test_the_selectors_of_an_expression_are_found(expression: str, selectors: list[str]) -> None:
    assert [each.text for each in selectors_of(expression)] == selectors


@given(st.text(max_size=80))
def test_no_expression_breaks_it(expression: str) -> None:
    selectors_of(expression)
    never_true(expression, 500.0)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("vector(0) > 0", "its expression reads no series"),
        ("up > +Inf", "no value is > +Inf"),
        ("up < -Inf", "no value is < -Inf"),
        ("up > NaN", "no value is > NaN"),
        ("up > up", "it compares a value with itself"),
        (f"{DEFAULT} > 500", "the top finite bucket is 500, so no quantile is > 500"),
        (f"{DEFAULT} >= 501", "the top finite bucket is 500, so no quantile is >= 501"),
    ],
)
def test_what_no_series_can_make_true(expression: str, why: str) -> None:
    assert never_true(expression, 500.0) == why


@pytest.mark.parametrize(
    "expression",
    [
        f"{DEFAULT} > 100",
        f"{DEFAULT} >= 500",
        f"{DEFAULT} * 10 > 600",
        f"{DEFAULT} > 499.9",
        "up == 0",
        "up < Inf",
        "a > b",
        "a > 1 or b > 600",
    ],
)
def test_what_some_series_can(expression: str) -> None:
    assert never_true(expression, 500.0) == ""


def test_an_unknown_top_bucket_forbids_nothing() -> None:
    assert never_true(f"{DEFAULT} > 600") == ""


@pytest.mark.parametrize(
    ("selector", "narrowed"),
    [
        (Selector("a"), 'a{mode="shadow"}'),
        (Selector("a", 'x="1"'), 'a{x="1",mode="shadow"}'),
        (Selector("a", 'x="1",'), 'a{x="1",mode="shadow"}'),
    ],
)
def test_a_selector_is_narrowed(selector: Selector, narrowed: str) -> None:
    assert selector.narrowed('mode="shadow"') == narrowed
    assert selector.narrowed("") == selector.text.replace(",}", "}")


def test_an_expression_is_rewritten_selector_by_selector() -> None:
    expression = 'sum by (up) (rate(a_total{x="1"} [5m])) / b > 0.05 # up'
    changed = rewritten(expression, lambda selector: selector.narrowed('mode="shadow"'))
    assert changed == 'sum by (up) (rate(a_total{x="1",mode="shadow"} [5m])) / b{mode="shadow"} > 0.05 # up'
    assert rewritten("vector(1)", lambda selector: "x") == "vector(1)"


OURS = Ours("regime", Stage.SHADOW, 'model="regime",env=~"prod|stage",zone!="z"', "regime_v1", frozenset({"a:1"}))


@pytest.mark.parametrize(
    ("labels", "concerns"),
    [
        ({}, True),
        ({"model": "regime", "mode": "shadow", "instance": "a:1", "artifact_id": "regime_v1"}, True),
        ({"model": "night"}, False),
        ({"mode": "active"}, False),
        ({"mode": "staging"}, False),
        ({"mode": "fast"}, True),
        ({"instance": "b:1"}, False),
        ({"artifact_id": "regime_v0"}, False),
        ({"env": "test"}, False),
        ({"env": "prod"}, True),
        ({"zone": "z"}, False),
        ({"zone": "y"}, True),
        ({"severity": "page"}, True),
    ],
)
def test_an_alert_is_ours_unless_a_label_says_otherwise(labels: dict[str, str], concerns: bool) -> None:
    assert OURS.concerns(labels) is concerns


def test_without_a_selector_the_models_own_name_counts() -> None:
    ours = Ours("regime", Stage.SHADOW)
    assert ours.concerns({"model": "regime", "instance": "anything:1"})
    assert not ours.concerns({"model": "night"})


def test_a_selector_of_another_label_value_is_believed_over_the_models_name() -> None:
    ours = Ours("regime", Stage.SHADOW, 'model="prod-regime"')
    assert ours.concerns({"model": "prod-regime"})
    assert not ours.concerns({"model": "regime"})


def test_an_expression_that_could_take_hours_counts_as_ours() -> None:
    assert Ours("regime", Stage.SHADOW, 'x=~"(([a-z])+.)+[A-Z]"').concerns({"x": "a" * 40})
