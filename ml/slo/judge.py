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
from ml.slo.case import Case
from ml.slo.clocks import SKEW_S, length, skewed
from ml.slo.measured import Worst
from ml.verdict import Code, Finding, Verdict, finding


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
    return warned(case.given.warnings[0])


def warned(warning: str) -> Finding:
    """What is known where Prometheus itself doubts its answer."""
    why = f"Prometheus warns that the answer may be partial: {warning}."
    return finding(Verdict.NO_DATA, Code.SOURCE_WARNED, why, warning=warning)


def _skewed(case: Case) -> Finding | None:
    return skewed(case.given.skew_s)


def _misspelled(case: Case) -> Finding | None:
    if not case.measured.misspelled:
        return None
    asked, exported = case.measured.misspelled[0]
    why = f'The query selects le="{asked}", but the exporter writes le="{exported}", so it never counts anything.'
    return finding(Verdict.VACUOUS, Code.BUCKET_MISSPELLED, why, asked=asked, exported=exported)


def _blind(case: Case) -> Finding | None:
    if not case.measured.blind:
        return None
    metric, instance = case.objective.successes, case.measured.blind[0]
    why = f"Latencies arrive but {metric} never moves ({instance}), so failures would not show either."
    return finding(Verdict.VACUOUS, Code.SUCCESSES_UNCOUNTED, why, metric=metric, instance=instance)


def _uncounted(case: Case) -> Finding | None:
    if not case.measured.uncounted:
        return None
    metric, instance = case.objective.errors, case.measured.uncounted[0]
    why = f"There is no {metric} of {instance or 'the engine'}: an error could not have been counted."
    return finding(Verdict.VACUOUS, Code.ERRORS_UNCOUNTED, why, metric=metric, instance=instance)


def _absent(case: Case) -> Finding | None:
    if case.measured.long is not None:
        return None
    return finding(Verdict.NO_DATA, Code.NO_SERIES, "The query finds no series at all.")


def _no_number(case: Case) -> Finding | None:
    long, short = case.measured.long, case.measured.short
    assert long is not None
    if long.infinite or (short is not None and short.infinite):
        return finding(Verdict.NO_DATA, Code.INFINITE_VALUE, "The value is infinite, which is no measurement.")
    if math.isnan(long.value):
        why = f"The value is NaN: nothing was inferred in the last {length(case.given.long_s)}."
        return finding(Verdict.NO_DATA, Code.NOT_A_NUMBER, why, window_s=case.given.long_s)
    return None


def _stale(case: Case) -> Finding | None:
    newest = case.measured.newest
    if newest is None:
        return finding(Verdict.NO_DATA, Code.NO_SAMPLE, "No sample says that the engine is measured now.")
    age = (case.given.now - newest).total_seconds()
    if age > case.given.stale_s:
        why = f"The newest sample is {span(age)} old; after {span(case.given.stale_s)} it is not believed."
        return finding(Verdict.STALE, Code.SAMPLE_STALE, why, age_s=age, limit_s=case.given.stale_s)
    if age < -SKEW_S:
        why = f"The newest sample is {span(-age)} in the future: a clock is wrong or stepped back."
        return finding(Verdict.NO_DATA, Code.SAMPLE_IN_FUTURE, why, age_s=age)
    return None


def _breached(case: Case) -> Finding | None:
    worst, window_s = case.deciding
    if worst is None or not case.breaches(worst):
        return None
    relation = "exactly at the limit of" if worst.value == case.limit else "not below"
    value = case.measured_words(worst.value)
    why = f"{value} over {length(window_s)} is {relation} {case.words(case.limit)}{_of_several(worst)}."
    return finding(Verdict.FAIL, Code.BREACHED, why, **_compared(case, worst), window_s=window_s)


def _bounded(case: Case) -> Finding | None:
    top = case.measured.top
    if top is None or top >= case.limit:
        return None
    bound, limit = case.words(top), case.words(case.limit)
    why = f"The top finite bucket is {bound}: no value could ever reach the limit of {limit}."
    return finding(Verdict.VACUOUS, Code.LIMIT_UNREACHABLE, why, top=top, limit=case.limit)


def _frozen(case: Case) -> Finding | None:
    if case.measured.lively is None or case.measured.lively > 0:
        return None
    why = "The counters are scraped but have stood still for 1h: the value cannot change."
    return finding(Verdict.VACUOUS, Code.COUNTERS_STAND_STILL, why)


def _few(case: Case) -> Finding | None:
    samples = case.measured.samples or 0.0
    if samples >= case.given.min_samples:
        return None
    needed, window_s = case.given.min_samples, case.given.long_s
    why = f"Only {samples:.0f} inferences in {length(window_s)}; {needed} are needed."
    return finding(Verdict.NO_DATA, Code.TOO_FEW_SAMPLES, why, samples=samples, needed=needed, window_s=window_s)


def _young(case: Case) -> Finding | None:
    given, long = case.given, case.measured.long
    if given.since is None or given.long_s >= given.required_s:
        return None
    assert long is not None
    full = given.since + timedelta(seconds=given.required_s)
    value = f"{case.measured_words(long.value)} in the first {length(given.long_s)}"
    why = f"{value}; {length(given.required_s)} are over at {format_utc(full)}."
    return finding(Verdict.WAIT, Code.WINDOW_YOUNG, why, value=long.value, window_s=given.long_s, full_at=full)


def _partial(case: Case) -> Finding | None:
    given, covered = case.given, (case.measured.covered or 0.0) * case.given.short_s
    if covered >= given.min_coverage * given.long_s:
        return None
    why = f"Only {length(covered)} of the {length(given.long_s)} hold data."
    return finding(Verdict.NO_DATA, Code.COVERAGE_LOW, why, covered_s=covered, window_s=given.long_s)


def _paused(case: Case) -> Finding | None:
    if case.short is not None and case.short.is_number:
        return None
    lately, window = case.measured.lately or 0.0, length(case.given.short_s)
    if round(lately) == 0:
        why = f"Nothing was inferred in the last {window}."
        return finding(Verdict.NO_DATA, Code.NOTHING_INFERRED, why, window_s=case.given.short_s)
    why = f"Only {lately:.0f} inferences in the last {window}; {case.given.least} are needed."
    needed, window_s = case.given.least, case.given.short_s
    return finding(Verdict.NO_DATA, Code.TOO_FEW_SAMPLES, why, samples=lately, needed=needed, window_s=window_s)


def _pass(case: Case) -> Finding:
    long, short = case.measured.long, case.short
    assert long is not None
    assert short is not None
    if not (long.value < case.limit and short.value < case.limit):
        return finding(Verdict.NO_DATA, Code.INCOMPARABLE, "The value cannot be compared with its limit.")
    values = f"{case.measured_words(long.value)} over {length(case.given.long_s)}"
    values += f" and {case.measured_words(short.value)} over {length(case.given.short_s)}"
    why = f"{values}, below {case.words(case.limit)}{_of_several(long)}{_runbook(case)}."
    return finding(Verdict.PASS, Code.WITHIN_LIMIT, why, **_compared(case, long), short=short.value)


def _compared(case: Case, worst: Worst) -> dict[str, float | str]:
    """The numbers of a comparison with the limit, and the series that they are of."""
    numbers = {"value": worst.value, "limit": case.limit, "series": worst.series}
    return numbers | ({"worst_series": worst.name} if worst.name else {})


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
