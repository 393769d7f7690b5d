"""The judge: from measurements to one verdict and one sentence of why. Pure.

The rules run in order, and the first one that objects decides. A value without any objection is PASS, and PASS is
written ``value < limit``. Order: unreliable values, then breaches, then limits that could not have
been breached, then too little data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from ml.clock import format_utc, hours, span
from ml.slo.engines import Engine
from ml.slo.exchanges import SKEW_S, Failure, skewed, warned
from ml.slo.measured import Case, Terms, Worst
from ml.slo.promql import Scope
from ml.slo.questions import shown_query
from ml.slo.unmeasured import unmeasured, valueless
from ml.verdict import Code, Finding, Reading, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Objective


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


def _skewed(case: Case) -> Finding | None:
    return skewed(case.given.skew_s)


def _landed_just_now(case: Case) -> Finding | None:
    given = case.given
    if not given.overlaps or given.since is None:
        return None
    age_s = max(0.0, (given.now - given.since).total_seconds())
    why = (
        f"It landed {span(age_s)} ago, and engines do not report what they serve: "
        f"the last {hours(given.short_s)} hold numbers of the artifact before."
    )
    return finding(Verdict.WAIT, Code.LANDED_JUST_NOW, why, age_s=age_s, window_s=given.short_s)


def _misspelled(case: Case) -> Finding | None:
    if not case.measured.misspelled:
        return None
    asked, exported = case.measured.misspelled[0]
    why = f'The query selects le="{asked}", but the exporter writes le="{exported}", so it never counts anything.'
    return finding(Verdict.VACUOUS, Code.BUCKET_MISSPELLED, why, asked=asked, exported=exported)


def _mixed_models(case: Case) -> Finding | None:
    return case.given.mixed_models


def _bucketless(case: Case) -> Finding | None:
    """Inferences are counted, but no bucket with a bound is scraped of any engine: there is no quantile to read."""
    if case.objective.kind != "quantile" or any(found.top is not None for found in case.measured.buckets.values()):
        return None
    total = case.measured.total or 0.0
    return _without_buckets(case, total, next(iter(case.measured.buckets), None)) if round(total) else None


def _without_buckets(case: Case, samples: float, engine: Engine | None) -> Finding:
    metric, name = case.metric(case.objective.metric), "" if engine is None else case.measured.name(engine)
    scraped = "only the bucket +Inf" if engine in case.measured.buckets else "no bucket"
    why = (
        f"{samples:,.0f} inferences were counted, but {scraped} of {metric} is scraped{_of(case, name)}, so no "
        "quantile can be read. Export classic buckets beside a native histogram."
    )
    return finding(Verdict.NO_DATA, Code.NO_FINITE_BUCKET, why, samples=samples, instance=name)


def _unmeasured(case: Case) -> Finding | None:
    """Every engine that is there is judged: one without the right series must not be covered by its neighbor."""
    measured, objective = case.measured, case.objective
    if objective.kind != "promql":
        for engine, samples in sorted(measured.samples.items()):
            found = measured.buckets.get(engine)
            valued = engine in measured.longs and (found is None or found.top is not None)
            if valued or round(samples) == 0:
                continue
            if objective.kind == "quantile":
                return _without_buckets(case, samples, engine)
            return valueless(measured.name(engine), samples)
    if not measured.unmeasured:
        return None
    engine = max(measured.unmeasured, key=lambda each: (measured.unmeasured[each], each))
    return unmeasured(objective, measured.name(engine), measured.unmeasured[engine], case.names)


def _blended(case: Case) -> Finding | None:
    if not case.measured.blended:
        return None
    metric, engine = case.metric(case.objective.successes), case.measured.blended[0]
    why = (
        f"{metric} of {engine} has no label {case.names.mode}, and {engine} infers in two modes: "
        "the errors of one cannot be told from those of the other."
    )
    return finding(Verdict.VACUOUS, Code.MODES_BLENDED, why, metric=metric, instance=engine)


def _blind(case: Case) -> Finding | None:
    if not case.measured.blind:
        return None
    metric, instance = case.metric(case.objective.successes), case.measured.blind[0]
    why = f"Latencies arrive but {metric} never moves ({instance}), so failures would not show either."
    return finding(Verdict.VACUOUS, Code.SUCCESSES_UNCOUNTED, why, metric=metric, instance=instance)


def _uncounted(case: Case) -> Finding | None:
    if not case.measured.uncounted:
        return None
    metric, instance = case.metric(case.objective.errors), case.measured.uncounted[0]
    why = f"There is no {metric} of {instance or 'the engine'}: an error could not have been counted."
    return finding(Verdict.VACUOUS, Code.ERRORS_UNCOUNTED, why, metric=metric, instance=instance)


def _absent(case: Case) -> Finding | None:
    if case.measured.long is not None:
        return None
    total = case.measured.total or 0.0
    counted = f", although {total:,.0f} inferences were counted" if round(total) else ""
    why = f"The query finds no series at all{counted}."
    return finding(Verdict.NO_DATA, Code.NO_SERIES, why, samples=total)


def _no_number(case: Case) -> Finding | None:
    long, short = case.measured.long, case.measured.short
    assert long is not None
    if long.infinite or (short is not None and short.infinite):
        return finding(Verdict.NO_DATA, Code.INFINITE_VALUE, "The value is infinite, which is no measurement.")
    if math.isnan(long.value):
        total, window = case.measured.total or 0.0, hours(case.given.long_s)
        what = f"{total:,.0f} inferences were counted" if round(total) else "nothing was inferred"
        why = f"The value is NaN: {what} in the last {window}."
        return finding(Verdict.NO_DATA, Code.NOT_A_NUMBER, why, window_s=case.given.long_s, samples=total)
    return None


def _seldom(case: Case) -> Finding | None:
    """A window that holds fewer than two scrapes shows no growth of any counter."""
    scrape_s, short_s = case.given.scrape_s, case.given.short_s
    if scrape_s is None or 2 * scrape_s <= short_s:
        return None
    return seldom(scrape_s, short_s)


def seldom(scrape_s: float, short_s: int) -> Finding:
    """The finding where scrapes are too far apart for the short window."""
    minutes = math.ceil(3 * scrape_s / 60)
    why = (
        f"The engine is scraped every {hours(scrape_s)}, and a window of {hours(short_s)} needs two scrapes. "
        f"Scrape at least every {hours(short_s / 2)}, or set soak.cell_minutes = {minutes}."
    )
    return finding(Verdict.NO_DATA, Code.SCRAPED_TOO_SELDOM, why, scrape_s=scrape_s, window_s=short_s)


def _stale(case: Case) -> Finding | None:
    """Check that every current engine is measured now; the longest silent one is named."""
    measured, given = case.measured, case.given
    if not measured.newest:
        return finding(Verdict.NO_DATA, Code.NO_SAMPLE, "No sample says that the engine is measured now.")
    ages = {engine: (given.now - at).total_seconds() for engine, at in measured.newest.items()}
    oldest, youngest = max(ages, key=lambda each: ages[each]), min(ages, key=lambda each: ages[each])
    if ages[oldest] > given.stale_s:
        age, engine = ages[oldest], measured.name(oldest)
        why = (
            f"The newest sample{_of(case, engine)} is {span(age)} old; after {span(given.stale_s)} it is not believed."
        )
        return finding(Verdict.STALE, Code.SAMPLE_STALE, why, age_s=age, limit_s=given.stale_s, instance=engine)
    if ages[youngest] < -SKEW_S:
        age = ages[youngest]
        why = f"The newest sample is {span(-age)} in the future: a clock is wrong or stepped back."
        return finding(Verdict.NO_DATA, Code.SAMPLE_IN_FUTURE, why, age_s=age)
    return None


def _breached(case: Case) -> Finding | None:
    worst, window_s = case.deciding
    if worst is None or not worst.is_number or worst.value < case.limit or case.unclear_of(worst):
        return None
    relation = "exactly at the limit of" if worst.value == case.limit else "not below"
    value = case.measured_words(worst)
    why = f"{value} over {hours(window_s)} is {relation} {case.words(case.limit)}{_of_several(worst)}."
    return finding(Verdict.FAIL, Code.BREACHED, why, **_compared(case, worst), window_s=window_s)


def _bounded(case: Case) -> Finding | None:
    """No engine's histogram may end below the limit."""
    tops = {engine: found.top for engine, found in case.measured.buckets.items() if found.top is not None}
    low = {engine: top for engine, top in tops.items() if top < case.limit}
    if not low:
        return None
    engine = min(low, key=lambda each: (low[each], each))
    name, bound, limit = case.measured.name(engine), case.words(low[engine]), case.words(case.limit)
    why = f"The top finite bucket{_of(case, name)} is {bound}: no value could ever reach the limit of {limit}."
    return finding(Verdict.VACUOUS, Code.LIMIT_UNREACHABLE, why, top=low[engine], limit=case.limit, instance=name)


