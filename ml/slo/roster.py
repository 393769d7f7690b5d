"""The roster query: the engines of a stage, their artifacts, their scrape interval, and their possible models.

A soak asks for one roster, the board for those of all models with two requests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ml.board import Serving
from ml.metrics_contract import ACTIVE_ON, INFO, MetricNames
from ml.slo.batch import Answers, Batch
from ml.slo.engines import INFO_PART, TIMED, Roster, roster_of, scrape_interval, telling
from ml.slo.exchanges import Failure, Recorder
from ml.slo.groups import Separation, selector_of, separation
from ml.slo.promql import Attribution, Scope, joined, split
from ml.slo.questions import Windows, born_query, duration, raw_query, who_query_parts
from ml.slo.rivals import rival_of
from ml.slo.source import Metrics, PartialAnswer, Series
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Code, Finding, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


def ask_roster(recorder: Recorder, scope: Scope, ratio: Objective | None, window_s: int, now: datetime) -> Roster:
    """Ask for the roster with two requests. It holds the failure where one got no answer."""
    answer = recorder.query(joined(who_query_parts(scope, ratio, scope.latency, duration(window_s))), at=now)
    if isinstance(answer, Failure):
        return Roster(failure=answer.finding)
    raw = recorder.query(raw_query(scope, scope.latency), at=now)
    if isinstance(raw, Failure):
        return Roster(failure=raw.finding)
    found = roster_of(split(answer.series), scrape_interval(raw.series), names=scope.names)
    return replace(found, warnings=(*answer.warnings, *raw.warnings))


def several_models(roster: Roster, model: str, others: Mapping[str, str], selector: str) -> Finding | None:
    """Return a finding if the numbers may mix several models. ``others`` are other models with their selectors."""
    rival = rival_of(model, selector, others, roster.unsaid) if selector else ""
    if len(roster.models) > 1 and not (selector and roster.attribution is Attribution.ARTIFACT):
        named = ", ".join(visible(each, limit=40) for each in roster.models[:3])
        what = f"The series are those of several models ({named})"
        remedy = f"set [model.{model}] selector = 'model=\"{model}\"' in the policy"
    elif not selector and others and model not in roster.models and _unsaid(roster):
        named = ", ".join(list(others)[:3])
        what = f"Nothing tells this model's series from those of {named}"
        remedy = f"set a selector for [model.{model}] in the policy"
    elif rival:
        what = f"The selectors of {model} and {rival} take the same series, of engines that do not say what they serve"
        remedy = f"set selectors for [model.{model}] and [model.{rival}] in the policy that exclude each other"
        why = f"{what}, so the numbers may be those of {rival}: {remedy}."
        return finding(Verdict.VACUOUS, Code.SEVERAL_MODELS, why, models=", ".join((model, rival)))
    else:
        return None
    why = f"{what}, so the numbers may be another model's: {remedy}."
    return finding(Verdict.VACUOUS, Code.SEVERAL_MODELS, why, models=", ".join(roster.models or others))


def _unsaid(roster: Roster) -> bool:
    return roster.attribution is not Attribution.ARTIFACT


# The rosters of all models of a board.


@dataclass(frozen=True, slots=True)
class Wanted:
    """One roster to ask for: of which series, over which window in seconds.

    ``separated`` says how other models' series differ; ``None`` where this roster is asked for alone.
    """

    scope: Scope
    long_s: int
    separated: Separation | None = None


_Group = tuple[Stage, str, str, int, MetricNames]
_MODELESS, _LACKS, _BORN = "modeless", "lacks", "born"


def board_rosters(
    batch: Batch, wanted: Sequence[Wanted], ratio: Objective | None, short: str
) -> Mapping[Wanted, Roster] | Failure:
    """Ask for all rosters: one request for those asked for alone and for the engines, one for their labels.

    ``short`` is the short window, such as ``5m``.
    """
    alone: dict[Wanted, Mapping[str, str]] = {}
    grouped: dict[_Group, list[tuple[Wanted, Separation]]] = defaultdict(list)
    for each in wanted:
        if each.separated is None:
            alone[each] = who_query_parts(each.scope, ratio, each.scope.latency, duration(each.long_s))
        else:
            separated = each.separated
            key = (each.scope.stage, separated.label, separated.rest, each.long_s, each.scope.names)
            grouped[key].append((each, separated))
    groups = [_Rosters.of(key, members, ratio, short) for key, members in grouped.items()]
    asked = [pair for parts in (*alone.values(), *(group.engines() for group in groups)) for pair in parts.items()]
    answers = batch.ask(asked)
    if isinstance(answers, Failure):
        return answers
    found = {
        each: roster_of({part: answers.of(text) for part, text in parts.items()}, names=each.scope.names)
        for each, parts in alone.items()
    }
    labels = batch.ask(pair for group in groups for pair in group.labels(answers).items())
    if isinstance(labels, Failure):
        return labels
    for group in groups:
        found |= group.rosters(answers, labels)
    # Models share their requests, so a partial answer may lack an engine of any of them.
    warnings = answers.joined_with(labels).warnings
    return {each: replace(roster, warnings=warnings) for each, roster in found.items()}


@dataclass(frozen=True, slots=True)
class _Rosters:
    """The rosters of several models that one label separates."""

    scope: Scope
    windows: Windows
    members: Sequence[tuple[Wanted, Separation]]
    ratio: Objective | None

    @staticmethod
    def of(key: _Group, members: Sequence[tuple[Wanted, Separation]], ratio: Objective | None, short: str) -> _Rosters:
        """The rosters of one group."""
        stage, label, rest, long_s, names = key
        selector = selector_of(label, (separated.value for _, separated in members), rest)
        scope = Scope(stage, selector, split=label, latency=members[0][0].scope.latency, names=names)
        return _Rosters(scope, Windows(duration(long_s), short), members, ratio)

    def engines(self) -> dict[str, str]:
        """Ask for every series with labels that tell engines apart, and for the served artifacts."""
        parts = who_query_parts(self.scope, None, self.scope.latency, self.windows.long)
        return {part: parts[part] for part in (TIMED, INFO_PART)}

    def labels(self, answers: Answers) -> dict[str, str]:
        """Ask which models lack an engine's label on other metrics, have new counters, or count without a mode.

        Usually no model does, so the answer is empty.
        """
        parts = {part: answers.of(text) for part, text in self.engines().items()}
        labels = set(telling(parts, self.scope.names)) - {self.scope.split}
        asked = {f"{_LACKS}:{name}": self._lacks(name) for name in sorted(labels)}
        asked[_BORN] = born_query(self.scope, self.ratio, self.windows)
        return asked if self.ratio is None else asked | {_MODELESS: self._modeless(self.ratio)}

    def _lacks(self, name: str) -> str:
        by, scope, matcher = self.scope.split, self.scope, f'{name}!=""'
        kinds = [(scope.plain(ACTIVE_ON), scope.plain_with(ACTIVE_ON, matcher))]
        if self.ratio is not None:
            metric = str(self.ratio.successes)
            kinds.append((scope.counted(metric), scope.counted_with(metric, matcher)))
        return " or ".join(
            f"(count by ({by}) ({any_}) unless on ({by}) count by ({by}) ({with_}))" for any_, with_ in kinds
        )

    def _modeless(self, ratio: Objective) -> str:
        by, scope = self.scope.split, self.scope
        good, bad = str(ratio.successes), str(ratio.errors)

        def counters(select_good: str, select_bad: str) -> str:
            return f"count by ({by}) ({select_good} or last_over_time({select_bad}[{self.windows.long}]))"

        none = f'{scope.names.mode}=""'
        bare = counters(scope.plain_with(good, none), scope.plain_with(bad, none))
        infers = f"count by ({by}) (last_over_time({scope.timed(f'{scope.latency}_count')}[{self.windows.long}]))"
        return f"{bare} or ({infers} unless on ({by}) {counters(scope.counted(good), scope.counted(bad))})"

    def rosters(self, answers: Answers, labels: Answers) -> dict[Wanted, Roster]:
        """Return each model's roster."""
        by, asked = self.scope.split, self.labels(answers)
        found = {part: answers.sorted_by(text, by) for part, text in self.engines().items()}
        said = {part: labels.sorted_by(text, by) for part, text in asked.items()}
        made = {}
        for each, separated in self.members:
            value = separated.value
            roster = roster_of(
                {part: found[part].get(value, ()) for part in found},
                lacking=frozenset(part.partition(":")[2] for part, values in said.items() if value in values),
                modeless=self.ratio is None or value in said[_MODELESS],
                names=self.scope.names,
            )
            made[each] = replace(roster, born=value in said[_BORN])
        return made


