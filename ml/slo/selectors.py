"""The labels that tell several models' metrics apart, for the selectors of a first policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ml.slo.promql import INFO, joined, quoted, split
from ml.slo.questions import LATENCY
from ml.slo.source import Metrics, Series

_INNER = frozenset({"__name__", "mode", "le", "artifact_id", "registry_commit", "instance"})
_LATELY = "1d"


def proposed_selectors(metrics: Metrics, models: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return a selector for each model that the metrics tell apart; none for the others.

    A label ``model`` with the model's name comes first. Otherwise it is a label with one value on all engines that
    serve the model's artifacts, and on no other model's engines. Their latencies have it too: a label of
    ``grinder_ml_model_info`` alone selects nothing else. One request.

    Args:
        models: the artifacts that each model of the registry points to.

    Raises:
        MetricsError: the source gave no usable answer.
    """
    asked = {
        "timed": f"last_over_time({LATENCY}_count[{_LATELY}])",
        "info": f"last_over_time({INFO}[{_LATELY}])",
    }
    parts = split(metrics.query(joined(asked)).series)
    timed = parts.get("timed", ())
    there = (*timed, *parts.get("info", ()))
    named = {each.label("model") for each in timed or there}
    found = {}
    for name, artifacts in models.items():
        if name in named:
            found[name] = f"model={quoted(name)}"
            continue
        ours = [each for each in parts.get("info", ()) if each.label("artifact_id") in artifacts]
        others = [each for each in parts.get("info", ()) if each.label("artifact_id") not in artifacts]
        telling = _telling(ours, others, timed)
        if telling:
            found[name] = telling
    return found


def _telling(ours: Sequence[Series], others: Sequence[Series], timed: Sequence[Series]) -> str:
    """Return the first label (``model``, then by name) with one value that only these series have; else empty."""
    labels = sorted(
        {name for each in ours for name, _ in each.labels} - _INNER, key=lambda name: (name != "model", name)
    )
    for label in labels:
        values = {each.label(label) for each in ours}
        shown = not timed or not values.isdisjoint(each.label(label) for each in timed)
        if shown and len(values) == 1 and values.isdisjoint(each.label(label) for each in others):
            return f"{label}={quoted(values.pop())}"
    return ""
