"""Canonical JSON in sealed parts, so that any changed byte is found and its part named. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from ml.slo.exchanges import moment
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding

SEAL = "seal"
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]')
_AROUND, _SHALLOW = 24, 2
_START = hashlib.sha256(b"mlconsole evidence v1").hexdigest()


def plain(value: Any) -> Any:
    """Frozen values as JSON values; times to the microsecond, numbers that JSON does not have as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _field(each.name, getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def _field(name: str, value: Any) -> Any:
    return plain(dict(value)) if name == "facts" else plain(value)


def canonical(value: Any) -> bytes:
    """The one way to write a JSON value: sorted keys, no spaces, ASCII; floats round-trip. One line."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sealed(parts: Mapping[str, Any]) -> bytes:
    """A document of parts with its seal: a digest of each part, and one chain over all of them in order."""
    digests = dict(_digests(parts))
    seal = {"parts": digests, "chain": _chain(digests)}
    return canonical({**parts, SEAL: seal}) + b"\n"


def opened(document: bytes) -> dict[str, Any]:
    """The document's values.

    Raises:
        ValueError: it is no JSON object, with what is wrong and where.
    """
    try:
        values = json.loads(document, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at byte {error.pos}, {_near(document, error.pos)}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{error}") from None
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    return values


def inspect(document: bytes, values: Mapping[str, Any]) -> Iterator[Check]:
    """Check that every byte is as sealed: one check of the form, then each changed part, or one for all."""
    yield _form(document, values)
    seal = values.get(SEAL)
    recorded = seal.get("parts") if isinstance(seal, dict) else None
    if not isinstance(seal, dict) or not isinstance(recorded, dict):
        yield finding(Verdict.FAIL, Code.ABSENT, "The document has no seal.").check("seal")
        return
    actual = dict(_digests({key: value for key, value in values.items() if key != SEAL}))
    intact = seal.get("chain") == _chain(actual)
    changed = sorted(name for name in actual.keys() | recorded.keys() if actual.get(name) != recorded.get(name))
    for name in changed:
        how = "is not what was sealed" if not intact else "is intact, but its line in the seal was changed"
        yield finding(Verdict.FAIL, Code.DIFFERS, f"The part {name} {how}.").check(f"part {name}")
    if not intact and not changed:
        yield finding(Verdict.FAIL, Code.DIFFERS, "The seal's chain was changed.").check("seal")
    if intact and not changed:
        yield finding(Verdict.PASS, Code.AGREES, f"All {len(actual)} parts are what was sealed.").check("seal")


def _form(document: bytes, values: Mapping[str, Any]) -> Check:
    proper = canonical(values) + b"\n"
    if proper == document:
        return finding(Verdict.PASS, Code.AGREES, "The document is canonical JSON.").check("form")
    pairs = enumerate(zip(proper, document, strict=False))
    at = next((index for index, (ours, theirs) in pairs if ours != theirs), min(len(proper), len(document)))
    why = f"The document is not canonical at byte {at}, {_near(document, at)}."
    return finding(Verdict.FAIL, Code.DIFFERS, why, byte=at).check("form")


def _near(document: bytes, position: int) -> str:
    """The part around a byte, found by nesting alone, because the document may be broken there.

    Between two parts the text itself is shown: the next one's name may be what was changed.
    """
    depth, name = 0, ""
    for token in _TOKENS.finditer(document, 0, position):
        text = token[0]
        if text in b"{[":
            depth += 1
        elif text in b"}]":
            depth -= 1
        elif depth == 1 and document[token.end() : token.end() + 1] == b":":
            name = text[1:-1].decode("utf-8", "replace")
    if not name:
        return "at its beginning"
    around = document[max(0, position - _AROUND) : position + _AROUND].decode("utf-8", "replace")
    shown = f", near “{visible(around)}”" if depth <= _SHALLOW else ""
    return f"in or after the part {visible(name, limit=40)}{shown}"


def _digests(parts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A digest of each part, in the order of names; lists of exchanges are sealed one by one."""
    for name in sorted(parts):
        value = parts[name]
        if name.endswith("exchanges") and isinstance(value, list):
            yield f"{name}", _digest(len(value))
            for number, each in enumerate(value):
                yield f"{name}[{number}]", _digest(each)
        else:
            yield name, _digest(value)


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


def _chain(digests: Mapping[str, str]) -> str:
    link = _START
    for name, digest in sorted(digests.items()):
        link = hashlib.sha256(f"{link} {name} {digest}".encode()).hexdigest()
    return link


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")
