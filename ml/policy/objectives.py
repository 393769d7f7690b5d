"""Service levels: what is measured, and which value must not be reached."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ml.policy.fields import Metric, Name, Positive, Section, Text

_FIELDS_OF_KIND: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"quantile": ("metric", "quantile"), "ratio": ("errors", "successes"), "promql": ("query",)}
)


class Objective(Section):
    """One service level: its value must stay below ``limit`` (in ``unit``) for the verdict to be PASS.

    ``quantile`` reads the histogram ``metric`` (named without ``_bucket``); ``ratio`` is errors / (errors +
    successes) of two counters, 0 to 1; ``promql`` is any ``query`` with one number as the answer. ``gate`` tells
    whether it can block a promotion or is only shown.
    """

    name: Name
    kind: Literal["quantile", "ratio", "promql"]
    metric: Metric | None = None
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    errors: Metric | None = None
    successes: Metric | None = None
    query: Text | None = None
    limit: Positive
    unit: str = ""
    gate: bool = True

    @field_validator("metric")
    @classmethod
    def _histogram(cls, metric: str | None) -> str | None:
        if metric and metric.endswith("_bucket"):
            raise ValueError(f"the histogram is named without _bucket: {metric.removesuffix('_bucket')}")
        return metric

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        needed = _FIELDS_OF_KIND[self.kind]
        for field in (name for names in _FIELDS_OF_KIND.values() for name in names):
            if field in needed and getattr(self, field) is None:
                raise ValueError(f"an objective of kind {self.kind} needs {field}")
            if field not in needed and getattr(self, field) is not None:
                raise ValueError(f"an objective of kind {self.kind} has no {field}")
        if self.kind == "ratio" and self.limit > 1:
            raise ValueError(f"the limit {self.limit:g} of a ratio is above 1; 5 % is written 0.05")
        return self


def _latency(name: str, quantile: float, limit: float, *, gate: bool) -> dict[str, Any]:
    metric = "grinder_ml_inference_latency_ms"
    return {
        "name": name,
        "kind": "quantile",
        "metric": metric,
        "quantile": quantile,
        "limit": limit,
        "unit": "ms",
        "gate": gate,
    }


_DEFAULTS: tuple[Mapping[str, Any], ...] = (
    _latency("p99", 0.99, 100.0, gate=True),
    _latency("p999", 0.999, 250.0, gate=True),
    _latency("p95", 0.95, 50.0, gate=False),
    {
        "name": "error_rate",
        "kind": "ratio",
        "errors": "grinder_ml_inference_errors_total",
        "successes": "grinder_ml_inference_total",
        "limit": 0.05,
        "gate": True,
    },
)

DEFAULT_OBJECTIVES = tuple(Objective(**objective) for objective in _DEFAULTS)
"""The runbook's thresholds."""


def over_the_defaults(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The objectives of a file laid over the default ones of the same name; new ones come after them.

    Raises:
        ValueError: a name is there twice.
    """
    names = [each.get("name") for each in given]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"the objective {repeated} is there twice")
    changed = {each.get("name"): each for each in given}
    defaults = [{**default, **changed.pop(default["name"], {})} for default in _DEFAULTS]
    return [*defaults, *changed.values()]