# The service of each engine instance: its loaded artifact, its scrape, and its part in trading.

_ASK = "Look at the storages that the metrics source reads from, then ask again."
_MEMORY = "1h"
"""The time for which a silent instance is still shown, as down."""

_Key = tuple[str, str]


def serving(metrics: Metrics, policy: Policy, models: Sequence[str]) -> dict[str, tuple[Serving, ...]]:
    """All engine instances by model, for one request. Models without an instance have an empty tuple.

    Models that one label separates share their questions. A second request is needed where a silent engine served
    several artifacts within the hour, to learn which was the last.

    Raises:
        PartialAnswer: the source warns that engines may be missing.
        MetricsError: the source gave no usable answer.
    """
    whose = {name: (policy.selector(name), policy.metric_names(name)) for name in models}
    separated = {each: separation(each[0]) for each in whose.values()}
    kin: dict[_Shared, list[str]] = defaultdict(list)
    for (_, names), found in separated.items():
        if found is not None:
            kin[found.label, found.rest, names].append(found.value)
    asked = {each: _asked(each, found, kin) for each, found in separated.items()}
    batch = Batch(Recorder(metrics))
    answers = batch.ask(pair for parts in asked.values() for pair in parts.items() if pair[0] != _PAST)
    if isinstance(answers, Failure):
        raise answers.error()
    asked = {each: _needed(parts, answers) for each, parts in asked.items()}
    past = batch.ask((_PAST, parts[_PAST]) for parts in asked.values() if _PAST in parts)
    if isinstance(past, Failure):
        raise past.error()
    answers = answers.joined_with(past)
    if answers.warnings:
        raise PartialAnswer(f"Prometheus warns that engines may be missing in its answer: {answers.warnings[0]}.", _ASK)
    instances = {}
    for each, parts in asked.items():
        alike = _kin_of(each, separated, kin)
        instances[each] = _instances({part: _of(answers, text, alike) for part, text in parts.items()}, each[1])
    return {name: instances[each] for name, each in whose.items()}


