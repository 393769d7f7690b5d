"""The evidence of a promotion: canonical JSON of every verdict with the raw responses that it came from.

Anybody can check it offline, months later: `verify` reads the responses again, lets the same judge judge them again,
and names what differs. A seal over the parts names the part in which a byte was changed. Whoever changes both a part
and the seal changes the document's SHA-256, which stands in the commit's trailer and in the registry's event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ml.errors import ConsoleError
from ml.promotion.evidence_formats import WRITTEN, reviewed
from ml.promotion.evidence_replay import format_of, gates_again, policy_again, review_again
from ml.promotion.evidence_seal import inspect, opened, plain, sealed
from ml.promotion.values import Evidence, Target
from ml.slo import transcript
from ml.slo.clocks import skew_of
from ml.slo.source import Answer
from ml.text import visible
from ml.verdict import Check, Code, Gate, Verdict, finding

if TYPE_CHECKING:
    from ml.artifacts.digests import FileDigest
    from ml.policy import Policy
    from ml.slo.review import Review
    from ml.slo.soak import SoakJudgement


class Verified(NamedTuple):
    """An artifact's verification: its checks, and its files, each of which evidence pins (see `ml.promotion.pins`)."""

    checks: Sequence[Check] = ()
    files: Sequence[FileDigest] = ()


NOT_VERIFIED = Verified()


def build(
    *,
    target: Target,
    policy: Policy,
    gates: Sequence[Gate],
    now: datetime,
    tool_version: str,
    verified: Verified = NOT_VERIFIED,
    soak: SoakJudgement | None = None,
    review: Review | None = None,
    finding: str = "",
) -> Evidence:
    """Write the evidence of one judged checklist.

    Args:
        gates: as they were shown, waivers included.
        verified: what the artifact's verification found.
        finding: what the reviewer typed about the dashboard.
    """
    from ml.policy import policy_document  # noqa: PLC0415  pydantic is not needed to import this module

    parts = {
        "schema_version": WRITTEN,
        "as_of": plain(now),
        "tool": {"name": "mlconsole", "version": tool_version},
        "target": plain(target),
        "policy": {"in_force": policy_document(policy), "source": policy.source.decode()},
        "clock": _clock(soak, now),
        "checks": plain(verified.checks),
        "files": [{"path": file.name, "sha256": file.sha256, "size": file.size} for file in verified.files],
        "gates": plain(gates),
        "soak": _soak(soak),
        "soak_exchanges": [transcript.write(each) for each in soak.responses] if soak else [],
        "review": _review(review, finding),
        "review_exchanges": [transcript.write(each) for each in review.responses] if review else [],
    }
    document = sealed(parts)
    return Evidence(document, hashlib.sha256(document).hexdigest(), review.svg if review else b"")


def verify(document: bytes) -> tuple[Check, ...]:
    """Judge a document offline: its form, its seal, and every verdict again from the raw responses.

    One check per thing looked at; those that FAIL name what differs. Never raises for what the document holds.
    """
    try:
        values = opened(document)
    except ValueError as error:
        why = f"The document cannot be read: {visible(str(error), limit=200)}."
        return (finding(Verdict.FAIL, Code.UNREADABLE, why).check("form"),)
    return (*inspect(document, values), *_again(values))


def _again(values: Mapping[str, Any]) -> Iterator[Check]:
    try:
        format_of(values)
    except ValueError as error:
        yield finding(Verdict.FAIL, Code.UNREADABLE, str(error)).check("format")
        return
    try:
        yield from policy_again(values)
        yield from gates_again(values)
        yield from review_again(values)
    except (ConsoleError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        cause = error.cause if isinstance(error, ConsoleError) else f"{type(error).__name__} {error}."
        why = f"The document lacks what a judge needs: {visible(cause, limit=200)}"
        yield finding(Verdict.FAIL, Code.INCOMPLETE, why).check("judged again")


def _clock(soak: SoakJudgement | None, now: datetime) -> dict[str, Any]:
    answers = [each for each in soak.responses if isinstance(each, Answer)] if soak else []
    first = next((each for each in answers if each.query == "time()"), None)
    skew = skew_of(first) if first else None
    return {"console": plain(now), "asked_at": plain(first.asked_at) if first else None, "skew_s": plain(skew)}


def _soak(soak: SoakJudgement | None) -> dict[str, Any] | None:
    if soak is None:
        return None
    return {
        "subject": plain(soak.subject),
        "kills": plain(soak.kills),
        "stale_s": soak.stale_s,
        # The queries stand in the exchanges, with their answers.
        "report": plain(replace(soak.report, queries=())),
    }


def _review(review: Review | None, typed: str) -> dict[str, Any] | None:
    if review is None:
        return None
    return {
        "model": review.model,
        "as_of": plain(review.as_of),
        "finding": typed,
        **reviewed(review),
    }
