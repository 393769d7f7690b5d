"""When a soak began: the later of the pointer's landing and the first inference of its artifact seen after that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ml.clock import format_utc, span
from ml.slo.clocks import SKEW_S, moment_of
from ml.slo.promql import INFO, REMEMBERED, Attribution, Scope
from ml.slo.recording import Failure, Recorder
from ml.text import visible
from ml.verdict import Code, Finding, Verdict, finding

_FINE_S, _MOST_STEPS = 15, 5_000
_FAR = timedelta(days=8)
"""How far back a start is looked for, or a day more than a soak is long; an older soak counts from there."""


@dataclass(frozen=True, slots=True)
class SoakSubject:
    """Whose soak it is: the artifact in shadow, by its digest, and when its pointer landed on the base branch.

    ``unknown`` says why this clone cannot tell when that was; then ``landed_at`` is only the latest that it can be.
    ``others`` are the registry's other models that have something deployed.
    """

    model: str
    artifact_id: str
    model_sha256: str
    landed_at: datetime
    unknown: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """The moment, on a whole second; or ``None``, with what was found in its place."""

    at: datetime | None
    instead: Finding | None = None


def find_start(
    recorder: Recorder,
    scope: Scope,
    subject: SoakSubject,
    now: datetime,
    *,
    required_s: int,
    serving: Sequence[str] = (),
) -> Start:
    """Look for the first sign of life after the landing. ``serving``: other artifacts that engines say they serve."""
    landed = subject.landed_at
    if undated := _undated(subject, now):
        return Start(None, undated)
    since = max(landed, now - max(_FAR, timedelta(seconds=required_s, days=1)))
    waited_s = math.ceil((now - since).total_seconds())
    if waited_s <= 0:
        return Start(None, finding(Verdict.WAIT, Code.LANDED_JUST_NOW, "The pointer has only just landed."))
    answer = recorder.query(first_seen_query(scope, since, waited_s), at=now)
    if isinstance(answer, Failure):
        return Start(None, answer.finding)
    seen = next((moment_of(each.points[-1][1]) for each in answer.series if each.points), None)
    if seen is None:
        instead = f"; the engines serve {visible(serving[0], limit=120)}" if serving else ""
        why = f"No shadow inference was seen since it landed at {format_utc(landed)}{instead}."
        return Start(None, finding(Verdict.NO_DATA, Code.NEVER_INFERRED, why, landed_at=landed))
    if seen > now:
        why = "Prometheus says that the soak begins in the future."
        return Start(None, finding(Verdict.NO_DATA, Code.BEGINS_IN_FUTURE, why, begins_at=seen))
    return Start(_ceiling(max(seen, since)))


def _undated(subject: SoakSubject, now: datetime) -> Finding | None:
    """Why the landing is no moment from which a soak counts; ``None`` where it is one."""
    if subject.unknown:
        return finding(Verdict.NO_DATA, Code.LANDING_UNKNOWN, subject.unknown)
    early_s = (subject.landed_at - now).total_seconds()
    if early_s <= SKEW_S:
        return None
    why = f"The pointer landed {span(early_s)} in the future: a clock is wrong."
    return finding(Verdict.NO_DATA, Code.LANDED_IN_FUTURE, why, early_s=early_s)


def first_seen_query(scope: Scope, since: datetime, waited_s: int) -> str:
    """The first time at which an engine's count of latencies is another than at ``since`` while it serves the artifact.

    Another, not greater: an engine that restarted counts from zero. Where nobody says what serves, the landing alone
    binds the soak to the artifact.
    """
    by, step_s = scope.engines, max(_FINE_S, math.ceil(waited_s / _MOST_STEPS))
    series = scope.timed(f"{scope.latency}_count")
    count, before = f"sum by ({by}) ({series})", f"sum by ({by}) ({series} @ {since.timestamp():.3f})"
    moved = f"({count} > 0 unless on ({by}) ({count} == on ({by}) ({before}))){_while_serving(scope, count)}"
    return f"min_over_time((vector(time()) and on () ({moved}))[{waited_s}s:{step_s}s])"


def _while_serving(scope: Scope, count: str) -> str:
    """The condition that an engine serves the artifact, as far as engines say what they serve."""
    by = scope.engines
    ours = f"max by ({by}) ({scope.ours}) > 0"
    match scope.attribution:
        case Attribution.MODE:
            return ""
        case Attribution.ARTIFACT:
            return f" and on ({by}) ({ours})"
        case Attribution.MIXED:
            silent = f"{count} unless on ({by}) count by ({by}) (last_over_time({scope.timed(INFO)}[{REMEMBERED}]))"
            return f" and on ({by}) ({ours} or on ({by}) ({silent}))"


def _ceiling(moment: datetime) -> datetime:
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC)
