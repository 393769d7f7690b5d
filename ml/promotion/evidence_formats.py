"""How each released format of evidence is judged again: one judge per format, and the fields of it that count.

**The seam.** A capsule holds the answers to the questions of its own day, so a format is judged by the judge that it
was released with, for ever. `_V1` uses the frozen copy in `ml.slo.v1`. `_V2`, the format that is written now, uses the
living judge in `ml.slo`. Whoever changes what a living judge asks or finds, after v2 was released: copy the judge as
it was to ``ml/slo/v2``, let `_V2` use the copy, add a format `_V3` with the living one, name that in `WRITTEN`, and
commit capsules of v2 below ``tests/data/evidence/v2``. Sentences may change at any time; no format looks at them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ml.clock import parse_utc
from ml.promotion.evidence_compare import Shape, shape
from ml.promotion.evidence_seal import plain
from ml.slo.svg import wordless

if TYPE_CHECKING:
    from ml.policy import Policy
    from ml.slo.recording import Replay
    from ml.slo.review import Review

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
    """What format v2 keeps of a review besides its model, its time and what was typed."""
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