_Whose = tuple[str, MetricNames]
"""A model's selector and metrics contract."""
_Shared = tuple[str, str, MetricNames]
_Kin = Mapping[_Shared, Sequence[str]]


def _kin_of(whose: _Whose, separated: Mapping[_Whose, Separation | None], kin: _Kin) -> Separation | None:
    """Return the label that separates a model from those asked about with it; ``None``: it is asked about alone."""
    found = separated[whose]
    return None if found is None or len(kin[found.label, found.rest, whose[1]]) == 1 else found


def _asked(whose: _Whose, separated: Separation | None, kin: _Kin) -> dict[str, str]:
    """The questions about one selector, or those about all models that one label separates."""
    found, names = _kin_of(whose, {whose: separated}, kin), whose[1]
    if found is None:
        return _questions(whose[0], names)
    return _questions(selector_of(found.label, kin[found.label, found.rest, names], found.rest), names, found.label)


def _of(answers: Answers, text: str, separated: Separation | None) -> Sequence[Series]:
    if separated is None or text.startswith(_UP):
        return answers.of(text)
    return answers.sorted_by(text, separated.label).get(separated.value, ())


def _needed(parts: Mapping[str, str], answers: Answers) -> dict[str, str]:
    """The parts without the question when each silent instance was seen last, where nothing depends on it."""
    keys = [_key(each) for each in answers.of(parts[_GONE])]
    dropped = _PAST if len(set(keys)) == len(keys) else _GONE
    return {part: text for part, text in parts.items() if part != dropped}


_PAST, _GONE = "past", "gone"
_UP = "min by (job, instance) (up"


def _questions(selector: str, names: MetricNames, label: str = "") -> dict[str, str]:
    """The questions about the engines of a selector. ``label`` separates its models, where there are several."""
    scope = Scope(Stage.ACTIVE, selector, names=names)
    info, active = scope.plain(INFO), scope.plain(ACTIVE_ON)
    engine = f"job, instance, {label}" if label else "job, instance"
    shown = ", ".join(dict.fromkeys((*engine.split(", "), names.mode, names.artifact, names.commit)))
    return {
        "now": f"max by ({shown}) ({info} == 1)",
        # When each was seen last; an instance that fell silent at once may have lived between two steps.
        _GONE: f"group by ({shown}) (last_over_time({info}[{_MEMORY}]) unless on ({engine}) {info})",
        _PAST: f"max by ({shown}) ((max_over_time(timestamp({info})[{_MEMORY}:15s])"
        f" or last_over_time({info}[{_MEMORY}])) unless on ({engine}) {info})",
        "active": f"max by ({engine}) ({active})",
        "up": f"{_UP} and on (job, instance) last_over_time({info}[{_MEMORY}]))",
    }


def _instances(parts: Mapping[str, Sequence[Series]], names: MetricNames) -> tuple[Serving, ...]:
    active, up = _by_instance(parts["active"]), _by_instance(parts["up"])
    last: dict[_Key, Series] = {}
    for each in sorted(parts.get(_PAST, parts.get(_GONE, ())), key=lambda series: series.points[-1][1]):
        last[_key(each)] = each
    instances = [_one(each, active, up, names) for each in parts["now"]]
    instances += [_one(each, {}, up, names) for key, each in last.items() if up.get(key) == 0]
    return tuple(sorted((each for each in instances if each is not None), key=lambda one: (one.stage, one.instance)))


def _one(info: Series, active: Mapping[_Key, float], up: Mapping[_Key, float], names: MetricNames) -> Serving | None:
    key, stage = _key(info), names.stage_of(info.label(names.mode))
    if stage is None:
        return None
    alive = up.get(key)
    return Serving(
        instance=visible(key[1] or key[0], limit=80),
        stage=stage,
        artifact_id=visible(info.label(names.artifact), limit=120),
        registry_commit=visible(info.label(names.commit), limit=64),
        active_on=active.get(key),
        up=None if alive is None else alive == 1,
    )


def _key(series: Series) -> _Key:
    return series.label("job"), series.label("instance")


def _by_instance(series: Sequence[Series]) -> dict[_Key, float]:
    return {_key(each): each.points[-1][1] for each in series}