def _between(case: Case) -> Finding | None:
    """A histogram without a bucket at the limit gives only a range, and the limit lies inside of it."""
    unclear = case.unclear
    if unclear is None:
        return None
    name = case.measured.name(unclear.engine)
    low, high = unclear.low, unclear.high
    why = (
        f"Over {hours(unclear.window_s)} the value{_of(case, name)} lies between {low:.4g} and {case.words(high)}: "
        f"the histogram has no bucket at the limit of {case.words(case.limit)}, so nobody knows on which side."
    )
    range_ = {"low": low, "high": high, "limit": case.limit, "window_s": unclear.window_s}
    return finding(Verdict.VACUOUS, Code.LIMIT_BETWEEN_BUCKETS, why, **range_, instance=name)


def _down(case: Case) -> Finding | None:
    if not case.measured.down:
        return None
    name = case.measured.down[0]
    why = f"{name} does not answer scrapes: nobody knows what it does."
    return finding(Verdict.NO_DATA, Code.ENGINE_DOWN, why, instance=name)


def _frozen(case: Case) -> Finding | None:
    """Every engine that is scraped moved within the last hour."""
    measured = case.measured
    still = sorted(engine for engine in measured.newest if measured.lively.get(engine, 1.0) <= 0)
    if not still:
        return None
    name = measured.name(still[0])
    why = f"The counters{_of(case, name)} are scraped but have stood still for 1h: the value cannot change."
    return finding(Verdict.VACUOUS, Code.COUNTERS_STAND_STILL, why, instance=name)


