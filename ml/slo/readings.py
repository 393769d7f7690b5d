"""The readings of one poll: every objective of every model and stage, for one request per objective and one more.

That one asks which engines are there and what they serve. Questions of all models are joined into one query, so the
cost in requests does not grow with the registry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ml.slo.engines import Roster, roster_of
from ml.slo.exchanges import Exchange, Failure, Recorder, skew_of
from ml.slo.judge import failed_reading, reading_of, unasked_reading
from ml.slo.measured import STALE_S, Case, Terms, measured
from ml.slo.promql import Scope, joined, split
from ml.slo.questions import judged_query, questions, who_query_parts
from ml.slo.roster import several_models
from ml.slo.source import Absence, Answer, Metrics, Series
from ml.slo.tape import Grid, row
from ml.stage import Stage
from ml.verdict import Finding, Reading

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


# The memory between rounds: sparklines within a budget, and the last good reading of a failing objective.
#
# Every few minutes one objective's range query takes the place of its reading's query; in that round the objective is
# judged by its previous answer, a poll old. So a round never costs more than one request per objective, and no two
# objectives skip the same round.

POINTS, STEP_S, WINDOW = 24, 3600, "1h"
"""A sparkline is a day in points of an hour, each over the hour before it."""

_REFRESH = timedelta(minutes=5)
_ALIGN_S = 300

Trend = tuple[float | None, ...]


@dataclass(slots=True)
class BoardMemory:
    """One board's memory. Not shared between threads."""

    _answers: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    _trends: dict[tuple[str, Hashable], Trend] = field(default_factory=dict)
    _drawn_at: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _turn_at: datetime | None = None
    _readings: dict[tuple[Hashable, str], tuple[Reading, Absence]] = field(default_factory=dict)

    def keep(self, objective: str, promql: str, answer: Answer) -> None:
        """Remember the newest good answer to an objective's question."""
        self._answers[objective] = (promql, answer)

    def turn(self, objective: str, promql: str, now: datetime) -> Answer | None:
        """The previous answer to the same question, when this round may fetch this objective's trend instead."""
        asked, answer = self._answers.get(objective, ("", None))
        drawn_for, drawn_at = self._drawn_at.get(objective, ("", now))
        fresh = drawn_for == promql and timedelta() <= now - drawn_at < _REFRESH
        if answer is None or asked != promql or fresh or self._turn_at == now:
            return None
        self._turn_at = now
        self._drawn_at[objective] = (promql, now)
        return answer

    def draw(self, objective: str, key: Hashable, trend: Trend) -> None:
        """Remember a fetched trend."""
        self._trends[objective, key] = trend

    def trend(self, objective: str, key: Hashable) -> Trend:
        """The last fetched trend; empty before the first."""
        return self._trends.get((objective, key), ())

    def good(self, key: Hashable, reading: Reading, now: datetime) -> Reading:
        """Remember a reading that came from an answer."""
        self._readings[key, reading.name] = (reading, Absence(now))
        return reading

    def missed(self, key: Hashable, failed: Reading, now: datetime) -> Reading:
        """Return the reading for a missing answer: the last good one, later STALE; ``failed`` if there was none."""
        known = self._readings.get((key, failed.name))
        if known is None:
            return failed
        last, absence = known
        absence.missed(failed.why)
        return last.stale(absence.sentence(now)) if absence.stale else last


