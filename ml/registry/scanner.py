"""JSON as text with positions: objects and arrays walked one level at a time, their values skipped in C."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
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
    """Read any value; for `members` where the caller needs only positions."""
    return _PLAIN.raw_decode(text, start)


def members(text: str, start: int, read: Callable[[str, str, int], tuple[T, int]]) -> tuple[tuple[Member[T], ...], int]:
    """Walk the object at ``start``, the index of its ``{``; return its members and the index after its ``}``.

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
    """Walk the array at ``start``, the index of its ``[``; return its elements and the index after its ``]``."""
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


# The layout of a registry file. New values are written like their neighbors.

_STRING_OR_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\n\r]+|([:,])')


@dataclass(frozen=True, slots=True)
class Raw:
    """A value that is text already, to be kept as it is; ``indent`` is the indentation of the line it stood on."""

    text: str
    indent: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Line end (empty: everything on one line), one step of indentation, and the text around ``:`` and ``,``."""

    newline: str
    indent: str
    colon: str
    comma: str
    escape: bool
    """True if non-ASCII characters are written as ``\\uXXXX``."""

    def render(self, value: object, indent: str, *, inline: bool = False) -> str:
        """Write a value as text for a line indented by ``indent``; on one line when ``inline``."""
        if isinstance(value, Raw):
            return self._moved(value, indent, inline=inline or not self.newline)
        if isinstance(value, Mapping):
            keys = (json.dumps(key, ensure_ascii=self.escape) + self.colon for key in value)
            inner = indent + self.indent
            parts = [
                key + self.render(child, inner, inline=inline) for key, child in zip(keys, value.values(), strict=True)
            ]
            return self._enclosed("{", parts, "}", indent, inline=inline)
        if isinstance(value, Sequence) and not isinstance(value, str):
            parts = [self.render(child, indent + self.indent, inline=inline) for child in value]
            return self._enclosed("[", parts, "]", indent, inline=inline)
        return json.dumps(value, ensure_ascii=self.escape, allow_nan=False)

    def _enclosed(self, opening: str, parts: Sequence[str], closing: str, indent: str, *, inline: bool) -> str:
        if not parts:
            return opening + closing
        if inline or not self.newline:
            return opening + self.comma.join(parts) + closing
        gap = self.newline + indent + self.indent
        return opening + gap + ("," + gap).join(parts) + self.newline + indent + closing

    def _moved(self, raw: Raw, indent: str, *, inline: bool) -> str:
        if inline:
            return compact(raw.text, self.colon, self.comma)
        # No JSON string holds a raw line end, so every one in the text is layout.
        return raw.text.replace(self.newline + raw.indent, self.newline + indent)


def layout_of(text: str) -> Layout:
    """Find the layout of a registry file by its first member."""
    start = skip_space(text, 0)
    key_start = skip_space(text, start + 1)
    _, key_end = any_value("", text, key_start)
    lead = text[start + 1 : key_start]
    newline = "\r\n" if "\r\n" in lead else "\n" if "\n" in lead else ""
    colon = text[key_end : skip_space(text, text.index(":", key_end) + 1)]
    comma = ", " if colon.endswith(" ") else ","
    escape = text.isascii() and "\\" in text and "\\u" in text
    return Layout(newline, lead.rpartition("\n")[2] if newline else "", colon, comma, escape)


def compact(text: str, colon: str = ":", comma: str = ",") -> str:
    """The same JSON on one line; strings and numbers keep their spelling."""

    def shrink(match: re.Match[str]) -> str:
        string, sign = match.groups()
        return string or {":": colon, ",": comma}.get(sign or "", "")

    return _STRING_OR_SPACE.sub(shrink, text)


def line_indent(text: str, index: int) -> str:
    """The indentation of the line that holds ``index``."""
    start = text.rfind("\n", 0, index) + 1
    end = start
    while text[end : end + 1] in (" ", "\t") and end < index:
        end += 1
    return text[start:end]