def _few(case: Case) -> Finding | None:
    """Enough inferences of all engines together, each once, and of each engine for the time that it was there."""
    measured, given = case.measured, case.given
    samples, needed, name = measured.total or 0.0, float(given.min_samples), ""
    if samples >= needed:
        short = {
            engine: (measured.samples.get(engine, 0.0), given.min_samples * case.share(engine))
            for engine in measured.newest
            if measured.samples.get(engine, 0.0) < given.min_samples * case.share(engine)
        }
        if not short:
            return None
        engine = min(short, key=lambda each: (short[each][0] / short[each][1], each))
        (samples, needed), name = short[engine], measured.name(engine)
    window_s, wanted = given.long_s, math.ceil(needed)
    why = f"Only {samples:.0f} inferences{_of(case, name)} in {hours(window_s)}; {wanted} are needed."
    facts = {"samples": samples, "needed": wanted, "window_s": window_s}
    return finding(Verdict.NO_DATA, Code.TOO_FEW_SAMPLES, why, **facts, instance=name)


def _undated(case: Case) -> Finding | None:
    """A clone without its history cannot say which numbers are the artifact's. What breaches does so all the same."""
    return case.given.undated


def _young(case: Case) -> Finding | None:
    given, long = case.given, case.measured.long
    if given.since is None or given.long_s >= given.required_s:
        return None
    assert long is not None
    full = given.since + timedelta(seconds=given.required_s)
    value = f"{case.measured_words(long)} in the first {hours(given.long_s)}"
    why = f"{value}; {hours(given.required_s)} are over at {format_utc(full)}."
    return finding(Verdict.WAIT, Code.WINDOW_YOUNG, why, value=long.value, window_s=given.long_s, full_at=full)


def _partial(case: Case) -> Finding | None:
    given, covered = case.given, (case.measured.covered or 0.0) * case.given.short_s
    if covered >= given.min_coverage * given.long_s:
        return None
    why = f"Only {hours(covered)} of the {hours(given.long_s)} hold data."
    return finding(Verdict.NO_DATA, Code.COVERAGE_LOW, why, covered_s=covered, window_s=given.long_s)


