"""The service of each engine instance: its loaded artifact, its scrape, and its part in trading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ml.board import Serving
from ml.slo.batch import Answers, Batch
from ml.slo.exchanges import Failure, Recorder
from ml.slo.groups import Separation, selector_of, separation
from ml.slo.promql import INFO
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

    Models that one label separates share their questions. A second request is needed where a silent engine served
    several artifacts within the hour, to learn which was the last.

    Raises:
        MetricsError: the source gave no usable answer.
    """
    selectors = {name: policy.selector(name) for name in models}
    separated = {selector: separation(selector) for selector in selectors.values()}
    kin: dict[tuple[str, str], list[str]] = defaultdict(list)
    for found in separated.values():
        if found is not None:
            kin[found.label, found.rest].append(found.value)
    asked = {selector: _asked(selector, found, kin) for selector, found in separated.items()}
    batch = Batch(Recorder(metrics))
    answers = batch.ask(pair for parts in asked.values() for pair in parts.items() if pair[0] != _PAST)
    if isinstance(answers, Failure):
        raise answers.error()
    asked = {selector: _needed(parts, answers) for selector, parts in asked.items()}
    past = batch.ask((_PAST, parts[_PAST]) for parts in asked.values() if _PAST in parts)
    if isinstance(past, Failure):
        raise past.error()
    answers = answers.joined_with(past)
    instances = {
        selector: _instances({part: _of(answers, text, separated[selector], kin) for part, text in parts.items()})
        for selector, parts in asked.items()
    }
    return {name: instances[selector] for name, selector in selectors.items()}


_Kin = Mapping[tuple[str, str], Sequence[str]]


def _asked(selector: str, separated: Separation | None, kin: _Kin) -> dict[str, str]:
    """The questions about one selector, or those about all models that one label separates."""
    if separated is None or len(kin[separated.label, separated.rest]) == 1:
        return _questions(selector)
    label = separated.label
    return _questions(selector_of(label, kin[label, separated.rest], separated.rest), label)


def _of(answers: Answers, text: str, separated: Separation | None, kin: _Kin) -> Sequence[Series]:
    if separated is None or len(kin[separated.label, separated.rest]) == 1 or text.startswith(_UP):
        return answers.of(text)
    return answers.sorted_by(text, separated.label).get(separated.value, ())


def _needed(parts: Mapping[str, str], answers: Answers) -> dict[str, str]:
    """The parts without the question when each silent instance was seen last, where nothing depends on it."""
    keys = [_key(each) for each in answers.of(parts[_GONE])]
    dropped = _PAST if len(set(keys)) == len(keys) else _GONE
    return {part: text for part, text in parts.items() if part != dropped}


_PAST, _GONE = "past", "gone"
_UP = "min by (job, instance) (up"


def _questions(selector: str, label: str = "") -> dict[str, str]:
    """The questions about the engines of a selector. ``label`` separates its models, where there are several."""
    info = f"{INFO}{{{selector}}}" if selector else INFO
    active = f"{ACTIVE_ON}{{{selector}}}" if selector else ACTIVE_ON
    engine = f"job, instance, {label}" if label else "job, instance"
    shown = ", ".join(dict.fromkeys((*engine.split(", "), "mode", "artifact_id", "registry_commit")))
    return {
        "now": f"max by ({shown}) ({info} == 1)",
        # When each was seen last; an instance that fell silent at once may have lived between two steps.
        _GONE: f"group by ({shown}) (last_over_time({info}[{_MEMORY}]) unless on ({engine}) {info})",
        _PAST: f"max by ({shown}) ((max_over_time(timestamp({info})[{_MEMORY}:15s])"
        f" or last_over_time({info}[{_MEMORY}])) unless on ({engine}) {info})",
        "active": f"max by ({engine}) ({active})",
        "up": f"{_UP} and on (job, instance) last_over_time({info}[{_MEMORY}]))",
    }


def _instances(parts: Mapping[str, Sequence[Series]]) -> tuple[Serving, ...]:
    active, up = _by_instance(parts["active"]), _by_instance(parts["up"])
    last: dict[_Key, Series] = {}
    for each in sorted(parts.get(_PAST, parts.get(_GONE, ())), key=lambda series: series.points[-1][1]):
        last[_key(each)] = each
    instances = [_one(each, active, up) for each in parts["now"]]
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
