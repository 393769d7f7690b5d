"""The released formats of evidence: one judge per format, and the fields of it that count.

**The seam.** A capsule holds the answers to the questions of its own day, so a format is judged by the judge that it
was released with, for ever. `_V1` uses the frozen copy in `ml.slo.v1`. `_V2`, the format that is written now, uses the
current judge in `ml.slo`. Before you change the questions or findings of a current judge after v2 is released: copy the
judge to ``ml/slo/v2``, let `_V2` use the copy, add a format `_V3` with the current judge, name that in `WRITTEN`, and
commit capsules of v2 below ``tests/data/evidence/v2``. Sentences may change at any time; no format looks at them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ml.clock import parse_utc
from ml.slo.charts import wordless
from ml.slo.exchanges import moment
from ml.text import visible
from ml.verdict import Check, Code, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Policy
    from ml.slo.exchanges import Replay
    from ml.slo.review import Review


# The comparison of recorded and replayed values by shape: codes, numbers, names, times. Pure.
#
# A shape names the fields that count, so that neither a sentence nor a later field can make two values differ.

Shape = Mapping[str, "Shape | None"]
"""The fields that count, each with the shape of what is in it; ``None``: everything in it counts."""

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
"""The allowed difference of two floats, made from the same answers by another processor or in another order."""


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
    """True if every recorded value was found. Further values may exist: today's policy has newer keys."""
    if isinstance(told, Mapping) and isinstance(found, Mapping):
        return all(name in found and covered(told[name], found[name]) for name in told)
    if isinstance(told, list) and isinstance(found, list):
        return len(told) == len(found) and all(map(covered, told, found))
    return alike(told, found)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


WRITTEN = "v2"
"""The format that is written now."""

Written = Mapping[str, Any]
"""A part of a document, as JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One released format.

    ``soak`` judges the part ``soak`` again, with the policy of the document, from its recorded answers, and gives the
    report as JSON values. ``review`` gives the part ``review`` again as far as it counts. ``report``, ``gate`` and
    ``reviewed`` are the fields that count. ``waived``: the fields of what a waived gate was, under ``was``; ``None``
    where the format keeps that in the report alone.

    Both judges raise ConsoleError, ValueError, KeyError or TypeError where the document lacks what they need.
    """

    soak: Callable[[Replay, Policy, Written], Written]
    review: Callable[[Replay, Policy, Written], Written]
    report: Shape
    gate: Shape
    reviewed: Shape
    waived: Shape | None


def _soak_of_v1(replay: Replay, policy: Policy, soak: Written) -> Written:
    from ml.slo.v1.soak import Killed, SoakSubject, judge_soak  # noqa: PLC0415  only old evidence needs it

    subject, kills = SoakSubject(*_subject(soak)), [Killed(*times) for times in _kills(soak)]
    as_of = parse_utc(soak["report"]["as_of"])
    return _plain_report(judge_soak(replay, policy, subject, as_of, kills, stale_s=soak["stale_s"]).report)


def _review_of_v1(replay: Replay, policy: Policy, told: Written) -> Written:
    from ml.slo.v1.review import review  # noqa: PLC0415  only old evidence needs it

    seen = review(replay, policy, told["model"], parse_utc(told["as_of"]))
    # Oddities are sentences in this format, so only their number counts; the drawing shows the same day in numbers.
    same = len(told["oddities"]) == len(seen.oddities)
    return {
        "oddities": told["oddities"] if same else plain(seen.oddities),
        "svg_sha256": hashlib.sha256(seen.svg).hexdigest(),
    }


def _soak_of_v2(replay: Replay, policy: Policy, soak: Written) -> Written:
    from ml.slo.soak import Killed, SoakSubject, judge_soak  # noqa: PLC0415  as late as SciPy, see below

    said = soak["subject"]
    model, artifact_id, model_sha256, landed_at = _subject(soak)
    subject = SoakSubject(model, artifact_id, model_sha256, landed_at, said["unknown"], tuple(said["others"]))
    kills = [Killed(*times) for times in _kills(soak)]
    as_of = parse_utc(soak["report"]["as_of"])
    return _plain_report(judge_soak(replay, policy, subject, as_of, kills, stale_s=soak["stale_s"]).report)


def _review_of_v2(replay: Replay, policy: Policy, told: Written) -> Written:
    from ml.slo.review import review  # noqa: PLC0415  it loads SciPy

    return reviewed(review(replay, policy, told["model"], parse_utc(told["as_of"])))


def reviewed(seen: Review) -> dict[str, Any]:
    """Return the parts of a review that format v2 keeps besides its model, its time and the typed text."""
    return {
        "oddities": plain(seen.noted),
        "trouble": plain(seen.trouble),
        "svg_sha256": hashlib.sha256(seen.svg).hexdigest(),
        "drawing_sha256": hashlib.sha256(wordless(seen.svg)).hexdigest(),
    }


def _subject(soak: Written) -> tuple[Any, ...]:
    said = soak["subject"]
    return said["model"], said["artifact_id"], said["model_sha256"], parse_utc(said["landed_at"])


def _kills(soak: Written) -> Sequence[tuple[Any, ...]]:
    return [(parse_utc(each["start"]), parse_utc(each["end"]) if each["end"] else None) for each in soak["kills"]]


def _plain_report(report: Any) -> Written:
    written: Written = plain(report)
    return written


_V1_GATE = shape("name", "verdict", "value", "limit", "unit", "evidence", "waivable")
_V1_READING = shape(
    *("name", "verdict", "query", "value", "limit", "unit", "window_s"),
    *("sampled_at", "samples", "series", "clamped", "gate", "trend"),
)
_TAPE = shape("objective", "started_at", "step_s", "cells", "values", "limit", "unit", "worst", "longest_clean")
_REPORT = (
    *("model", "artifact_id", "model_sha256", "as_of", "verdict", "required_s"),
    *("started_at", "elapsed_s", "coverage", "breaches", "eligible_at"),
)
_FOUND = shape("verdict", "code", "facts")
_V2_GATE, _V2_READING = {**_V1_GATE, **_FOUND}, {**_V1_READING, **_FOUND, **shape("attribution")}
_V2_REPORT = (*_REPORT, "attribution", "restarts", "engines", "scrape_s")

_V1 = Format(
    soak=_soak_of_v1,
    review=_review_of_v1,
    report=shape(*_REPORT, gates=_V1_GATE, tapes=_TAPE, readings=_V1_READING),
    gate=_V1_GATE,
    reviewed=shape("oddities", "svg_sha256"),
    waived=None,
)
_V2 = Format(
    soak=_soak_of_v2,
    review=_review_of_v2,
    report=shape(*_V2_REPORT, gates=_V2_GATE, tapes={**_TAPE, **shape("seen")}, readings=_V2_READING),
    gate=_V2_GATE,
    reviewed=shape("drawing_sha256", oddities=_FOUND, trouble=_FOUND),
    waived=_FOUND,
)

FORMATS: Mapping[str, Format] = MappingProxyType({"v1": _V1, "v2": _V2})
"""Every format that was ever released, by its ``schema_version``."""


# Canonical JSON in sealed parts, so that any changed byte is found and its part named. Pure.

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
