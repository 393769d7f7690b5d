"""Selectors that claim the series of another model too: which may, and which do. Pure.

Two selectors with different values for one label exclude each other. Of any other two, the labels of the series decide:
a series that both take belongs to neither for certain. Regular expressions of a simple form are tried; one that is not
simple may take anything.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from ml.slo.groups import MATCHER, Separation, separation

MOST_RIVALS = 3
"""Rivals of one model that are looked at: one is enough to close a gate."""
_SIMPLE = re.compile(r"(?:[\w\-:/ ,@|]|\.[*+]?)*")
_MOST_WILD = 3
"""Wildcards of one expression that is tried: each may cost the square of a label's length."""

Labels = Sequence[tuple[str, str]]
_Matchers = tuple[tuple[str, str, str], ...]


def rivals_of(selectors: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the rivals of each model: their selectors do not exclude its own. At most `MOST_RIVALS` of them."""
    by_label: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, selector in selectors.items():
        found = separation(selector)
        by_label[found.label if found else ""][found.value if found else ""].append(name)
    return {
        name: tuple(islice(_rivals(name, selectors, separation(selector), by_label), MOST_RIVALS))
        for name, selector in selectors.items()
    }


def _rivals(
    name: str,
    selectors: Mapping[str, str],
    own: Separation | None,
    by_label: Mapping[str, Mapping[str, Sequence[str]]],
) -> Iterator[str]:
    for label, values in by_label.items():
        # Under the label that separates it, only models with the same value may take the same series.
        groups = [values.get(own.value, ())] if own is not None and label == own.label else values.values()
        for other in chain.from_iterable(groups):
            if other != name and not _exclusive(selectors[name], selectors[other]):
                yield other


def others_of(name: str, rivals: Sequence[str], deployed: Iterable[str]) -> tuple[str, ...]:
    """Return the other models to keep in mind beside one: its rivals first, then any that have something deployed."""
    others = (each for each in deployed if each != name)
    return tuple(islice(dict.fromkeys((*rivals, *islice(others, MOST_RIVALS))), MOST_RIVALS))


def _exclusive(one: str, other: str) -> bool:
    ours = {label: value for label, way, value in _matchers(one) if way == "="}
    return any(way == "=" and ours.get(label, value) != value for label, way, value in _matchers(other))


def rival_of(model: str, selector: str, rivals: Mapping[str, str], series: Sequence[Labels]) -> str:
    """Return the first rival that a series belongs to as much as to this model; empty where there is none.

    A selector that has all matchers of another and more is the narrower one: the doubt is the other's.

    Args:
        selector: the model's own; all ``series`` match it.
        rivals: selectors of other models, by name.
        series: labels of the series that count for the model, except for engines that say what they serve.
    """
    ours = set(_matchers(selector))
    for labels in series:
        named = dict(labels).get("model", "")
        if named == model:
            continue
        for name, theirs in rivals.items():
            if named == name or (not set(_matchers(theirs)) < ours and _takes(theirs, dict(labels))):
                return name
    return ""


def _takes(selector: str, labels: Mapping[str, str]) -> bool:
    """True if a selector takes a series, or may take it."""
    return all(_fits(way, value, labels.get(label, "")) for label, way, value in _matchers(selector))


def _fits(way: str, value: str, found: str) -> bool:
    if "\\" in value:
        return True
    if way in ("=", "!="):
        return (value == found) is (way == "=")
    if not _SIMPLE.fullmatch(value) or len(re.findall(r"\.[*+]", value)) > _MOST_WILD:
        return True
    return (re.fullmatch(value, found, re.DOTALL) is not None) is (way == "=~")


def _matchers(selector: str) -> _Matchers:
    return tuple((found[1], found[2], found[3]) for found in MATCHER.finditer(selector))
