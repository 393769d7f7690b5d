"""Positions of a key's value in JSON and TOML text, so that an edit replaces these characters and no others.

The text is parsed whole by the standard library first; the scanners here only find positions in what is valid. The
kill key imports this module for a kill file of these formats; each parser is imported where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

_BLANKS = re.compile(r"[ \t\r\n]*")
_LONG_KEY = 40
"""Parts of a dotted TOML name: the standard library needs quadratic time for very many."""


class Unfit(Exception):
    """The file cannot be read as configured, or not be edited without harm. ``str()`` is a clause such as "it is …"."""


class Place(NamedTuple):
    """A value in the text, from ``start`` to ``end``."""

    start: int
    end: int
    value: object


class Hole(NamedTuple):
    """The position at which a missing key would be inserted, and the text before and after its value."""

    at: int
    before: str
    after: str


# --- JSON ------------------------------------------------------------------------------------------------------------
def parse_json(text: str) -> Any:
    """Parse strict JSON. Raises Unfit."""
    import json  # noqa: PLC0415 - see the module's docstring

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON value")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise Unfit(f"it is not JSON, see line {error.lineno}") from error
    except RecursionError as error:
        raise Unfit("it is nested too deeply") from error
    except ValueError as error:
        raise Unfit(f"it is not strict JSON: {error}") from error


def places_in_json(text: str, key: Sequence[str]) -> list[Place | Hole]:
    """Find every place of a key in valid JSON: one, unless names are repeated. Raises Unfit."""
    at = _past(text, 0)
    if text[at] != "{":
        raise Unfit("it holds no JSON object")
    return list(_json_places(text, at, key, 0))


def _json_places(text: str, opened: int, key: Sequence[str], depth: int) -> Iterator[Place | Hole]:
    found, empty = False, True
    for name, start, end, value in _members(text, opened):
        empty = False
        if name != key[depth]:
            continue
        found = True
        if depth + 1 == len(key):
            yield Place(start, end, value)
        elif isinstance(value, dict):
            yield from _json_places(text, start, key, depth + 1)
        else:
            raise Unfit(f"{'.'.join(key[: depth + 1])} is no object in it")
    if not found:
        yield _json_hole(text, opened, key[depth:], empty=empty)


def _members(text: str, opened: int) -> Iterator[tuple[str, int, int, object]]:
    """Name, position and value of each member of the object that opens at ``opened``."""
    from json.decoder import JSONDecoder, scanstring  # type: ignore[attr-defined]  # noqa: PLC0415

    decode = JSONDecoder().raw_decode
    at = _past(text, opened + 1)
    while text[at] == '"':
        name, at = scanstring(text, at + 1)
        start = _past(text, _past(text, at) + 1)
        value, end = decode(text, start)
        yield name, start, end, value
        at = _past(text, _past(text, end) + 1) if text[_past(text, end)] == "," else _past(text, end)


def _json_hole(text: str, opened: int, missing: Sequence[str], *, empty: bool) -> Hole:
    import json  # noqa: PLC0415 - see the module's docstring

    names = [json.dumps(name, ensure_ascii=False) for name in missing]
    before = ": {".join(names) + ": "
    after = "}" * (len(names) - 1)
    if empty:
        return Hole(opened + 1, before, after)
    return Hole(opened + 1, text[opened + 1 : _past(text, opened + 1)] + before, after + ",")


def _past(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    assert found is not None  # it matches the empty text
    return found.end()


# --- TOML ------------------------------------------------------------------------------------------------------------
def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML. Raises Unfit."""
    import tomllib  # noqa: PLC0415 - see the module's docstring

    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _LONG_KEY and re.sub(r"\"[^\"]*\"|'[^']*'", "", line).count(".") > _LONG_KEY:
            raise Unfit(f"line {number} has more than {_LONG_KEY} dots")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise Unfit("it is nested too deeply") from error
    except ValueError as error:
        raise Unfit("it is not TOML") from error


def places_in_toml(text: str, key: Sequence[str]) -> list[Place | Hole]:
    """Find the place of a key in valid TOML. Raises Unfit."""
    wanted = tuple(key)
    values, headers = _scan_toml(text)
    for path, place in values:
        if path == wanted:
            return [place]
        if path == wanted[: len(path)]:
            raise Unfit(f"{'.'.join(wanted[: len(path)])} is no table in it")
        if path[: len(wanted)] == wanted:
            raise Unfit(f"{'.'.join(wanted)} is a table in it")
    for path, _ in headers:
        if path[: len(wanted)] == wanted:
            raise Unfit(f"{'.'.join(wanted)} is a table in it")
    return [_toml_hole(text, wanted, headers)]


