"""The metrics contract: the runbook's names by default, others from the policy, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ml.metrics_contract import (
    ACTIVE_ON,
    INFO,
    LATENCY,
    RUNBOOK,
    SUCCESSES,
    Metric,
    MetricNames,
    MetricsInvalid,
    parse_metrics,
)
from ml.policy import PolicyInvalid, parse_policy, policy_document
from ml.stage import Stage

FOREIGN = """
[metrics]
latency   = "inference_seconds"
successes = { name = "predictions_total", where = { outcome = "ok" } }
errors    = { name = "predictions_total", where_not = { outcome = "ok" } }

[metrics.labels]
mode   = "deployment"
active = "live"

[metrics.serving]
metric   = "loaded_model"
artifact = "version"

[metrics.receipt]
engaged  = "kill_switch_on"
inferred = ["inference_seconds_count"]
"""


def names(text: str, model: str = "") -> MetricNames:
    return parse_policy(text.encode()).metric_names(model)


def test_nothing_stated_is_the_runbook() -> None:
    assert names("") == RUNBOOK == parse_metrics({})
    assert str(RUNBOOK.metric(f"{LATENCY}_bucket")) == f"{LATENCY}_bucket"
    assert str(RUNBOOK.blocked) == 'grinder_ml_block_total{reason="KILL_SWITCH_ENV"}'
    assert [str(each) for each in RUNBOOK.counters] == [
        SUCCESSES,
        "grinder_ml_inference_errors_total",
        f"{LATENCY}_count",
    ]
    assert (RUNBOOK.in_stage("shadow"), RUNBOOK.in_stage("active", or_none=True)) == (
        'mode="shadow"',
        'mode=~"active|"',
    )


def test_the_policy_states_other_names() -> None:
    found = names(FOREIGN)
    assert str(found.metric(f"{LATENCY}_bucket")) == "inference_seconds_bucket"
    assert str(found.metric(SUCCESSES)) == 'predictions_total{outcome="ok"}'
    assert str(found.errors) == 'predictions_total{outcome!="ok"}'
    assert (found.unit, found.mode, found.shadow, found.active) == ("seconds", "deployment", "shadow", "live")
    assert (str(found.metric(INFO)), found.artifact, found.commit) == ("loaded_model", "version", "registry_commit")
    assert str(found.metric(ACTIVE_ON)) == ACTIVE_ON
    assert (str(found.engaged), found.counters) == ("kill_switch_on", (Metric("inference_seconds_count"),))
    assert (found.stage_of("live"), found.stage_of("shadow"), found.stage_of("active")) == (
        Stage.ACTIVE,
        Stage.SHADOW,
        None,
    )
    assert found.metric("something_else") == Metric("something_else")


def test_a_models_own_table_lies_over_the_common_one() -> None:
    text = (
        FOREIGN + '\n[model.spacing.metrics]\nlatency = "spacing_ms"\n[model.spacing.metrics.labels]\nactive = "on"\n'
    )
    found = names(text, "spacing")
    assert (found.latency.name, found.unit, found.active, found.mode) == ("spacing_ms", "ms", "on", "deployment")
    assert names(text, "regime") == names(text)


def test_seconds_become_milliseconds_for_the_contracts_histogram_only() -> None:
    found = names(FOREIGN)
    assert found.milliseconds(LATENCY, "ms")
    assert found.milliseconds("inference_seconds", "ms")
    assert not found.milliseconds(LATENCY, "s")
    assert not found.milliseconds("another_ms", "ms")
    assert not RUNBOOK.milliseconds(LATENCY, "ms")


def test_the_document_reads_back_to_the_same_contract() -> None:
    found = names(FOREIGN)
    assert parse_metrics(found.document()) == found
    assert parse_metrics(RUNBOOK.document()) == RUNBOOK
    assert '"latency":"inference_seconds"' in policy_document(parse_policy(FOREIGN.encode()))


def test_a_contract_that_nobody_stated_leaves_the_policys_document_as_it_was() -> None:
    assert "metrics" not in policy_document(parse_policy(b"[model.regime]\nselector = 'model=\"regime\"'\n"))


HOSTILE = 'x"} or vector(0) #'


@pytest.mark.parametrize(
    ("table", "key", "why"),
    [
        ({"latencies": "x"}, "latencies", "did you mean latency?"),
        ({"labels": {"zzz": "x"}}, "labels.zzz", "known here: active, mode, shadow"),
        ({"successes": {"name": "x", "were": {}}}, "successes.were", "did you mean where"),
        ({"latency": HOSTILE, "unit": "ms"}, "latency", "no name of a metric"),
        ({"latency": "x\n", "unit": "ms"}, "latency", "no name of a metric"),
        ({"latency": "x_ms_bucket"}, "latency", "without _bucket"),
        ({"latency": "inference_time"}, "unit", 'say unit = "seconds"'),
        ({"unit": "hours"}, "unit", "neither ms nor seconds"),
        ({"successes": 5}, "successes", "neither a name nor a table"),
        ({"successes": {}}, "successes.name", "no name of a metric"),
        ({"errors": {"name": "x", "where": {"a-b": "c"}}}, "errors.where.a-b", "no label"),
        ({"errors": {"name": "x", "where": {"a": 5}}}, "errors.where.a", "no printable text"),
        ({"errors": {"name": "x", "where": {"a": "\u202e"}}}, "errors.where.a", "no printable text"),
        ({"errors": {"name": SUCCESSES}}, "errors", "one counter"),
        ({"errors": {"name": "x", "where": {"mode": "shadow"}}}, "errors", "tells shadow from active"),
        ({"labels": {"mode": "instance"}}, "labels.mode", "a meaning of its own"),
        ({"labels": {"mode": 'a="b"'}}, "labels.mode", "no name of a label"),
        ({"labels": {"shadow": ""}}, "labels.shadow", "no printable text"),
        ({"labels": {"shadow": "one", "active": "one"}}, "labels", "could not be told apart"),
        ({"serving": {"artifact": "mode"}}, "labels", "three different labels"),
        ({"receipt": {"inferred": []}}, "receipt.inferred", "no list of 1 to"),
        ({"receipt": "x"}, "receipt", "no table"),
    ],
)
def test_a_mistake_is_refused_by_its_key(table: dict[str, Any], key: str, why: str) -> None:
    with pytest.raises(MetricsInvalid, match=why.replace("?", r"\?")) as refused:
        parse_metrics(table)
    assert str(refused.value).startswith(f"{key}: ")


@pytest.mark.parametrize("place", ["metrics", "model.regime.metrics"])
def test_the_policy_names_the_table_of_a_mistake(place: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        parse_policy(f'[{place}]\nlatencies = "x"\n'.encode())
    assert place in refused.value.cause
    assert "did you mean latency?" in refused.value.cause
    assert refused.value.remedy == "Correct it in the base commit."


def test_two_tables_that_fit_alone_and_not_together_are_refused() -> None:
    text = '[metrics.labels]\nactive = "live"\n[model.regime.metrics.labels]\nshadow = "live"\n'
    with pytest.raises(PolicyInvalid, match="could not be told apart"):
        parse_policy(text.encode())


def test_values_of_labels_are_quoted() -> None:
    found = parse_metrics({"labels": {"active": HOSTILE, "shadow": "a.b|c"}})
    assert found.in_stage("active") == 'mode="x\\"} or vector(0) #"'
    assert found.in_stage("shadow", or_none=True) == 'mode=~"a\\\\.b\\\\|c|"'


def test_a_limit_in_another_unit_than_the_histograms_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match="unit 's', and spacing_ms is in ms"):
        parse_policy(b'[metrics]\nlatency = "spacing_ms"\n[[objective]]\nname = "p99"\nunit = "s"\nlimit = 1\n')
    assert parse_policy(b'[metrics]\nlatency = "x_seconds"\n[[objective]]\nname = "p99"\nunit = "s"\nlimit = 1\n')
