"""The readings of one poll: every objective of every model and stage, for a number of requests that stays the same.

Two requests ask which engines are there and what they serve, and one asks for each objective. Models that one label
separates share their questions (`ml.slo.groups`), so the cost in requests does not grow with the registry. A model with
a selector that cannot be grouped adds questions of its own, which are joined with the others' as far as they fit into
one request.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from ml.slo.batch import POINTS, STEP_S, WINDOW, Answers, Batch, BoardMemory, trend_span
from ml.slo.buckets import uniform_bounds, with_bounds
from ml.slo.exchanges import Failure, Recorder, errands
from ml.slo.groups import Member, Shape, by_value, separation, shape_of, windows_of
from ml.slo.judge import failed_reading, reading_of, unasked_reading
from ml.slo.measured import STALE_S, Case, Terms, measured
from ml.slo.promql import Attribution, Scope, joined, split
from ml.slo.questions import (
    BOUNDS,
    LONG,
    SHORT,
    Windows,
    board_questions,
    bounds_query,
    judged_query,
)
from ml.slo.recordings import LOADED_QUERY, all_of, loaded, recorded_texts
from ml.slo.roster import Wanted, board_rosters, several_models
from ml.slo.source import Metrics, Series
from ml.slo.tape import Grid, row
from ml.stage import Stage
from ml.verdict import Finding, Reading

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


@dataclass(frozen=True, slots=True)
class StageRead:
    """The stage of a model to read: the artifact in it, and the start of the readings.

    ``since`` is the time of the soak's start or of the landing: older measurements are not the artifact's, and a
    window that is not full yet waits. ``others`` are the registry's other models that have something deployed.
    ``undated`` says why ``since`` is only the latest that it can be, if it is.
    """

    model: str
    stage: Stage = Stage.SHADOW
    since: datetime | None = None
    artifact_id: str = ""
    others: tuple[str, ...] = ()
    undated: Finding | None = None


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
    batch = Batch(recorder)
    watched = _watched(batch, policy, terms, wanted)
    asks = _asks(watched.values())
    several = any(each.member is not None for each in asks.values())
    rules = batch.ask([("rules", LOADED_QUERY)]) if several else None
    round_ = _Round(
        recorder=recorder,
        batch=batch,
        terms=terms,
        memory=BoardMemory() if memory is None else memory,
        watched=watched,
        asks=asks,
        recorded=loaded(rules.of(LOADED_QUERY)) if isinstance(rules, Answers) else frozenset(),
    )
    rounds = round_.readings() if wanted else []
    if recorder.exchanges and all(isinstance(each, Failure) for each in recorder.exchanges):
        raise next(each.error() for each in recorder.exchanges if isinstance(each, Failure))
    return {each: tuple(read[each] for read in rounds) for each in wanted}


@dataclass(frozen=True, slots=True)
class _Watched:
    """The series to read, the window in seconds, and why the series may be several models', if they may.

    Models that share all of it are asked about once. ``shape`` is what others must share to be asked about together.
    """

    scope: Scope
    since: datetime | None
    long_s: int
    shape: Shape | None = None
    mixed_models: Finding | None = None
    failure: Finding | None = None
    warnings: tuple[str, ...] = ()
    undated: Finding | None = None


@dataclass(frozen=True, slots=True)
class _Asks:
    """The scope of the question that answers for one model; ``member`` is the model where it is about several."""

    scope: Scope
    member: Member | None = None


def _watched(batch: Batch, policy: Policy, terms: Terms, wanted: Sequence[StageRead]) -> dict[StageRead, _Watched]:
    """Ask for the engines of every stage."""
    passed = {each: terms.long_s(each.since) for each in wanted}
    windows = windows_of(tuple(passed.values()), policy.soak.step_s, policy.soak.required_s)
    separated = {each: separation(policy.selector(each.model)) for each in wanted}
    names = {each: policy.metric_names(each.model) for each in wanted}
    told_apart = {(found, names[each]) for each, found in separated.items() if found is not None}
    kin = Counter((found.label, found.rest, whose) for found, whose in told_apart)
    rosters_of = {}
    for each in wanted:
        scope = terms.scope(each.stage, each.model, each.artifact_id)
        found = separated[each]
        alone = found is None or kin[found.label, found.rest, names[each]] < _FEWEST
        rosters_of[each] = Wanted(scope, windows[passed[each]], None if alone else found)
    rosters = board_rosters(batch, tuple(dict.fromkeys(rosters_of.values())), terms.ratio, terms.windows().short)
    made = {}
    for each, asked in rosters_of.items():
        if isinstance(rosters, Failure):
            made[each] = _Watched(asked.scope, each.since, asked.long_s, failure=rosters.finding)
            continue
        roster = rosters[asked]
        scope = roster.narrowed(asked.scope)
        others = {name: policy.selector(name) for name in each.others}
        mixed_models = several_models(roster, each.model, others, asked.scope.selector)
        shape = None
        if asked.separated is not None:
            shape = shape_of(asked.separated, replace(scope, born=roster.born), asked.long_s)
        made[each] = _Watched(
            scope, each.since, asked.long_s, shape, mixed_models, warnings=roster.warnings, undated=each.undated
        )
    return made


_FEWEST = 2
"""Models from which on a label is worth asking by."""


def _asks(watched: Iterable[_Watched]) -> dict[_Watched, _Asks]:
    """Group what can be asked about together."""
    unique = tuple(dict.fromkeys(watched))
    values: dict[Shape, dict[str, None]] = defaultdict(dict)
    for each in unique:
        found = separation(each.scope.selector)
        if each.shape is not None and found is not None:
            values[each.shape][found.value] = None
    scopes = {shape: shape.asked(named) for shape, named in values.items() if len(named) >= _FEWEST}
    made = {}
    for each in unique:
        found = separation(each.scope.selector)
        if each.shape is None or found is None or each.shape not in scopes:
            made[each] = _Asks(each.scope)
            continue
        label, keeps = found.label, found.label in each.scope.by
        member = Member(label, found.value, each.scope.artifact_id, keeps, each.scope.names.artifact)
        made[each] = _Asks(scopes[each.shape], member)
    return made


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a reading: the text that is asked, and the model that takes its share of the answer."""

    text: str
    member: Member | None = None


