"""The judge: from what was measured to one verdict and one sentence of why. Pure.

Rules are asked in order and the first that objects decides; only what no rule objects to is PASS, and PASS is
written ``value < limit``. Order: what cannot be believed at all, then what is breached, then what could not have
been breached, then what is not enough yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

from ml.clock import format_utc, span
from ml.slo.v1.case import Case
from ml.slo.v1.clocks import SKEW_S, Finding, length, skewed
from ml.slo.v1.measured import Worst
from ml.verdict import Verdict


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
