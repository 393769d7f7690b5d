"""JSON as text with positions: objects and arrays walked one level at a time, their values skipped in C."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ml.text import visible

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


# Positions in a JSON text: the field path at a position, the position of a field path, the first error.
#
# This is the slow, exact parser, one token at a time and without recursion. It runs only after the fast one
# (`ml.registry.codec`) found an error.

MAX_DEPTH = 64
MAX_DIGITS = 18
"""Longest integer: anything longer does not fit the 64 bits in which other readers keep integers."""

_SHOWN_PARTS = 8

Path = tuple[str | int, ...]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_INTEGER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LONE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Offence:
    """A fault in a registry: its position, its field, and its description."""

    offset: int
    path: Path
    what: str


@dataclass(slots=True)
class _Frame:
    """An open object or array: the key or index under way, and the earlier keys."""

    is_object: bool
    at: str | int | None
    wants_key: bool
    seen: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Token:
    offset: int
    text: str
    path: Path
    depth: int
    repeated_key: bool = False


def show(path: Sequence[str | int]) -> str:
    """A field path in words: ``models.regime.history[3].pointer``; ``the top level`` for the empty one."""
    text = ""
    for part in path[:_SHOWN_PARTS]:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    text += "…" if len(path) > _SHOWN_PARTS else ""
    return visible(text, limit=200) if text else "the top level"


def line_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a position, both from 1, the column in characters."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def path_at(text: str, start: int, offset: int) -> Path:
    """The field path of the token at or before ``offset``, in the value that starts at ``start``."""
    path: Path = ()
    for token in _tokens(text, start):
        if token.offset > offset:
            break
        path = token.path
    return path


def offset_of(text: str, start: int, path: Path) -> int:
    """Return the start of the value at ``path``, or of its nearest ancestor when the path does not exist."""
    index = skip_space(text, start)
    for part in path:
        sign = text[index]
        if isinstance(part, str) and sign == "{":
            found = [member.start for member in members(text, index, any_value)[0] if member.key == part]
        elif isinstance(part, int) and sign == "[":
            found = [element.start for element in elements(text, index)[0][part : part + 1]]
        else:
            return index
        if not found:
            return index
        index = found[-1]
    return index


def first_offence(text: str, start: int, depth: int = 0) -> Offence | None:
    """The first thing in the value at ``start`` that JSON readers disagree about or that no registry may hold.

    ``depth`` is how many levels the value is inside already.
    """
    for token in _tokens(text, start):
        what = _offence(token, depth)
        if what:
            return Offence(token.offset, token.path, what)
    return None


def _offence(token: _Token, depth: int) -> str:
    if token.depth + depth > MAX_DEPTH:
        return f"the nesting is deeper than {MAX_DEPTH} levels"
    if token.repeated_key:
        return f"the key {visible(token.text, limit=80)} is there twice"
    return _text_offence(token.text) if token.text.startswith('"') else _number_offence(token.text)


def _number_offence(token: str) -> str:
    if token in ("NaN", "Infinity", "-Infinity"):
        return f"{token} is no JSON number"
    digits = token.removeprefix("-")
    if _INTEGER.fullmatch(token) and len(digits) > MAX_DIGITS:
        return f"an integer of {len(digits)} digits does not fit 64 bits"
    if _NUMBER.fullmatch(token) and not math.isfinite(float(token)):
        return f"{visible(token, limit=40)} is too large for a number"
    return ""


def _text_offence(token: str) -> str:
    try:
        value = json.loads(token)
    except json.JSONDecodeError:
        return ""  # a torn string or a raw control character: the JSON error itself says it better
    if _LONE.search(value):
        return "a lone surrogate is no character"
    control = _CONTROL.search(value)
    return f"the control character {visible(control.group())} is not allowed in text" if control else ""


def _tokens(text: str, start: int) -> Iterator[_Token]:
    """The tokens of one value with their field paths; ends with the value, or where the text is torn."""
    stack: list[_Frame] = []
    for match in _TOKEN.finditer(text, start):
        token = match.group()
        repeated = bool(stack) and _step(stack[-1], token)
        deeper = token in ("{", "[")
        path = tuple(part.at for part in stack if part.at is not None)
        yield _Token(match.start(), token, path, len(stack) + deeper, repeated)
        if deeper:
            stack.append(_Frame(token == "{", None if token == "{" else 0, token == "{"))
        elif token in ("}", "]") and stack:
            stack.pop()
        if not stack:
            return


def _step(frame: _Frame, token: str) -> bool:
    """Move on inside an open object or array by one token; whether the token is a key that was there before."""
    if token in ("}", "]"):
        frame.at = None
    elif token == ",":
        frame.at = frame.at + 1 if isinstance(frame.at, int) else None
        frame.wants_key = frame.is_object
    elif frame.wants_key and token.startswith('"'):
        frame.at, frame.wants_key = _key(token), False
        if frame.at in frame.seen:
            return True
        frame.seen.add(frame.at)
    return False


def _key(token: str) -> str:
    try:
        return str(json.loads(token))
    except json.JSONDecodeError:
        return token
