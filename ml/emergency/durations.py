"""How long each objective must fail before it is a breach: the ``for`` of its alert rule, as Prometheus loaded it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.slo.source import Answer

RULE_OF = {
    "p99": "MlInferenceLatencyHigh",
    "p999": "MlInferenceLatencyCritical",
    "error_rate": "MlInferenceErrorRateHigh",
}
"""Objective → the rule that alerts on the same condition (``ml/monitoring/ml_alerts.yml``)."""
USUAL = {"p99": 300.0, "p999": 180.0, "error_rate": 300.0, "alerts": 0.0}
"""What our own rules say; a firing alert has already waited."""


def durations(rules: Answer | None) -> Mapping[str, float]:
    """Seconds by objective, from the loaded rules where they are known and from `USUAL` where not."""
    if rules is None:
        return USUAL
    try:
        loaded = _loaded(rules)
    except (ValueError, KeyError, TypeError):
        return USUAL
    return USUAL | {objective: loaded[rule] for objective, rule in RULE_OF.items() if rule in loaded}


def _loaded(rules: Answer) -> dict[str, float]:
    found: dict[str, float] = {}
    for group in json.loads(rules.raw)["data"]["groups"]:
        for rule in group["rules"]:
            if rule.get("type") == "alerting":
                # Where one name is used twice, the rule that alerts first is the one to be as fast as.
                held = found.get(rule["name"], float("inf"))
                found[rule["name"]] = min(held, float(rule["duration"]))
    return found
