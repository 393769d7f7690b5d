"""JSON as text with positions: objects and arrays walked one level at a time, their values skipped in C."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Member(Generic[T]):
    """One ``"key": value`` of an object: where the key begins, and where the value begins and ends."""

    key: str
    key_start: int
    start: int
    end: int
    value: T


@dataclass(frozen=True, slots=True)
class Element:
    """One value of an array: where it begins and ends."""

    start: int
    end: int


def skip_space(text: str, index: int) -> int:
    """The first index at or after ``index`` that holds no JSON whitespace."""
    match = _SPACE.match(text, index)
    assert match
    return match.end()


def any_value(key: str, text: str, start: int) -> tuple[object, int]:
    """Read whatever value starts here; for `members` where the caller needs only positions."""
    return _PLAIN.raw_decode(text, start)


def members(text: str, start: int, read: Callable[[str, str, int], tuple[T, int]]) -> tuple[tuple[Member[T], ...], int]:
    """Walk the object whose ``{`` is at ``start``; returns its members and the index after its ``}``.

    ``read(key, text, index)`` reads one value and returns it with the index after it. Keys may repeat.

    Raises:
        json.JSONDecodeError: this level is no JSON object, with the position.
    """
    found: list[Member[T]] = []
    index = skip_space(text, start + 1)
    if text[index : index + 1] == "}":
        return (), index + 1
    while True:
        key_start = index
        if text[key_start : key_start + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, key_start)
        key, index = _PLAIN.raw_decode(text, key_start)
        index = _expect(text, index, ":")
        value, end = read(key, text, index)
        found.append(Member(key, key_start, index, end, value))
        index = skip_space(text, end)
        if text[index : index + 1] == "}":
            return tuple(found), index + 1
        index = _expect(text, index, ",")


def elements(text: str, start: int) -> tuple[tuple[Element, ...], int]:
    """Walk the array whose ``[`` is at ``start``; returns its elements and the index after its ``]``."""
    found: list[Element] = []
    index = skip_space(text, start + 1)
    if text[index : index + 1] == "]":
        return (), index + 1
    while True:
        _, end = _PLAIN.raw_decode(text, index)
        found.append(Element(index, end))
        index = skip_space(text, end)
        if text[index : index + 1] == "]":
            return tuple(found), index + 1
        index = _expect(text, index, ",")


def _expect(text: str, index: int, sign: str) -> int:
    index = skip_space(text, index)
    if text[index : index + 1] != sign:
        raise json.JSONDecodeError(f"Expecting '{sign}' delimiter", text, index)
    return skip_space(text, index + 1)
