"""One board round: a reading of every objective of every model and stage, for at most one request per objective.

Their questions are joined into one query, so the cost in requests does not grow with the registry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml.slo.case import Case
from ml.slo.clocks import skew_of
from ml.slo.judged import failed_reading, reading_of
from ml.slo.measured import measured
from ml.slo.memory import POINTS, STEP_S, WINDOW, BoardMemory, trend_span
from ml.slo.promql import Scope, joined, split
from ml.slo.questions import judged_query, questions
from ml.slo.recording import Exchange, Failure, Recorder
from ml.slo.source import Answer, Metrics, Series
from ml.slo.tape import Grid, row
from ml.slo.terms import STALE_S, Terms
from ml.stage import Stage
from ml.verdict import Reading

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


@dataclass(frozen=True, slots=True)
class StageRead:
    """Whose readings are wanted: a model's stage, and when its soak began, so that a young window waits.

    A window that is not full yet waits for a soak; of a stage that does not soak it lacks data.
    """

    model: str
    stage: Stage = Stage.SHADOW
    since: datetime | None = None


def board_readings(
    metrics: Metrics,
    policy: Policy,
    wanted: Sequence[StageRead],
    now: datetime,
    *,
    stale_s: float = STALE_S,
    memory: BoardMemory | None = None,
) -> dict[StageRead, tuple[Reading, ...]]:
    """Read every objective of every stage that is wanted once. An objective whose question failed is ERROR.

    Args:
        stale_s: the age in seconds from which the newest sample is not believed.
        memory: of earlier rounds, for sparklines and for what to show when an answer is missed.

    Raises:
        MetricsError: no objective at all got an answer, so there is nothing to show.
    """
    recorder = Recorder(metrics)
    round_ = _Round(
        recorder=recorder,
        terms=Terms(policy, now, stale_s),
        memory=BoardMemory() if memory is None else memory,
        watched={each: _Watched(Scope(each.stage, policy.selector(each.model)), each.since) for each in wanted},
    )
    rounds = [round_.read(objective) for objective in policy.objectives if wanted]
    if recorder.exchanges and all(isinstance(each, Failure) for each in recorder.exchanges):
        raise next(each.error() for each in recorder.exchanges if isinstance(each, Failure))
    return {each: tuple(read[each] for read in rounds) for each in wanted}


@dataclass(frozen=True, slots=True)
class _Watched:
    """Whose series, and since when they are the soak's. Models that share both are asked about once."""

    scope: Scope
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    recorder: Recorder
    terms: Terms
    memory: BoardMemory
    watched: Mapping[StageRead, _Watched]

    def read(self, objective: Objective) -> dict[StageRead, Reading]:
        """One objective of every model, for one request."""
        numbers = {each: str(number) for number, each in enumerate(dict.fromkeys(self.watched.values()))}
        answer = self._ask(objective, numbers)
        if isinstance(answer, Failure):
            return {whose: self._missed(objective, whose, answer) for whose in self.watched}
        parts: dict[str, dict[str, tuple[Series, ...]]] = defaultdict(dict)
        for key, series in split(answer.series).items():
            part, _, number = key.partition(".")
            parts[number][part] = series
        return {
            whose: self._judged(objective, whose, answer, parts[numbers[each]]) for whose, each in self.watched.items()
        }

    def _ask(self, objective: Objective, numbers: Mapping[_Watched, str]) -> Exchange:
        """The answer to judge by: a fresh one, or the last one while the round's request goes into the trend."""
        promql = joined(
            {
                f"{part}.{number}": text
                for each, number in numbers.items()
                for part, text in questions(
                    objective, each.scope, self.terms.windows(each.since), self.terms.latency
                ).items()
            }
        )
        previous = self.memory.turn(objective.name, promql, self.terms.now)
        if previous is not None:
            failure = self._draw(objective, numbers)
            return failure or previous
        answer = self.recorder.query(promql)
        if isinstance(answer, Answer):
            self.memory.keep(objective.name, promql, answer)
        return answer

    def _draw(self, objective: Objective, numbers: Mapping[_Watched, str]) -> Failure | None:
        """Fetch the trends of one objective."""
        start, end = trend_span(self.terms.now)
        asked = {number: judged_query(objective, each.scope, WINDOW) for each, number in numbers.items()}
        answer = self.recorder.query_range(joined(asked), start, end, STEP_S)
        if isinstance(answer, Failure):
            return answer
        points, grid = split(answer.series), Grid(start - timedelta(seconds=STEP_S), STEP_S, POINTS)
        for each, number in numbers.items():
            self.memory.draw(objective.name, each, row(grid, points.get(number, ())))
        return None

    def _judged(
        self, objective: Objective, whose: StageRead, answer: Answer, parts: Mapping[str, tuple[Series, ...]]
    ) -> Reading:
        each = self.watched[whose]
        given = self.terms.circumstances(answer.warnings, skew_of(answer), each.since)
        case = Case(objective, measured(objective, each.scope.stage, parts), given)
        reading = reading_of(case, each.scope, self.terms)
        trend = self.memory.trend(objective.name, each)
        return self.memory.good((whose.model, whose.stage), replace(reading, trend=trend), self.terms.now)

    def _missed(self, objective: Objective, whose: StageRead, failure: Failure) -> Reading:
        failed = failed_reading(objective, self.watched[whose].scope, self.terms, failure)
        return self.memory.missed((whose.model, whose.stage), failed, self.terms.now)
