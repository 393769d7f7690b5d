"""The judge: from what was measured to one verdict and one sentence of why. Pure.

Rules are asked in order and the first that objects decides; only what no rule objects to is PASS, and PASS is
written ``value < limit``. Order: what cannot be believed at all, then what is breached, then what could not have
been breached, then what is not enough yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml.clock import format_utc, span
from ml.slo.v1.measured import SKEW_S, Finding, Measured, Worst, length, skewed
from ml.slo.v1.questions import LATENCY, Scope, Windows, shown_query
from ml.verdict import Reading, Verdict

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


# The inputs of one objective's verdict: measurements, conditions, and the words for values.


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """The conditions of a judgement. ``skew_s``: Prometheus's clock minus ours, ``None`` when unknown.

    ``least`` is the number of inferences that the short window needs to say anything. ``long_s`` is the window of the
    question; it is shorter than ``required_s`` while a soak, which began at ``since``, is younger than that.
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
        """The value over the short window; ``None`` where that holds too few inferences to say anything."""
        enough = (self.measured.lately or 0.0) >= self.given.least
        return self.measured.short if enough else None

    @property
    def deciding(self) -> tuple[Worst | None, int]:
        """The value that decides, and its window in seconds: the short window's when only that one breaches."""
        long, short = self.measured.long, self.short
        if self.breaches(short) and not self.breaches(long):
            return short, self.given.short_s
        return long, self.given.long_s

    def breaches(self, worst: Worst | None) -> bool:
        """True if a value is there and not below the limit."""
        return worst is not None and worst.is_number and not worst.value < self.limit

    def words(self, value: float) -> str:
        """A number in the objective's unit."""
        return words(self.objective, value)

    def measured_words(self, value: float) -> str:
        """A measured value as people read it: ``≥500 ms (clamped)`` where it is the top bucket."""
        return f"≥{self.words(value)} (clamped)" if self.clamped(value) else self.words(value)

    def clamped(self, value: float) -> bool:
        """True if a quantile is only known to be at least this much."""
        return self.measured.top is not None and value >= self.measured.top


def words(objective: Objective, value: float) -> str:
    """A number in an objective's unit, such as ``42.1 ms`` or ``6.3 %``."""
    if objective.kind == "ratio":
        return f"{value * 100:.4g} %"
    return f"{value:.4g} {objective.unit}".rstrip()


def judge(case: Case) -> Finding:
    """The verdict of one case, and why in one sentence."""
    for rule in _RULES:
        found = rule(case)
        if found is not None:
            return found
    return _pass(case)


def _warned(case: Case) -> Finding | None:
    if not case.given.warnings:
        return None
    return Verdict.NO_DATA, f"Prometheus warns that the answer may be partial: {case.given.warnings[0]}."


def _skewed(case: Case) -> Finding | None:
    return skewed(case.given.skew_s)


def _misspelled(case: Case) -> Finding | None:
    if not case.measured.misspelled:
        return None
    asked, exported = case.measured.misspelled[0]
    return (
        Verdict.VACUOUS,
        f'The query selects le="{asked}", but the exporter writes le="{exported}", so it never counts anything.',
    )


def _blind(case: Case) -> Finding | None:
    if not case.measured.blind:
        return None
    return (
        Verdict.VACUOUS,
        f"Latencies arrive but {case.objective.successes} never moves ({case.measured.blind[0]}), "
        "so failures would not show either.",
    )


def _uncounted(case: Case) -> Finding | None:
    if not case.measured.uncounted:
        return None
    return (
        Verdict.VACUOUS,
        f"There is no {case.objective.errors} of {case.measured.uncounted[0] or 'the engine'}: "
        "an error could not have been counted.",
    )


def _absent(case: Case) -> Finding | None:
    if case.measured.long is not None:
        return None
    return Verdict.NO_DATA, "The query finds no series at all."


def _no_number(case: Case) -> Finding | None:
    long, short = case.measured.long, case.measured.short
    assert long is not None
    if long.infinite or (short is not None and short.infinite):
        return Verdict.NO_DATA, "The value is infinite, which is no measurement."
    if math.isnan(long.value):
        return Verdict.NO_DATA, f"The value is NaN: nothing was inferred in the last {length(case.given.long_s)}."
    return None