_Path = tuple[str | None, ...]
"""The path of a value. ``None`` marks an element of an array of tables, which no configured key can name."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_INLINE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'", re.DOTALL
)
_SCALAR = re.compile(r"[^,\]}#\n\r]+")


def _scan_toml(text: str) -> tuple[list[tuple[_Path, Place]], list[tuple[_Path, int]]]:
    """The values of valid TOML, each with its whole path, and the table headers with the ends of their lines."""
    values: list[tuple[_Path, Place]] = []
    headers: list[tuple[_Path, int]] = []
    arrays: set[_Path] = set()
    table: _Path = ()
    at = _end(_BETWEEN, text, 0)
    while at < len(text):
        if text[at] == "[":
            double = text.startswith("[[", at)
            names, at = _toml_name(text, at + 1 + double)
            if double:
                arrays.add(names)
            table = _marked(names, arrays)
            at = text.index("]", at) + 1 + double
            headers.append((table, _line_end(text, at)))
        else:
            at = _toml_pair(text, at, table, values)
        at = _end(_BETWEEN, text, at)
    return values, headers


def _marked(names: _Path, arrays: set[_Path]) -> _Path:
    """The path of a header, with a mark behind each part that is an array of tables."""
    marked: list[str | None] = []
    for number, name in enumerate(names, 1):
        marked.append(name)
        if names[:number] in arrays:
            marked.append(None)
    return tuple(marked)


def _toml_pair(text: str, at: int, table: _Path, values: list[tuple[_Path, Place]]) -> int:
    names, at = _toml_name(text, at)
    start = _end(_INLINE, text, text.index("=", at) + 1)
    path = table + names
    return _toml_value(text, start, path, values)


def _toml_value(text: str, start: int, path: _Path, values: list[tuple[_Path, Place]]) -> int:
    """Note the value that begins at ``start``; return its end. An inline table's own values are noted instead."""
    sign = text[start]
    if sign == "{":
        at = _end(_BETWEEN, text, start + 1)
        while text[at] != "}":
            at = _end(_BETWEEN, text, _toml_pair(text, at, path, values))
            at = _end(_BETWEEN, text, at + 1) if text[at] == "," else at
        values.append(((*path, None), Place(start, at + 1, None)))
        return at + 1
    if sign == "[":
        at = _end(_BETWEEN, text, start + 1)
        while text[at] != "]":
            at = _end(_BETWEEN, text, _toml_value(text, at, (*path, None), values))
            at = _end(_BETWEEN, text, at + 1) if text[at] == "," else at
        values.append((path, Place(start, at + 1, [])))
        return at + 1
    found = (_STRING if sign in "\"'" else _SCALAR).match(text, start)
    assert found is not None  # the text is valid
    end = start + len(found[0].rstrip(" \t")) if sign not in "\"'" else found.end()
    values.append((path, Place(start, end, None)))
    return end


def _toml_name(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """The parts of a dotted name, and the position behind it."""
    names: list[str] = []
    while True:
        at = _end(_INLINE, text, at)
        found = (_STRING if text[at] in "\"'" else _BARE).match(text, at)
        assert found is not None  # the text is valid
        names.append(_unquoted(found[0]))
        at = _end(_INLINE, text, found.end())
        if text[at] != ".":
            return tuple(names), at
        at += 1


def _unquoted(name: str) -> str:
    if name[0] not in "\"'":
        return name
    import tomllib  # noqa: PLC0415 - see the module's docstring

    return str(tomllib.loads(f"name = {name}")["name"])


def _toml_hole(text: str, wanted: tuple[str, ...], headers: list[tuple[_Path, int]]) -> Hole:
    line = "\r\n" if "\r\n" in text else "\n"
    leaf, parents = _quoted(wanted[-1]), wanted[:-1]
    if not parents:
        return Hole(0, f"{leaf} = ", line)
    for path, end in headers:
        if path == parents:
            gap = line if text[end - 1 : end] != "\n" else ""
            return Hole(end, f"{gap}{leaf} = ", line)
    gap = line if text and not text.endswith("\n") else ""
    return Hole(len(text), f"{gap}[{'.'.join(map(_quoted, parents))}]{line}{leaf} = ", line)


def _quoted(name: str) -> str:
    import json  # noqa: PLC0415 - see the module's docstring

    if _BARE.fullmatch(name):
        return name
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None  # each of these patterns matches the empty text
    return found.end()
