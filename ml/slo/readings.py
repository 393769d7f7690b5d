"""One board round: a reading of every objective of every model, for at most one request per objective.

The models' questions are joined into one query, so the cost in requests does not grow with the registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo.case import Case
from ml.slo.judge import judge
from ml.slo.measured import measured
from ml.slo.promql import Scope, joined, split
from ml.slo.questions import questions, shown_query
from ml.slo.recording import Failure, Recorder
from ml.slo.source import Answer, Metrics
from ml.slo.terms import STALE_S, Terms
from ml.stage import Stage
from ml.verdict import Reading, Verdict

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


def board_readings(
    metrics: Metrics,
    policy: Policy,
    models: Sequence[str],
    now: datetime,
    *,
    stages: Mapping[str, Stage] | None = None,
    since: Mapping[str, datetime] | None = None,
    stale_s: float = STALE_S,
) -> dict[str, tuple[Reading, ...]]:
    """Read every objective of every model once. An objective whose question failed is ERROR.

    Args:
        stages: the stage on which a model is read, where it is not shadow.
        since: when a model's soak began, so that a window that is not full yet waits and does not lack data.
        stale_s: the age in seconds from which the newest sample is not believed.

    Raises:
        MetricsError: no objective at all got an answer, so there is nothing to show.
    """
    terms = Terms(policy, now, stale_s)
    scopes = {name: Scope((stages or {}).get(name, Stage.SHADOW), policy.selector(name)) for name in models}
    recorder = Recorder(metrics)
    rounds = [_one_objective(recorder, terms, each, scopes, since or {}) for each in policy.objectives if models]
    if recorder.exchanges and all(isinstance(each, Failure) for each in recorder.exchanges):
        raise next(each.error() for each in recorder.exchanges if isinstance(each, Failure))
    return {name: tuple(each[name] for each in rounds) for name in models}


def _one_objective(
    recorder: Recorder, terms: Terms, objective: Objective, scopes: Mapping[str, Scope], since: Mapping[str, datetime]
) -> dict[str, Reading]:
    numbers = {scope: str(number) for number, scope in enumerate(dict.fromkeys(scopes.values()))}
    asked = {
        f"{part}.{number}": promql
        for scope, number in numbers.items()
        for part, promql in questions(objective, scope, terms.windows, terms.latency).items()
    }
    answer = recorder.query(joined(asked))
    if isinstance(answer, Failure):
        return {name: failed_reading(objective, scope, terms, answer.cause) for name, scope in scopes.items()}
    parts, skew_s = split(answer.series), skew_of(answer)
    readings = {}
    for name, scope in scopes.items():
        mine = {key.partition(".")[0]: parts[key] for key in parts if key.partition(".")[2] == numbers[scope]}
        given = terms.circumstances(answer.warnings, skew_s, since.get(name))
        case = Case(objective, measured(objective, scope.stage, mine), given)
        readings[name] = reading_of(case, scope, terms)
    return readings


def skew_of(answer: Answer) -> float | None:
    """Prometheus's clock minus ours in seconds, from an answer that was evaluated at the server's own now."""
    moments = [point[0] for series in answer.series for point in series.points]
    if not moments:
        return None
    # The server evaluated somewhere between question and answer; only what lies outside of that is skew.
    ahead = max(moments) - answer.asked_at.timestamp()
    return ahead if ahead < 0 else max(0.0, ahead - answer.seconds)


def reading_of(case: Case, scope: Scope, terms: Terms) -> Reading:
    """A case, judged, as a reading."""
    verdict, why = judge(case)
    worst, window_s = case.deciding
    objective, samples = case.objective, case.measured.samples
    value = worst.value if worst is not None and worst.is_number else None
    return Reading(
        name=objective.name,
        verdict=verdict,
        why=why,
        query=shown_query(objective, scope, terms.windows.long),
        value=value,
        limit=objective.limit,
        unit=objective.unit,
        window_s=window_s,
        sampled_at=case.measured.newest,
        samples=None if samples is None else round(samples),
        series=0 if worst is None else worst.series,
        clamped=value is not None and case.clamped(value),
        gate=objective.gate,
    )


def failed_reading(objective: Objective, scope: Scope, terms: Terms, cause: str) -> Reading:
    """The reading of an objective whose question got no answer."""
    return Reading(
        name=objective.name,
        verdict=Verdict.ERROR,
        why=cause,
        query=shown_query(objective, scope, terms.windows.long),
        limit=objective.limit,
        unit=objective.unit,
        series=0,
        gate=objective.gate,
    )