def trend_span(now: datetime) -> tuple[datetime, datetime]:
    """Return a trend's first and last point: round times, so that it changes only with a new fetch."""
    end = datetime.fromtimestamp(now.timestamp() // _ALIGN_S * _ALIGN_S, UTC)
    return end - timedelta(seconds=(POINTS - 1) * STEP_S), end


@dataclass(frozen=True, slots=True)
class StageRead:
    """The stage of a model to read: the artifact in it, and the start of the readings.

    ``since`` is the time of the soak's start or of the deployment: older measurements are not the artifact's, and a
    window that is not full yet waits. ``others`` are the registry's other models that have something deployed.
    """

    model: str
    stage: Stage = Stage.SHADOW
    since: datetime | None = None
    artifact_id: str = ""
    others: tuple[str, ...] = ()


def board_readings(
    metrics: Metrics,
    policy: Policy,
    wanted: Sequence[StageRead],
    now: datetime,
    *,
    stale_s: float = STALE_S,
    memory: BoardMemory | None = None,
) -> dict[StageRead, tuple[Reading, ...]]:
    """Read every objective of every stage once. An objective without an answer is ERROR.

    Args:
        stale_s: the age in seconds from which the newest sample is not believed.
        memory: of earlier rounds, for sparklines and for what to show when an answer is missed.

    Raises:
        MetricsError: no objective at all got an answer, so there is nothing to show.
    """
    recorder, terms = Recorder(metrics), Terms(policy, now, stale_s)
    plain = {each: _plain(each, policy, terms) for each in wanted}
    rosters = _rosters(recorder, terms, tuple(dict.fromkeys(plain.values())))
    round_ = _Round(
        recorder=recorder,
        terms=terms,
        memory=BoardMemory() if memory is None else memory,
        watched={each: _watched(each, policy, plain[each], rosters) for each in wanted},
    )
    rounds = [round_.read(objective) for objective in policy.objectives if wanted]
    if recorder.exchanges and all(isinstance(each, Failure) for each in recorder.exchanges):
        raise next(each.error() for each in recorder.exchanges if isinstance(each, Failure))
    return {each: tuple(read[each] for read in rounds) for each in wanted}


@dataclass(frozen=True, slots=True)
class _Watched:
    """The series to read, their start, and why they may be several models', if they may.

    Models that share all of it are asked about once.
    """

    scope: Scope
    since: datetime | None
    mixed_models: Finding | None = None
    failure: Finding | None = None


_Asked = tuple[Scope, datetime | None]


def _plain(each: StageRead, policy: Policy, terms: Terms) -> _Asked:
    scope = Scope(each.stage, policy.selector(each.model), each.artifact_id, latency=terms.latency)
    return scope, each.since


def _rosters(recorder: Recorder, terms: Terms, asked: Sequence[_Asked]) -> dict[_Asked, Roster]:
    """Ask for the engines, with one request."""
    questions_of = {
        f"{part}.{number}": text
        for number, (scope, since) in enumerate(asked)
        for part, text in who_query_parts(scope, terms.ratio, terms.latency, terms.windows(since).long).items()
    }
    if not questions_of:
        return {}
    answer = recorder.query(joined(questions_of))
    if isinstance(answer, Failure):
        return dict.fromkeys(asked, Roster(failure=answer.finding))
    parts: dict[str, dict[str, tuple[Series, ...]]] = defaultdict(dict)
    for key, series in split(answer.series).items():
        part, _, number = key.partition(".")
        parts[number][part] = series
    return {each: roster_of(parts[str(number)]) for number, each in enumerate(asked)}


def _watched(each: StageRead, policy: Policy, plain: _Asked, rosters: Mapping[_Asked, Roster]) -> _Watched:
    scope, since = plain
    roster = rosters[plain]
    mixed_models = several_models(roster, each.model, each.others, policy.selector(each.model))
    return _Watched(roster.narrowed(scope), since, mixed_models, roster.failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    recorder: Recorder
    terms: Terms
    memory: BoardMemory
    watched: Mapping[StageRead, _Watched]

    def read(self, objective: Objective) -> dict[StageRead, Reading]:
        """One objective of every model, for one request."""
        blind = next((each.failure for each in self.watched.values() if each.failure is not None), None)
        if blind is not None:
            return {stage: self._unasked(objective, stage, blind) for stage in self.watched}
        numbers = {each: str(number) for number, each in enumerate(dict.fromkeys(self.watched.values()))}
        answer = self._ask(objective, numbers)
        if isinstance(answer, Failure):
            return {stage: self._missed(objective, stage, answer) for stage in self.watched}
        parts: dict[str, dict[str, tuple[Series, ...]]] = defaultdict(dict)
        for key, series in split(answer.series).items():
            part, _, number = key.partition(".")
            parts[number][part] = series
        return {
            stage: self._judged(objective, stage, answer, parts[numbers[each]]) for stage, each in self.watched.items()
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
        self, objective: Objective, stage: StageRead, answer: Answer, parts: Mapping[str, tuple[Series, ...]]
    ) -> Reading:
        each = self.watched[stage]
        given = self.terms.circumstances(answer.warnings, skew_of(answer), each.since, mixed_models=each.mixed_models)
        case = Case(objective, measured(objective, each.scope.stage, parts), given)
        reading = reading_of(case, each.scope, self.terms)
        trend = self.memory.trend(objective.name, each)
        return self.memory.good((stage.model, stage.stage), replace(reading, trend=trend), self.terms.now)

    def _unasked(self, objective: Objective, stage: StageRead, found: Finding) -> Reading:
        failed = unasked_reading(objective, self.watched[stage].scope, self.terms, found)
        return self.memory.missed((stage.model, stage.stage), failed, self.terms.now)

    def _missed(self, objective: Objective, stage: StageRead, failure: Failure) -> Reading:
        failed = failed_reading(objective, self.watched[stage].scope, self.terms, failure)
        return self.memory.missed((stage.model, stage.stage), failed, self.terms.now)
