"""The measurements of one objective, as numbers by engine, and the other inputs of its verdict. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ml.metrics_contract import LATENCY, RUNBOOK, MetricNames
from ml.slo import questions as ask
from ml.slo.buckets import Buckets, bound, buckets_of
from ml.slo.engines import Engine, distinct, engine_of, name_of
from ml.slo.exchanges import moment_of
from ml.slo.promql import Scope
from ml.slo.questions import Windows
from ml.slo.source import Series
from ml.stage import Stage
from ml.text import visible
from ml.units import percent
from ml.verdict import Finding

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst of some series. ``value`` is NaN when none is a number; ``infinite``: one of them is ±Inf."""

    value: float
    name: str
    series: int
    infinite: bool = False
    engine: Engine = ()

    @property
    def is_number(self) -> bool:
        """True if the value can be compared with a limit."""
        return math.isfinite(self.value) and not self.infinite


def worst_of(series: Sequence[Series]) -> Worst | None:
    """The highest last value; ``None`` of no series. NaN gives way to numbers: an idle engine judges nothing."""
    if not series:
        return None
    values = [each.points[-1][1] for each in series if each.points]
    infinite = any(math.isinf(value) for value in values)
    numbers = [(each.points[-1][1], each) for each in series if each.points and math.isfinite(each.points[-1][1])]
    if not numbers:
        return Worst(math.nan, "", len(series), infinite)
    value, at = max(numbers, key=lambda pair: pair[0])
    engines = [engine_of(each) for each in series]
    return Worst(value, name_of(engine_of(at), engines), len(set(engines)), infinite, engine_of(at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The numbers behind one reading. Counts are PromQL's estimates, by engine; an engine without a series has none.

    ``samples`` are inferences in the long window, ``lately`` in the short one, ``lively`` in the last hour; ``newest``
    is the newest sample of each engine that is there now, and ``seen`` its scrapes in the long window.
    ``covered`` counts the short windows of the long one that hold data of any engine. ``blind`` are engines that infer
    without counting it, ``uncounted`` those without an error counter, ``blended`` those that infer in two modes
    with counters without a mode, ``down`` those that do not answer scrapes. ``unmeasured`` are engines that are there
    and that the objective does not measure, each with a value of `ml.slo.unmeasured`. ``misspelled`` pairs a
    selected ``le`` with the exporter's spelling of the same number.
    """

    long: Worst | None
    short: Worst | None
    shown: Worst | None
    longs: Mapping[Engine, float] = field(default_factory=dict)
    shorts: Mapping[Engine, float] = field(default_factory=dict)
    samples: Mapping[Engine, float] = field(default_factory=dict)
    lately: Mapping[Engine, float] = field(default_factory=dict)
    lively: Mapping[Engine, float] = field(default_factory=dict)
    newest: Mapping[Engine, datetime] = field(default_factory=dict)
    seen: Mapping[Engine, float] = field(default_factory=dict)
    covered: float | None = None
    buckets: Mapping[Engine, Buckets] = field(default_factory=dict)
    blind: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    blended: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    unmeasured: Mapping[Engine, float] = field(default_factory=dict)
    misspelled: tuple[tuple[str, str], ...] = ()

    @property
    def total(self) -> float | None:
        """Inferences of all engines in the long window, each engine once; ``None`` where nothing was counted."""
        if not self.samples:
            return None
        return sum(self.samples[engine] for engine in distinct(self.samples))

    def name(self, engine: Engine) -> str:
        """An engine's name among all that were measured."""
        return name_of(engine, {*self.samples, *self.newest, *self.longs, *self.unmeasured})

    def several(self) -> bool:
        """True if more than one engine was measured."""
        return len({*self.samples, *self.newest}) > 1


def measured(
    objective: Objective, stage: str, answers: Mapping[str, tuple[Series, ...]], names: MetricNames = RUNBOOK
) -> Measured:
    """Take the answers to `ml.slo.questions.questions` apart."""
    ours, milliseconds = ("", names.value(stage)), names.milliseconds(objective.metric, objective.unit)
    moments = {engine: moment_of(at) for engine, at in by_engine(answers.get(ask.NEWEST, ())).items()}
    return Measured(
        long=worst_of(answers.get(ask.LONG, ())),
        short=worst_of(answers.get(ask.SHORT, ())),
        # The runbook's error query does not select a mode; the other stage's series are not ours.
        shown=worst_of([each for each in answers.get(ask.SHOWN, ()) if each.label(names.mode) in ours]),
        longs=by_engine(answers.get(ask.LONG, ())),
        shorts=by_engine(answers.get(ask.SHORT, ())),
        samples=by_engine(answers.get(ask.SAMPLES, ())),
        lately=by_engine(answers.get(ask.LATELY, ())),
        lively=by_engine(answers.get(ask.LIVELY, ())),
        newest={engine: at for engine, at in moments.items() if at is not None},
        seen=by_engine(answers.get(ask.SEEN, ())),
        covered=_number(answers.get(ask.COVERED, ())),
        buckets=buckets_of(answers.get(ask.BOUNDS, ()), milliseconds=milliseconds),
        blind=_named(answers.get(ask.BLIND, ())),
        uncounted=_named(answers.get(ask.UNCOUNTED, ())),
        blended=_named(answers.get(ask.BLENDED, ())),
        down=_named(answers.get(ask.DOWN, ())),
        unmeasured=by_engine(answers.get(ask.UNMEASURED, ())),
        misspelled=tuple(_misspelled(objective, answers)),
    )


def by_engine(series: Sequence[Series]) -> dict[Engine, float]:
    """The last finite value of each engine; of several series of one engine the highest."""
    found: dict[Engine, float] = {}
    for each in series:
        value = each.points[-1][1] if each.points else math.nan
        if math.isfinite(value):
            engine = engine_of(each)
            found[engine] = max(value, found.get(engine, value))
    return found


def _named(series: Sequence[Series]) -> tuple[str, ...]:
    engines = [engine_of(each) for each in series]
    return tuple(sorted({name_of(engine, engines) for engine in engines}))


def _number(series: Sequence[Series]) -> float | None:
    value = series[0].points[-1][1] if series and series[0].points else math.nan
    return value if math.isfinite(value) else None


def _misspelled(objective: Objective, answers: Mapping[str, tuple[Series, ...]]) -> Sequence[tuple[str, str]]:
    exported = {each.label("le") for key, found in answers.items() if key.startswith(ask.SPELLED) for each in found}
    by_number = {bound(text): text for text in exported}
    return [
        (visible(text, limit=40), visible(by_number[bound(text)], limit=40))
        for text in ask.selected_bounds(objective)
        if text not in exported and bound(text) in by_number
    ]


# Inputs of one objective's verdict: measurements, thresholds, time.


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """The conditions of a judgement. ``skew_s``: Prometheus's clock minus ours, ``None`` when unknown.

    ``least`` is the number of inferences of an engine that the short window needs to say anything. ``long_s`` is the
    window of the question; it is shorter than ``required_s`` while a soak, which began at ``since``, is younger than
    that. ``scrape_s``: the seconds between two scrapes, ``None`` when unknown. ``mixed_models``: why the numbers
    may be those of several models, if they may. ``undated``: why ``since`` is only the latest that it can be, if it is.
    ``by_mode``: some engine does not report what it serves, so that time alone ties its numbers to the artifact.
    """

    now: datetime
    stale_s: float
    min_samples: int
    least: int
    min_coverage: float
    long_s: int
    short_s: int
    required_s: int
    skew_s: float | None = None
    warnings: tuple[str, ...] = ()
    since: datetime | None = None
    scrape_s: float | None = None
    mixed_models: Finding | None = None
    undated: Finding | None = None
    by_mode: bool = False

    @property
    def overlaps(self) -> bool:
        """True if the short window holds numbers of the artifact before, which nothing else tells apart."""
        if not self.by_mode or self.since is None or self.undated is not None:
            return False
        return (self.now - self.since).total_seconds() < self.short_s


@dataclass(frozen=True, slots=True)
class Unclear:
    """A quantile of an engine between two buckets, with the limit between them too."""

    engine: Engine
    low: float
    high: float
    window_s: int


@dataclass(frozen=True, slots=True)
class Case:
    """One objective before the judge."""

    objective: Objective
    measured: Measured
    given: Circumstances
    names: MetricNames = RUNBOOK

    def metric(self, name: str | None) -> str:
        """The exporter's name of a metric, for sentences."""
        return self.names.shown(name)

    @property
    def limit(self) -> float:
        """The objective's limit, in its unit."""
        return float(self.objective.limit)

    @property
    def short(self) -> Worst | None:
        """The worst value over the short window, of engines that inferred enough in it; ``None`` where none did."""
        lately = self.measured.lately
        if not self._by_engine:
            return self.measured.short if max(lately.values(), default=0.0) >= self.given.least else None
        values = {engine: value for engine, value in self.measured.shorts.items() if self._enough(engine)}
        return self._worst(values) if values else None

    @property
    def deciding(self) -> tuple[Worst | None, int]:
        """The value that decides, and its window in seconds: the short window's when only that one breaches."""
        long = self.breach(self.measured.longs, self.measured.long)
        if long is not None:
            return long, self.given.long_s
        enough = {engine: value for engine, value in self.measured.shorts.items() if self._enough(engine)}
        short = self.breach(enough, self.short)
        if short is not None:
            return short, self.given.short_s
        return self.measured.long, self.given.long_s

    def breach(self, values: Mapping[Engine, float], worst: Worst | None) -> Worst | None:
        """The worst value at or above the limit, even between its buckets; ``None`` where none is."""
        if not self._by_engine:
            return worst if worst is not None and worst.is_number and not worst.value < self.limit else None
        failing = {
            engine: value
            for engine, value in values.items()
            if not value < self.limit and self._around(engine, value) is None
        }
        return self._worst(failing, among=len(values)) if failing else None

    @property
    def unclear(self) -> Unclear | None:
        """The first quantile that may lie on either side of the limit."""
        for values, window_s in ((self.measured.longs, self.given.long_s), (self.measured.shorts, self.given.short_s)):
            for engine, value in sorted(values.items()):
                around = self._around(engine, value)
                if around is not None:
                    return Unclear(engine, *around, window_s)
        return None

    def words(self, value: float) -> str:
        """A number in the objective's unit."""
        return words(self.objective, value)

    def measured_words(self, worst: Worst) -> str:
        """A measured value as people read it: ``≥500 ms (clamped)`` where it is the top bucket."""
        return f"≥{self.words(worst.value)} (clamped)" if self.clamped(worst) else self.words(worst.value)

    def clamped(self, worst: Worst) -> bool:
        """True if a quantile is only known to be at least this much."""
        buckets = self.measured.buckets.get(worst.engine)
        return buckets is not None and buckets.top is not None and worst.value >= buckets.top

    def unclear_of(self, worst: Worst) -> bool:
        """True if this value may lie on either side of the limit."""
        return self._around(worst.engine, worst.value) is not None

    def share(self, engine: Engine) -> float:
        """The share of the long window in which an engine was scraped, 0 to 1; the whole of it when unknown."""
        scrapes, scrape_s = self.measured.seen.get(engine), self.given.scrape_s
        if scrapes is None or scrape_s is None:
            return 1.0
        return min(1.0, scrapes * scrape_s / self.given.long_s)

    @property
    def _by_engine(self) -> bool:
        return self.objective.kind != "promql"

    def _enough(self, engine: Engine) -> bool:
        return self.measured.lately.get(engine, 0.0) >= self.given.least

    def _around(self, engine: Engine, value: float) -> tuple[float, float] | None:
        buckets = self.measured.buckets.get(engine)
        return None if buckets is None else buckets.around(value, self.limit)

    def _worst(self, values: Mapping[Engine, float], among: int = 0) -> Worst:
        engine = max(values, key=lambda each: values[each])
        return Worst(values[engine], self.measured.name(engine), among or len(values), engine=engine)


def words(objective: Objective, value: float) -> str:
    """A number in an objective's unit, such as ``42.1 ms`` or ``6.3 %``."""
    if objective.kind == "ratio":
        return percent(value)
    return f"{value:.4g} {objective.unit}".rstrip()


# Common settings of one round: the policy, the time, and the allowed age of a sample.

STALE_S = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one round. ``stale_s`` is the age in seconds from which the newest sample is not believed."""

    policy: Policy
    now: datetime
    stale_s: float = STALE_S

    def long_s(self, since: datetime | None = None) -> int:
        """The long window in seconds: the soak's length, or what has passed of it in whole short windows."""
        required, step = self.policy.soak.required_s, self.policy.soak.step_s
        if since is None:
            return required
        passed = int((self.now - since).total_seconds()) // step * step
        return max(step, min(required, passed))

    def windows(self, since: datetime | None = None) -> Windows:
        """The long and the short window."""
        return Windows.of(self.long_s(since), self.policy.soak.step_s)

    @property
    def least(self) -> int:
        """Inferences that one short window must hold: its share of those that the whole soak must."""
        soak = self.policy.soak
        return max(1, math.ceil(soak.min_samples * soak.step_s / soak.required_s))

    @property
    def ratio(self) -> Objective | None:
        """The first objective of errors over attempts, where the policy has one."""
        return next((each for each in self.policy.objectives if each.kind == "ratio"), None)

    def scope(self, stage: Stage, model: str, artifact_id: str) -> Scope:
        """The series of one stage of a model, by the policy's selector and metrics, before its engines are known."""
        ratio = self.ratio
        counters = () if ratio is None else (str(ratio.successes), str(ratio.errors))
        names = self.policy.metric_names(model)
        selector = self.policy.selector(model)
        return Scope(stage, selector, artifact_id, latency=self.latency, counters=counters, names=names)

    @property
    def latency(self) -> str:
        """The histogram that counts inferences: that of the first quantile objective."""
        return next((each.metric for each in self.policy.objectives if each.metric), LATENCY)

    def circumstances(
        self,
        warnings: tuple[str, ...],
        skew_s: float | None,
        since: datetime | None = None,
        *,
        scrape_s: float | None = None,
        mixed_models: Finding | None = None,
    ) -> Circumstances:
        """Return the conditions of one answer."""
        soak = self.policy.soak
        return Circumstances(
            now=self.now,
            stale_s=self.stale_s,
            min_samples=soak.min_samples,
            least=self.least,
            min_coverage=soak.min_coverage,
            long_s=self.long_s(since),
            short_s=soak.step_s,
            required_s=soak.required_s,
            skew_s=skew_s,
            warnings=warnings,
            since=since,
            scrape_s=scrape_s,
            mixed_models=mixed_models,
        )
