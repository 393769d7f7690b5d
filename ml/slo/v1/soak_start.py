"""The start of a soak: the later of the pointer's landing and the first inference of its artifact after that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ml.clock import format_utc, span
from ml.slo.exchanges import Failure, Recorder
from ml.slo.v1.measured import SKEW_S, moment_of
from ml.slo.v1.questions import Scope
from ml.verdict import Verdict

INFO = "grinder_ml_model_info"
_FINE_S, _MOST_STEPS = 15, 5_000
_FAR = timedelta(days=8)
"""How far back a start is looked for; an older soak counts from there."""


@dataclass(frozen=True, slots=True)
class SoakSubject:
    """The subject of a soak: the artifact in shadow, by its digest, and its landing on the base branch."""

    model: str
    artifact_id: str
    model_sha256: str
    landed_at: datetime


@dataclass(frozen=True, slots=True)
class Start:
    """The moment, on a whole second; or ``None``, with the verdict and sentence that say why there is none."""

    at: datetime | None
    verdict: Verdict = Verdict.PASS
    why: str = ""


def find_start(recorder: Recorder, scope: Scope, subject: SoakSubject, latency: str, now: datetime) -> Start:
    """Look for the first sign of life after the landing."""
    landed = subject.landed_at
    if landed > now + timedelta(seconds=SKEW_S):
        early = span((landed - now).total_seconds())
        return Start(None, Verdict.NO_DATA, f"The pointer landed {early} in the future: a clock is wrong.")
    since = max(landed, now - _FAR)
    waited_s = math.ceil((now - since).total_seconds())
    if waited_s <= 0:
        return Start(None, Verdict.WAIT, "The pointer has only just landed.")
    answer = recorder.query(first_seen_query(scope, subject.artifact_id, latency, since, waited_s), at=now)
    if isinstance(answer, Failure):
        return Start(None, Verdict.ERROR, answer.cause)
    first_at = next((moment_of(each.points[-1][1]) for each in answer.series if each.points), None)
    if first_at is None:
        return Start(None, Verdict.NO_DATA, f"No shadow inference was seen since it landed at {format_utc(landed)}.")
    if first_at > now:
        return Start(None, Verdict.NO_DATA, "Prometheus says that the soak begins in the future.")
    return Start(_ceiling(max(first_at, since)))


def first_seen_query(scope: Scope, artifact_id: str, latency: str, since: datetime, waited_s: int) -> str:
    """The first time at which the count of latencies is another than it was at ``since`` while the artifact serves.

    Another, not greater: an engine that restarted counts from zero. Where nobody says what serves, the landing alone
    binds the soak to the artifact.
    """
    count, step_s = scope.timed(f"{latency}_count"), max(_FINE_S, math.ceil(waited_s / _MOST_STEPS))
    moved = f"(sum({count}) > 0) != on () (sum({count} @ {since.timestamp():.3f}) or vector(-1))"
    ours = f"count({scope.timed_with(INFO, f'artifact_id={quoted(artifact_id)}')})"
    serves = f"({ours} or absent({scope.timed(INFO)}))"
    return f"min_over_time((vector(time()) and on () ({moved}) and on () {serves})[{waited_s}s:{step_s}s])"


def foreign_query(scope: Scope, artifact_id: str) -> str:
    """Present where another artifact than ours serves, and ours does not."""
    ours = scope.timed_with(INFO, f"artifact_id={quoted(artifact_id)}")
    return f"count({scope.timed(INFO)}) unless on () count({ours})"


def quoted(text: str) -> str:
    """A PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _ceiling(moment: datetime) -> datetime:
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC)