def _stale(case: Case) -> Finding | None:
    newest = case.measured.newest
    if newest is None:
        return Verdict.NO_DATA, "No sample says that the engine is measured now."
    age = (case.given.now - newest).total_seconds()
    if age > case.given.stale_s:
        return (
            Verdict.STALE,
            f"The newest sample is {span(age)} old; after {span(case.given.stale_s)} it is not believed.",
        )
    if age < -SKEW_S:
        return Verdict.NO_DATA, f"The newest sample is {span(-age)} in the future: a clock is wrong or stepped back."
    return None


def _breached(case: Case) -> Finding | None:
    worst, window_s = case.deciding
    if worst is None or not case.breaches(worst):
        return None
    relation = "exactly at the limit of" if worst.value == case.limit else "not below"
    value = case.measured_words(worst.value)
    return Verdict.FAIL, f"{value} over {length(window_s)} is {relation} {case.words(case.limit)}{_of_several(worst)}."


def _bounded(case: Case) -> Finding | None:
    top = case.measured.top
    if top is None or top >= case.limit:
        return None
    return (
        Verdict.VACUOUS,
        f"The top finite bucket is {case.words(top)}: no value could ever reach the limit of {case.words(case.limit)}.",
    )


def _frozen(case: Case) -> Finding | None:
    if case.measured.lively is None or case.measured.lively > 0:
        return None
    return Verdict.VACUOUS, "The counters are scraped but have stood still for 1h: the value cannot change."


def _few(case: Case) -> Finding | None:
    samples = case.measured.samples or 0.0
    if samples >= case.given.min_samples:
        return None
    return (
        Verdict.NO_DATA,
        f"Only {samples:.0f} inferences in {length(case.given.long_s)}; {case.given.min_samples} are needed.",
    )


def _young(case: Case) -> Finding | None:
    given, long = case.given, case.measured.long
    if given.since is None or given.long_s >= given.required_s:
        return None
    assert long is not None
    full = format_utc(given.since + timedelta(seconds=given.required_s))
    value = f"{case.measured_words(long.value)} in the first {length(given.long_s)}"
    return Verdict.WAIT, f"{value}; {length(given.required_s)} are over at {full}."


def _partial(case: Case) -> Finding | None:
    given, covered = case.given, (case.measured.covered or 0.0) * case.given.short_s
    if covered >= given.min_coverage * given.long_s:
        return None
    return Verdict.NO_DATA, f"Only {length(covered)} of the {length(given.long_s)} hold data."


def _paused(case: Case) -> Finding | None:
    if case.short is not None and case.short.is_number:
        return None
    lately, window = case.measured.lately or 0.0, length(case.given.short_s)
    if round(lately) == 0:
        return Verdict.NO_DATA, f"Nothing was inferred in the last {window}."
    return Verdict.NO_DATA, f"Only {lately:.0f} inferences in the last {window}; {case.given.least} are needed."


def _pass(case: Case) -> Finding:
    long, short = case.measured.long, case.short
    assert long is not None
    assert short is not None
    if not (long.value < case.limit and short.value < case.limit):
        return Verdict.NO_DATA, "The value cannot be compared with its limit."
    values = f"{case.measured_words(long.value)} over {length(case.given.long_s)}"
    values += f" and {case.measured_words(short.value)} over {length(case.given.short_s)}"
    return Verdict.PASS, f"{values}, below {case.words(case.limit)}{_of_several(long)}{_runbook(case)}."


def _of_several(worst: Worst) -> str:
    return f" (worst of {worst.series} series: {worst.name})" if worst.series > 1 else ""


def _runbook(case: Case) -> str:
    shown = case.measured.shown
    if case.objective.kind != "ratio" or shown is None or not shown.is_number:
        return ""
    return f"; the runbook's form reads {case.words(shown.value)}"


_RULES: tuple[Callable[[Case], Finding | None], ...] = (
    _warned,
    _skewed,
    _misspelled,
    _blind,
    _uncounted,
    _absent,
    _no_number,
    _stale,
    _breached,
    _bounded,
    _frozen,
    _young,
    _few,
    _partial,
    _paused,
)


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
    def latency(self) -> str:
        """The histogram that counts inferences: that of the first quantile objective."""
        return next((each.metric for each in self.policy.objectives if each.metric), LATENCY)

    def circumstances(
        self, warnings: tuple[str, ...], skew_s: float | None, since: datetime | None = None
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
        )


# Readings for the interface: of a judged case, and of a question without an answer.


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
    """Return the reading of an objective without an answer."""
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
