"""The released formats of evidence: one judge per format, and the fields of it that count.

**The seam.** A capsule holds the answers to the questions of its own day, so a format is judged by the judge that it
was released with, for ever. `_V1` uses the frozen copy in `ml.slo.v1`. `_V2`, the format that is written now, uses the
current judge in `ml.slo`. Before you change the questions or findings of a current judge after v2 is released: copy the
judge to ``ml/slo/v2``, let `_V2` use the copy, add a format `_V3` with the current judge, name that in `WRITTEN`, and
commit capsules of v2 below ``tests/data/evidence/v2``. Sentences may change at any time; no format looks at them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ml.clock import parse_utc
from ml.promotion.evidence_seal import plain
from ml.slo.charts import wordless

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
