"""The selectors that `init` proposes: only labels that tell the models' latencies apart, and safe in a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from support.fixed_metrics import FixedMetrics

from ml.policy import parse_policy
from ml.slo.groups import proposed_selectors

MODELS = {"a": ("a_v1", "a_v2"), "b": ("b_v1",)}


def proposed(
    timed: Sequence[Mapping[str, str]],
    info: Sequence[Mapping[str, str]],
    models: Mapping[str, Sequence[str]] = MODELS,
) -> dict[str, str]:
    metrics = FixedMetrics()
    metrics.instant = {"timed": [(each, 1.0) for each in timed], "info": [(each, 1.0) for each in info]}
    found = proposed_selectors(metrics, models)
    assert len(metrics.asked) == 1
    return found


def served(artifact: str, **labels: str) -> dict[str, str]:
    return {"artifact_id": artifact, "mode": "shadow", "instance": f"{artifact}:1", **labels}


def test_a_label_model_with_the_models_name_comes_first() -> None:
    assert proposed([{"model": "a", "job": "x"}, {"model": "b", "job": "y"}], []) == {
        "a": 'model="a"',
        "b": 'model="b"',
    }


def test_a_label_of_the_engines_that_serve_a_models_artifacts_tells_it() -> None:
    timed = [{"job": "x"}, {"job": "y"}]
    info = [served("a_v1", job="x"), served("a_v2", job="x"), served("b_v1", job="y")]
    assert proposed(timed, info) == {"a": 'job="x"', "b": 'job="y"'}


def test_a_label_model_with_another_name_is_taken_before_others() -> None:
    timed = [{"job": "x", "model": "first"}, {"job": "y", "model": "second"}]
    info = [served("a_v1", job="x", model="first"), served("b_v1", job="y", model="second")]
    assert proposed(timed, info) == {"a": 'model="first"', "b": 'model="second"'}


def test_a_label_that_only_the_info_metric_has_selects_no_latency_and_is_not_proposed() -> None:
    timed = [{"job": "x", "instance": "one:1"}]
    info = [served("a_v1", job="x", digest="11"), served("b_v1", job="x", digest="22")]
    assert proposed(timed, info) == {}


def test_a_model_that_only_the_info_metric_names_is_not_selected_by_that() -> None:
    timed = [{"job": "x"}, {"job": "y"}]
    info = [served("a_v1", job="x", model="a"), served("b_v1", job="y", model="b")]
    assert proposed(timed, info) == {"a": 'job="x"', "b": 'job="y"'}


@pytest.mark.parametrize(
    "info",
    [
        [served("a_v1", job="x"), served("b_v1", job="x")],  # one job for both
        [served("a_v1", job="x"), served("a_v2", job="y"), served("b_v1", job="z")],  # two jobs for one
        [served("a_v1", job="x"), served("a_v2"), served("b_v1")],  # a label that some lack
    ],
)
def test_nothing_is_proposed_for_a_model_that_no_label_tells(info: Sequence[Mapping[str, str]]) -> None:
    assert "a" not in proposed([{"job": "x"}, {"job": "y"}, {"job": "z"}], info)


@pytest.mark.parametrize("name", ['we"ird', "back\\slash", "a|b.*", "new\nline", "ünï"])
def test_hostile_names_are_quoted_so_that_a_policy_takes_them(name: str) -> None:
    (selector,) = proposed([{"model": name}], [], {name: ()}).values()
    escaped = selector.replace("\\", "\\\\").replace('"', '\\"')
    policy = parse_policy(f'[model.m]\nselector = "{escaped}"\n'.encode())
    assert policy.selector("m") == selector
    assert "\n" not in selector