_Parts = Mapping[str, _Part]


@dataclass(frozen=True, slots=True)
class _Question:
    """Everything that is asked about one objective; ``previous`` are the answers to judge by while a trend is drawn."""

    objective: Objective
    parts: Mapping[_Watched, _Parts]
    texts: tuple[str, ...]
    previous: Answers | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    recorder: Recorder
    batch: Batch
    terms: Terms
    memory: BoardMemory
    watched: Mapping[StageRead, _Watched]
    asks: Mapping[_Watched, _Asks]
    recorded: frozenset[str]
    """The recording rules that are loaded."""

    def readings(self) -> list[dict[StageRead, Reading]]:
        """The readings of each objective: the first asks what all have in common, the others are asked side by side."""
        objectives = self.terms.policy.objectives
        blind = next((each.failure for each in self.watched.values() if each.failure is not None), None)
        if blind is not None:
            return [{stage: self._unasked(each, stage, blind) for stage in self.watched} for each in objectives]
        questions = [self._question(each) for each in objectives]
        answers = [self._ask(questions[0], self.recorder)]
        with errands(self.recorder) as sent:
            pending = [sent.send(partial(self._ask, each)) for each in questions[1:]]
        answers += [each.result() for each in pending]
        return [self._read(each, answer) for each, answer in zip(questions, answers, strict=True)]

    def _question(self, objective: Objective) -> _Question:
        parts = self._parts(objective)
        texts = tuple(dict.fromkeys(part.text for found in parts.values() for part in found.values()))
        previous = self.memory.turn(objective.name, texts, self.terms.now)
        return _Question(objective, parts, texts, previous)

    def _read(self, question: _Question, answers: Answers | Failure) -> dict[StageRead, Reading]:
        """One objective of every model."""
        objective = question.objective
        if isinstance(answers, Failure):
            return {stage: self._missed(objective, stage, answers) for stage in self.watched}
        self.memory.keep(objective.name, question.texts, answers)
        return {
            stage: self._judged(objective, stage, answers, question.parts[each]) for stage, each in self.watched.items()
        }

    def _parts(self, objective: Objective) -> dict[_Watched, _Parts]:
        """The questions about an objective, for each model."""
        made: dict[_Watched, _Parts] = {}
        common: dict[tuple[Scope, int], Mapping[str, str]] = {}
        for each, asks in self.asks.items():
            key = (asks.scope, each.long_s)
            if key not in common:
                common[key] = self._texts(objective, each, asks)
            parts = {part: _Part(text, asks.member) for part, text in common[key].items()}
            if asks.member is not None and objective.kind == "promql":
                # Nobody knows by which labels a free query adds up, so it is asked for each model.
                own = board_questions(objective, each.scope, self._windows(each), self.terms.latency)
                parts |= {part: _Part(own[part]) for part in (LONG, SHORT)}
            made[each] = parts
        return made

    def _texts(self, objective: Objective, each: _Watched, asks: _Asks) -> Mapping[str, str]:
        windows, latency = self._windows(each), self.terms.latency
        texts = board_questions(objective, asks.scope, windows, latency)
        if asks.member is None or each.shape is None or not self.recorded:
            return texts
        everything = board_questions(objective, all_of(asks.scope, each.shape.rest), windows, latency)
        return recorded_texts(texts, everything, self.recorded)

    def _windows(self, each: _Watched) -> Windows:
        return Windows.of(each.long_s, self.terms.policy.soak.step_s)

    def _ask(self, question: _Question, recorder: Recorder) -> Answers | Failure:
        """The answers to judge by: fresh ones, or the last ones while the round's request goes into the trend."""
        if question.previous is not None:
            failure = self._draw(question.objective, recorder)
            return failure or question.previous
        pairs = ((name, part.text) for found in question.parts.values() for name, part in found.items())
        batch = self.batch.page(recorder)
        answers = batch.ask(pairs)
        if isinstance(answers, Failure):
            return answers
        return self._with_bounds(question.objective, question.parts, answers, batch)

    def _with_bounds(
        self, objective: Objective, parts: Mapping[_Watched, _Parts], answers: Answers, batch: Batch
    ) -> Answers | Failure:
        """Ask for the buckets of each engine where not all engines of a question have the same."""
        differing = {
            self._bounds_of(objective, each): None
            for each, found in parts.items()
            if (part := found.get(BOUNDS)) is not None
            and part.member is not None
            and uniform_bounds(answers.of(part.text)) is None
        }
        if not differing:
            return answers
        more = batch.ask((BOUNDS, text) for text in differing)
        return more if isinstance(more, Failure) else answers.joined_with(more)

    def _bounds_of(self, objective: Objective, each: _Watched) -> str:
        return bounds_query(objective, self.asks[each].scope, self._windows(each).long)

    def _draw(self, objective: Objective, recorder: Recorder) -> Failure | None:
        """Fetch the trends of one objective."""
        start, end = trend_span(self.terms.now)
        texts = {each: self._trend_text(objective, each) for each in self.asks}
        numbers = {text: str(number) for number, text in enumerate(dict.fromkeys(part.text for part in texts.values()))}
        answer = recorder.query_range(joined({key: text for text, key in numbers.items()}), start, end, STEP_S)
        if isinstance(answer, Failure):
            return answer
        points, grid = split(answer.series), Grid(start - timedelta(seconds=STEP_S), STEP_S, POINTS)
        sorted_: dict[str, dict[str, list[Series]]] = {}
        for each, part in texts.items():
            key = numbers[part.text]
            found: Sequence[Series] = points.get(key, ())
            if part.member is not None:
                if key not in sorted_:
                    sorted_[key] = by_value(found, part.member.label)
                found = part.member.own(sorted_[key])
            self.memory.draw(objective.name, each, row(grid, found))
        return None

    def _trend_text(self, objective: Objective, each: _Watched) -> _Part:
        asks = self.asks[each]
        if objective.kind == "promql":
            return _Part(judged_query(objective, each.scope, WINDOW))
        return _Part(judged_query(objective, asks.scope, WINDOW), asks.member)

    def _judged(self, objective: Objective, stage: StageRead, answers: Answers, parts: _Parts) -> Reading:
        each = self.watched[stage]
        warnings = (*each.warnings, *answers.warnings)
        given = replace(
            self.terms.circumstances(warnings, answers.skew_s, each.since, mixed_models=each.mixed_models),
            undated=each.undated,
            by_mode=each.scope.attribution is not Attribution.ARTIFACT,
            long_s=each.long_s,
            now=answers.judged_at(self.terms.now),
        )
        found = {name: _series(part, answers) for name, part in parts.items()}
        if BOUNDS in found and parts[BOUNDS].member is not None:
            found[BOUNDS] = self._bounds(objective, each, answers, parts, found)
        names = each.scope.names
        case = Case(objective, measured(objective, each.scope.stage, found, names), given, names)
        reading = reading_of(case, each.scope, self.terms)
        trend = self.memory.trend(objective.name, each)
        return self.memory.good((stage.model, stage.stage), replace(reading, trend=trend), self.terms.now)

    def _bounds(
        self,
        objective: Objective,
        each: _Watched,
        answers: Answers,
        parts: _Parts,
        found: Mapping[str, tuple[Series, ...]],
    ) -> tuple[Series, ...]:
        """The buckets of each engine of one model, from an answer about several models."""
        uniform = uniform_bounds(answers.of(parts[BOUNDS].text))
        if uniform is not None:
            # Not for an engine that only counts: without buckets it is none of those that were counted here.
            return with_bounds(found[LONG], uniform)
        return _series(_Part(self._bounds_of(objective, each), parts[BOUNDS].member), answers)

    def _unasked(self, objective: Objective, stage: StageRead, found: Finding) -> Reading:
        failed = unasked_reading(objective, self.watched[stage].scope, self.terms, found)
        return self.memory.missed((stage.model, stage.stage), failed, self.terms.now)

    def _missed(self, objective: Objective, stage: StageRead, failure: Failure) -> Reading:
        failed = failed_reading(objective, self.watched[stage].scope, self.terms, failure)
        return self.memory.missed((stage.model, stage.stage), failed, self.terms.now)


def _series(part: _Part, answers: Answers) -> tuple[Series, ...]:
    """The series of one part in the order of their labels, so that of equal values the same engine is named."""
    if part.member is None:
        found = answers.of(part.text)
    else:
        found = part.member.own(answers.sorted_by(part.text, part.member.label))
    return tuple(sorted(found, key=lambda each: each.labels))
