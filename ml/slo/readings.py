"""One board round: a reading of every objective of every model, for at most one request per objective.

The models' questions are joined into one query, so the cost in requests does not grow with the registry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml.slo.case import Case
from ml.slo.clocks import skew_of
from ml.slo.judge import judge
from ml.slo.measured import measured
from ml.slo.memory import POINTS, STEP_S, WINDOW, BoardMemory, trend_span
from ml.slo.promql import Scope, joined, split
from ml.slo.questions import judged_query, questions, shown_query
from ml.slo.recording import Exchange, Failure, Recorder
from ml.slo.source import Answer, Metrics, Series
from ml.slo.tape import Grid, row
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
    memory: BoardMemory | None = None,
) -> dict[str, tuple[Reading, ...]]:
    """Read every objective of every model once. An objective whose question failed is ERROR.

    Args:
        stages: the stage on which a model is read, where it is not shadow.
        since: when a model's soak began, so that a window that is not full yet waits and does not lack data.
        stale_s: the age in seconds from which the newest sample is not believed.
        memory: of earlier rounds, for sparklines and for what to show when an answer is missed.

    Raises:
        MetricsError: no objective at all got an answer, so there is nothing to show.
    """
    terms, recorder = Terms(policy, now, stale_s), Recorder(metrics)
    stages, since = stages or {}, since or {}
    watched = {
        name: _Watched(Scope(stages.get(name, Stage.SHADOW), policy.selector(name)), since.get(name)) for name in models
    }
    memory = BoardMemory() if memory is None else memory
    rounds = [_one_objective(recorder, terms, each, watched, memory) for each in policy.objectives if models]
    if recorder.exchanges and all(isinstance(each, Failure) for each in recorder.exchanges):
        raise next(each.error() for each in recorder.exchanges if isinstance(each, Failure))
    return {name: tuple(each[name] for each in rounds) for name in models}


@dataclass(frozen=True, slots=True)
class _Watched:
    """Whose series, and since when they are the soak's. Models that share both are asked about once."""

    scope: Scope
    since: datetime | None


def _one_objective(
    recorder: Recorder, terms: Terms, objective: Objective, watched: Mapping[str, _Watched], memory: BoardMemory
) -> dict[str, Reading]:
    numbers = {each: str(number) for number, each in enumerate(dict.fromkeys(watched.values()))}
    promql = joined(
        {
            f"{part}.{number}": text
            for each, number in numbers.items()
            for part, text in questions(objective, each.scope, terms.windows(each.since), terms.latency).items()
        }
    )
    answer = _asked(recorder, terms, objective, numbers, memory, promql)
    if isinstance(answer, Failure):
        return {
            name: memory.missed(name, failed_reading(objective, each.scope, terms, answer.cause), terms.now)
            for name, each in watched.items()
        }
    parts: dict[str, dict[str, tuple[Series, ...]]] = defaultdict(dict)
    for key, series in split(answer.series).items():
        part, _, number = key.partition(".")
        parts[number][part] = series
    skew_s = skew_of(answer)
    readings = {}
    for name, each in watched.items():
        found = measured(objective, each.scope.stage, parts[numbers[each]])
        case = Case(objective, found, terms.circumstances(answer.warnings, skew_s, each.since))
        reading = replace(reading_of(case, each.scope, terms), trend=memory.trend(objective.name, each))
        readings[name] = memory.good(name, reading, terms.now)
    return readings


def _asked(
    recorder: Recorder,
    terms: Terms,
    objective: Objective,
    numbers: Mapping[_Watched, str],
    memory: BoardMemory,
    promql: str,
) -> Exchange:
    """The answer to judge by: a fresh one, or the last one while the round's request went into the trend."""
    previous = memory.turn(objective.name, promql, terms.now)
    if previous is None:
        answer = recorder.query(promql)
        if isinstance(answer, Answer):
            memory.keep(objective.name, promql, answer)
        return answer
    start, end = trend_span(terms.now)
    asked = {number: judged_query(objective, each.scope, WINDOW) for each, number in numbers.items()}
    drawn = recorder.query_range(joined(asked), start, end, STEP_S)
    if isinstance(drawn, Failure):
        return drawn
    points, grid = split(drawn.series), Grid(start - timedelta(seconds=STEP_S), STEP_S, POINTS)
    for each, number in numbers.items():
        memory.draw(objective.name, each, row(grid, points.get(number, ())))
    return previous


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
        query=shown_query(objective, scope, terms.windows().long),
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
        query=shown_query(objective, scope, terms.windows().long),
        limit=objective.limit,
        unit=objective.unit,
        series=0,
        gate=objective.gate,
    )
