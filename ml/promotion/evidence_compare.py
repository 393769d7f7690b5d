"""What was told against what is found when it is judged again, by shape: codes, numbers, names, times. Pure.

A shape names the fields that count, so that neither a sentence nor a field that came later can make two values differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

Shape = Mapping[str, "Shape | None"]
"""The fields that count, each with the shape of what is in it; ``None``: everything in it counts."""

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
"""How far two floats may lie apart that another processor, or another order of adding, made of the same answers."""


def shape(*names: str, **inside: Shape) -> Shape:
    """A shape of plain fields, and of fields that have a shape themselves."""
    return {**dict.fromkeys(names), **inside}


def differing(told: Any, found: Any, wanted: Shape) -> tuple[str, ...]:
    """The fields in which two values differ, sorted; a value that is no mapping differs in all of them."""
    if not isinstance(told, Mapping) or not isinstance(found, Mapping):
        return tuple(sorted(wanted))
    return tuple(sorted(_differing(told, found, wanted)))


def _differing(told: Mapping[str, Any], found: Mapping[str, Any], wanted: Shape) -> Iterator[str]:
    for name, inside in wanted.items():
        if name not in told or name not in found or not _same(told[name], found[name], inside):
            yield name


def _same(told: Any, found: Any, inside: Shape | None) -> bool:
    if inside is None:
        return alike(told, found)
    if isinstance(told, list) and isinstance(found, list):
        return len(told) == len(found) and all(map(_same, told, found, [inside] * len(told)))
    if told is None or found is None:
        return told is found
    return not differing(told, found, inside)


def alike(told: Any, found: Any) -> bool:
    """Two JSON values are the same, floats within their noise."""
    if isinstance(told, Mapping) and isinstance(found, Mapping):
        return told.keys() == found.keys() and all(alike(told[name], found[name]) for name in told)
    if isinstance(told, list) and isinstance(found, list):
        return len(told) == len(found) and all(map(alike, told, found))
    if _number(told) and _number(found):
        return math.isclose(told, found, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return isinstance(told, bool) is isinstance(found, bool) and bool(told == found)


def covered(told: Any, found: Any) -> bool:
    """Everything that was told is found, whatever else is: a policy of today has keys that yesterday's had not."""
    if isinstance(told, Mapping) and isinstance(found, Mapping):
        return all(name in found and covered(told[name], found[name]) for name in told)
    if isinstance(told, list) and isinstance(found, list):
        return len(told) == len(found) and all(map(covered, told, found))
    return alike(told, found)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