def _paused(case: Case) -> Finding | None:
    """Every engine that is there inferred enough in the short window."""
    measured, given = case.measured, case.given
    idle = sorted(engine for engine in measured.newest if measured.lately.get(engine, 0.0) < given.least)
    if not idle and case.short is not None and case.short.is_number:
        return None
    engine = min(idle, key=lambda each: measured.lately.get(each, 0.0), default=())
    name, lately, window = (
        measured.name(engine) if idle else "",
        measured.lately.get(engine, 0.0),
        hours(given.short_s),
    )
    if round(lately) == 0:
        why = f"Nothing was inferred{_by(case, name)} in the last {window}."
        return finding(Verdict.NO_DATA, Code.NOTHING_INFERRED, why, window_s=given.short_s, instance=name)
    why = f"Only {lately:.0f} inferences{_of(case, name)} in the last {window}; {given.least} are needed."
    facts = {"samples": lately, "needed": given.least, "window_s": given.short_s}
    return finding(Verdict.NO_DATA, Code.TOO_FEW_SAMPLES, why, **facts, instance=name)


def _pass(case: Case) -> Finding:
    long, short = case.measured.long, case.short
    assert long is not None
    assert short is not None
    if not (long.value < case.limit and short.value < case.limit):
        return finding(Verdict.NO_DATA, Code.INCOMPARABLE, "The value cannot be compared with its limit.")
    values = f"{case.measured_words(long)} over {hours(case.given.long_s)}"
    values += f" and {case.measured_words(short)} over {hours(case.given.short_s)}"
    why = f"{values}, below {case.words(case.limit)}{_of_several(long)}{_runbook(case)}."
    return finding(Verdict.PASS, Code.WITHIN_LIMIT, why, **_compared(case, long), short=short.value)


def _compared(case: Case, worst: Worst) -> dict[str, float | str]:
    """The numbers of a comparison with the limit, and the engine that they are of."""
    numbers = {"value": worst.value, "limit": case.limit, "series": worst.series}
    return numbers | ({"worst_series": worst.name} if worst.name else {})


def _of(case: Case, engine: str) -> str:
    """Name the engine, where there is more than one."""
    return f" of {engine}" if engine and case.measured.several() else ""


def _by(case: Case, engine: str) -> str:
    return f" by {engine}" if engine and case.measured.several() else ""


def _of_several(worst: Worst) -> str:
    return f" (worst of {worst.series} engines: {worst.name})" if worst.series > 1 else ""


def _runbook(case: Case) -> str:
    shown = case.measured.shown
    if case.objective.kind != "ratio" or shown is None or not shown.is_number:
        return ""
    return f"; the runbook's form reads {case.words(shown.value)}"


_RULES: tuple[Callable[[Case], Finding | None], ...] = (
    _warned,
    _skewed,
    _landed_just_now,
    _mixed_models,
    _misspelled,
    _bucketless,
    _blended,
    _blind,
    _uncounted,
    _absent,
    _no_number,
    _seldom,
    _stale,
    _breached,
    _bounded,
    _between,
    _unmeasured,
    _down,
    _frozen,
    _undated,
    _young,
    _few,
    _partial,
    _paused,
)


# Readings for the interface: of a judged case, and of a question without an answer.


def reading_of(case: Case, scope: Scope, terms: Terms) -> Reading:
    """A case, judged, as a reading."""
    found = judge(case)
    worst, window_s = case.deciding
    objective, samples = case.objective, case.measured.total
    if case.given.overlaps:
        worst, samples = None, 0.0  # what was measured is the artifact before
    newest = min(case.measured.newest.values(), default=None)
    value = worst.value if worst is not None and worst.is_number else None
    return Reading(
        name=objective.name,
        verdict=found.verdict,
        why=found.why,
        code=found.code,
        facts=found.facts,
        query=shown_query(objective, scope, terms.windows().long),
        value=value,
        limit=objective.limit,
        unit=objective.unit,
        window_s=window_s,
        sampled_at=newest,
        samples=None if samples is None else round(samples),
        series=0 if worst is None else worst.series,
        clamped=value is not None and worst is not None and case.clamped(worst),
        attribution=str(scope.attribution),
        gate=objective.gate,
    )


def failed_reading(objective: Objective, scope: Scope, terms: Terms, failure: Failure) -> Reading:
    """Return the reading of an objective without an answer."""
    return unasked_reading(objective, scope, terms, failure.finding)


def unasked_reading(objective: Objective, scope: Scope, terms: Terms, found: Finding) -> Reading:
    """The reading of an objective of which only that is known."""
    return Reading(
        name=objective.name,
        verdict=found.verdict,
        why=found.why,
        code=found.code,
        facts=found.facts,
        query=shown_query(objective, scope, terms.windows().long),
        limit=objective.limit,
        unit=objective.unit,
        series=0,
        gate=objective.gate,
    )
