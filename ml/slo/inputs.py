"""Inputs of one objective's verdict: measurements, thresholds, time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo.engines import Engine
from ml.slo.measured import Measured, Worst
from ml.slo.questions import LATENCY, Windows
from ml.verdict import Finding

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """The conditions of a judgement. ``skew_s``: Prometheus's clock minus ours, ``None`` when unknown.

    ``least`` is the number of inferences of an engine that the short window needs to say anything. ``long_s`` is the
    window of the question; it is shorter than ``required_s`` while a soak, which began at ``since``, is younger than
    that. ``scrape_s``: the seconds between two scrapes, ``None`` when unknown. ``mixed_models``: why the numbers
    may be those of several models, if they may.
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
        return f"{value * 100:.4g} %"
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
