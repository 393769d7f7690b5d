"""What gates and rungs need of an exporter, and the contract that is guessed from what it exports."""

from __future__ import annotations

import tomllib

import pytest

from ml.metrics_contract import RUNBOOK, parse_metrics
from ml.policy import parse_policy
from ml.slo.metrics_needs import Role, needs_of_kill, needs_of_model, questions
from ml.slo.metrics_proposal import best_histogram, engines_query, propose
from ml.slo.promql import Scope
from ml.slo.questions import shown_query
from ml.slo.source import Series
from ml.stage import Stage
from ml.verdict import Verdict

BOTH = (Stage.SHADOW, Stage.ACTIVE)
EVERYTHING = frozenset(Role)


def series(name: str, **labels: str) -> Series:
    return Series((("__name__", name), *sorted(labels.items())), ((0.0, 1.0),))


def test_the_runbooks_exporter_is_asked_for_each_gate_and_rung() -> None:
    needs = needs_of_model(parse_policy(None), "regime", [Stage.SHADOW])
    assert [(each.needed_by, each.query) for each in needs] == [
        (
            "soak and board: p99, p999, p95",
            'grinder_ml_inference_latency_ms_bucket{mode="shadow",le!="+Inf"}',
        ),
        ("soak and board: p99, p999, p95", 'grinder_ml_inference_latency_ms_count{mode="shadow"}'),
        ("soak and board: error_rate", 'grinder_ml_inference_total{mode=~"shadow|"}'),
        ("soak and board: error_rate", 'grinder_ml_inference_errors_total{mode=~"shadow|"}'),
        ("serving: DEPLOYED, SERVING", 'grinder_ml_model_info{mode="shadow",artifact_id!=""}'),
    ]
    assert [each.query for each in needs_of_kill(RUNBOOK)] == [
        'grinder_ml_block_total{reason="KILL_SWITCH_ENV"}',
        "grinder_ml_inference_total or grinder_ml_inference_errors_total or grinder_ml_inference_latency_ms_count",
    ]


def test_every_need_is_counted_with_its_labels_and_with_any() -> None:
    needs = needs_of_model(parse_policy(None), "", BOTH)
    asked = questions(needs)
    assert asked["0"] == 'count(grinder_ml_inference_latency_ms_bucket{mode="shadow",le!="+Inf"})'
    assert asked["0.bare"] == "count(grinder_ml_inference_latency_ms_bucket)"
    assert len(asked) == 2 * len(needs)


def test_a_gate_that_cannot_open_fails_and_a_weaker_proof_is_vacuous() -> None:
    latency, *_, serves = needs_of_model(parse_policy(None), "regime", [Stage.SHADOW])
    assert latency.judged(3, 3).verdict is Verdict.PASS
    missing = latency.judged(0, 7)
    assert missing.verdict is Verdict.FAIL
    assert dict(missing.facts) == {"series": 0, "other_labels": 7}
    assert serves.judged(0, 0).verdict is Verdict.VACUOUS


def test_an_objective_that_blocks_nothing_closes_nothing() -> None:
    policy = parse_policy(b'[[objective]]\nname = "own"\nkind = "promql"\nquery = "up"\nlimit = 1\ngate = false\n')
    own = next(each for each in needs_of_model(policy, "", [Stage.SHADOW]) if each.role is Role.QUERY)
    assert (own.query, own.bare, own.closes) == ("up", "", False)


def test_the_histogram_that_looks_most_like_inferences_is_taken() -> None:
    named = ["http_request_duration_seconds_bucket", "model_inference_seconds_bucket", "train_ms_bucket", "a b_bucket"]
    assert best_histogram(series(name) for name in named) == "model_inference_seconds"
    assert best_histogram([series("queue_size_bucket")]) == ""


def test_engines_are_asked_by_their_addresses() -> None:
    found = engines_query([series("x_count", instance="a:1"), series("x_count", instance='b"2')])
    assert found == '{instance=~"a:1|b\\"2",__name__!~".+_(bucket|created)"}'
    assert engines_query([series("x_count")]) == ""


EXPORTED = (
    series("serve_latency_ms_count", instance="a:1", track="canary"),
    series("serve_latency_ms_count", instance="b:1", track="production"),
    series("requests_total", instance="a:1", track="canary"),
    series("request_failures_total", instance="a:1", track="canary"),
    series("build_info", instance="a:1", image="regime_v1", git_revision="c0ffee"),
    series("skips_total", instance="a:1", cause="kill switch"),
    series("process_cpu_seconds_total", instance="a:1"),
)


def test_a_contract_is_guessed_from_names_and_values() -> None:
    found = propose(RUNBOOK, EVERYTHING, EXPORTED, "serve_latency_ms", ["regime_v1"])
    assert found is not None
    table = tomllib.loads(found.toml)["metrics"]
    assert table == {
        "latency": "serve_latency_ms",
        "unit": "ms",
        "successes": "requests_total",
        "errors": "request_failures_total",
        "labels": {"mode": "track", "shadow": "canary", "active": "production"},
        "serving": {"metric": "build_info", "artifact": "image", "commit": "git_revision"},
        "receipt": {"blocked": {"name": "skips_total", "where": {"cause": "kill switch"}}},
    }
    assert parse_metrics(table).stage_of("canary") is Stage.SHADOW
    assert found.not_found == ("receipt.active: no metric of these engines looks like it",)


def test_nothing_is_proposed_from_nothing() -> None:
    assert propose(RUNBOOK, EVERYTHING, (), "", ()) is None
    assert propose(RUNBOOK, (), EXPORTED, "serve_latency_ms", ()) is None


@pytest.mark.parametrize(
    "hostile",
    [
        series("skips_total", instance="a:1", cause="kill\n[ack]\napprovals = 1"),
        series("skips_total", instance="a:1", cause="kill \u202e"),
        Series((("__name__", "skips_total"), ('x = "y" } }\n[ack]\nphrase = "x"\n#', "kill")), ((0.0, 1.0),)),
        series('loaded_info"\n[ack]\n', instance="a:1", version="regime_v1"),
        series("loaded_info", instance="a:1", version='regime_v1"\n[ack]\n'),
    ],
)
def test_names_and_values_from_outside_never_become_other_rules(hostile: Series) -> None:
    found = propose(RUNBOOK, EVERYTHING, (*EXPORTED[:4], hostile), "serve_latency_ms", ["regime_v1"])
    if found is not None:
        assert set(tomllib.loads(found.toml)) == {"metrics"}
        assert all(line.isprintable() for line in found.toml.split("\n"))


def test_the_shown_error_rate_divides_counters_that_one_label_tells_apart() -> None:
    table = (
        '[metrics]\nsuccesses = { name = "p_total", where = { outcome = "ok" } }\n'
        'errors = { name = "p_total", where_not = { outcome = "ok" } }\n'
    )
    policy = parse_policy(table.encode())
    ratio = next(each for each in policy.objectives if each.kind == "ratio")
    assert shown_query(ratio, Scope(Stage.SHADOW, names=policy.metrics), "24h") == (
        'sum without (outcome) (rate(p_total{outcome!="ok"}[24h]))'
        ' / (sum without (outcome) (rate(p_total{outcome="ok"}[24h])) + 0.001)'
    )
