"""The service of each engine instance: its loaded artifact, its scrape, and its part in trading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ml.board import Serving
from ml.slo.promql import INFO, joined, split
from ml.slo.questions import ACTIVE_ON
from ml.slo.source import Metrics, Series
from ml.stage import Stage
from ml.text import visible

if TYPE_CHECKING:
    from ml.policy import Policy

_MEMORY = "1h"
"""The time for which a silent instance is still shown, as down."""

_Key = tuple[str, str]


def serving(metrics: Metrics, policy: Policy, models: Sequence[str]) -> dict[str, tuple[Serving, ...]]:
    """All engine instances by model, for one request. Models without an instance have an empty tuple.

    Raises:
        MetricsError: the source gave no usable answer.
    """
    selectors = {name: policy.selector(name) for name in models}
    numbers = {selector: str(number) for number, selector in enumerate(dict.fromkeys(selectors.values()))}
    asked = {f"{part}.{number}": promql for sel, number in numbers.items() for part, promql in _questions(sel).items()}
    if not asked:
        return {}
    parts = split(metrics.query(joined(asked)).series)
    found = {selector: _instances(parts, number) for selector, number in numbers.items()}
    return {name: found[selector] for name, selector in selectors.items()}


def _questions(selector: str) -> dict[str, str]:
    info = f"{INFO}{{{selector}}}" if selector else INFO
    active = f"{ACTIVE_ON}{{{selector}}}" if selector else ACTIVE_ON
    return {
        "now": f"{info} == 1",
        # When each was seen last; an instance that fell silent at once may have lived between two steps.
        "past": f"(max_over_time(timestamp({info})[{_MEMORY}:15s]) or last_over_time({info}[{_MEMORY}]))"
        f" unless on (job, instance) {info}",
        "active": active,
        "up": f"up and on (job, instance) last_over_time({info}[{_MEMORY}])",
    }


def _instances(parts: Mapping[str, tuple[Series, ...]], number: str) -> tuple[Serving, ...]:
    active = _by_instance(parts.get(f"active.{number}", ()))
    up = _by_instance(parts.get(f"up.{number}", ()))
    last: dict[_Key, Series] = {}
    for each in sorted(parts.get(f"past.{number}", ()), key=lambda series: series.points[-1][1]):
        last[_key(each)] = each
    now = parts.get(f"now.{number}", ())
    instances = [_one(each, active, up) for each in now]
    instances += [_one(each, {}, up) for key, each in last.items() if up.get(key) == 0]
    return tuple(sorted((each for each in instances if each is not None), key=lambda one: (one.stage, one.instance)))


def _one(info: Series, active: Mapping[_Key, float], up: Mapping[_Key, float]) -> Serving | None:
    key, mode = _key(info), info.label("mode")
    if mode not in set(Stage):
        return None
    alive = up.get(key)
    return Serving(
        instance=visible(key[1] or key[0], limit=80),
        stage=Stage(mode),
        artifact_id=visible(info.label("artifact_id"), limit=120),
        registry_commit=visible(info.label("registry_commit"), limit=64),
        active_on=active.get(key),
        up=None if alive is None else alive == 1,
    )


def _key(series: Series) -> _Key:
    return series.label("job"), series.label("instance")


def _by_instance(series: Sequence[Series]) -> dict[_Key, float]:
    return {_key(each): each.points[-1][1] for each in series}
