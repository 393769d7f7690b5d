"""The questions behind one objective: the runbook's query, and the checks of its answer.

All arithmetic is PromQL's; the texts here only say what to add up. Answers come by engine, so that one that stands
still cannot hide behind another. Windows: the long one of the soak (24 h) and the short rolling one (5 m), because a
day hides a ten-minute burst and five minutes say little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from string import Template
from typing import TYPE_CHECKING

from ml.metrics_contract import ACTIVE_ON, INFO, LATENCY, quoted
from ml.slo.engines import ACTIVE, COUNTED, FAILED, INFO_PART, TIMED
from ml.slo.promql import ENGINE, REMEMBERED, Scope
from ml.slo.unmeasured import unmeasured_query

if TYPE_CHECKING:
    from ml.policy import Objective

LONG, SHORT = "long", "short"
"""The value over each window, one value per engine, so that the worst is judged and not an average of it."""
SHOWN = "shown"
"""The value as the runbook's own query has it."""
SAMPLES, LATELY, LIVELY, NEWEST, COVERED = "samples", "lately", "lively", "newest", "covered"
SEEN = "seen"
"""Scrapes of each engine within the long window."""
DOWN = "down"
"""Engines that are still to be scraped and do not answer."""
UNMEASURED = "unmeasured"
"""Engines that are there now and that the objective does not measure."""
BOUNDS, BLIND, UNCOUNTED, SPELLED, BLENDED = "bounds", "blind", "uncounted", "spelled", "blended"

STILL_WINDOW = "1h"
RAW_WINDOW = "30m"
_LE = re.compile(r'(\w+)\{[^{}]*\ble="(?P<le>[^"]*)"')


@dataclass(frozen=True, slots=True)
class Windows:
    """The two windows and the step of coverage, as PromQL durations, such as ``24h``, ``5m``."""

    long: str
    short: str

    @staticmethod
    def of(long_s: int, short_s: int) -> Windows:
        """From their lengths in seconds."""
        return Windows(duration(long_s), duration(short_s))


def duration(seconds: int) -> str:
    """A length of time as PromQL writes it, in the largest unit that divides it."""
    unit, size = next((unit, size) for unit, size in (("h", 3600), ("m", 60), ("s", 1)) if seconds % size == 0)
    return f"{seconds // size}{unit}"


def who_query_parts(scope: Scope, ratio: Objective | None, latency: str, window: str) -> Mapping[str, str]:
    """Return the parts of the roster query: every series with labels that tell engines apart, and served artifacts."""
    parts = {
        TIMED: f"last_over_time({scope.timed(f'{latency}_count')}[{window}])",
        INFO_PART: f"max_over_time({scope.timed(INFO)}[{window}])",
        ACTIVE: f"{scope.plain(ACTIVE_ON)}",
    }
    if ratio is not None:
        parts[COUNTED] = scope.counted(str(ratio.successes))
        bad = f"last_over_time({scope.counted(str(ratio.errors))}[{window}])"
        parts[FAILED] = f"count by ({scope.names.mode}, instance) ({bad})"
    return parts


def raw_query(scope: Scope, latency: str) -> str:
    """The samples of the last minutes as they were scraped, for the time between two scrapes."""
    return f"{scope.timed(f'{latency}_count')}[{RAW_WINDOW}]"


def shown_query(objective: Objective, scope: Scope, window: str) -> str:
    """The query that people see and can paste: for the defaults, the runbook's text to the letter."""
    match objective.kind:
        case "quantile":
            return _quantile(objective, scope, f"sum(rate({_buckets(objective, scope)}[{window}])) by (le)")
        case "ratio":
            errors, successes = (f"rate({scope.plain(str(each))}[{window}])" for each in _counters(objective))
            differing = _differing(objective, scope)
            if differing:
                errors, successes = (f"sum without ({differing}) ({each})" for each in (errors, successes))
            return f"{errors} / ({successes} + 0.001)"
        case _:
            return _free(objective, scope, window)


def _counters(objective: Objective) -> tuple[str, str]:
    return str(objective.errors), str(objective.successes)


def _differing(objective: Objective, scope: Scope) -> str:
    """The labels that only tell errors from successes, by which a division would find no partner."""
    metrics = [scope.names.metric(each) for each in _counters(objective)]
    return ", ".join(sorted({label for each in metrics for label, _ in (*each.where, *each.where_not)}))


def judged_query(objective: Objective, scope: Scope, window: str, cell: str = "") -> str:
    """Return the judged query; its worst engine counts. ``cell``: the step by which a long window may be added up."""
    match objective.kind:
        case "quantile":
            buckets = partial(scope.counts, _buckets(objective, scope), le=True)
            return _quantile(objective, scope, _added(scope, buckets, window, cell))
        case "ratio":
            return _ratio(objective, scope, window, cell)
        case _:
            return _free(objective, scope, window)


def count_query(objective: Objective, scope: Scope, window: str, latency: str = LATENCY, cell: str = "") -> str:
    """Count the inferences of each engine behind a value: attempts for a ratio, else latencies."""
    if objective.kind != "ratio":
        return _added(scope, partial(scope.grown, scope.timed(f"{objective.metric or latency}_count")), window, cell)
    good, bad = scope.counted(str(objective.successes)), scope.counted(str(objective.errors))
    return _added(
        scope,
        lambda length: _both(scope, scope.grown(bad, length), scope.grown(good, length)),
        window,
        cell,
        counter=True,
    )


def attempts_query(objective: Objective, scope: Scope, window: str, latency: str = LATENCY) -> str:
    """Same as `count_query` over one cell, but a new counter's first value counts too, as in the cell's value."""
    if objective.kind != "ratio":
        return scope.attributed(scope.counts(scope.timed(f"{objective.metric or latency}_count"), window), window)
    good, bad = scope.counted(str(objective.successes)), scope.counted(str(objective.errors))
    return scope.attributed(_both(scope, scope.counts(bad, window), scope.counts(good, window)), window, counter=True)


def questions(objective: Objective, scope: Scope, windows: Windows, latency: str = LATENCY) -> Mapping[str, str]:
    """Return every question behind one reading, by the meaning of its answer.

    ``latency`` is the histogram that counts inferences, for objectives that do not name one.
    """
    count = scope.timed(f"{objective.metric or latency}_count")
    asked = {
        LONG: judged_query(objective, scope, windows.long, windows.short),
        SHORT: judged_query(objective, scope, windows.short),
        SAMPLES: count_query(objective, scope, windows.long, latency, windows.short),
        LATELY: count_query(objective, scope, windows.short, latency),
        LIVELY: count_query(objective, scope, STILL_WINDOW, latency, windows.short),
        SEEN: scope.attributed(f"max by ({scope.engines}) (count_over_time({count}[{windows.long}]))", windows.short),
        DOWN: _down(
            scope, f"(last_over_time({count}[{windows.long}]) or last_over_time({scope.timed(INFO)}[{windows.long}]))"
        ),
        UNMEASURED: unmeasured_query(
            scope, _behind(objective, scope, count), windows.short, counter=objective.kind == "ratio"
        ),
    }
    if objective.kind == "ratio":
        return asked | _counter_facts(objective, scope, windows, latency)
    asked |= {
        NEWEST: scope.attributed(f"max by ({scope.engines}) (timestamp({count}))", windows.short),
        COVERED: _covered(scope, count, windows),
    }
    if objective.kind == "quantile":
        return asked | {BOUNDS: _bounds(objective, scope, windows.long)}
    return asked | _spellings(objective, scope)


def board_questions(objective: Objective, scope: Scope, windows: Windows, latency: str = LATENCY) -> Mapping[str, str]:
    """Return the questions of `questions` that decide on the board, in fewer numbers: the verdict is the same.

    Only engines that stand still are named by `LIVELY`. Scrapes are not counted, because the board does not know how
    many to expect. For several models, `BOUNDS` counts the engines of each bucket (see `uniform_bounds`).
    """
    asked = dict(questions(objective, scope, windows, latency))
    del asked[SEEN]
    asked[LIVELY] = f"{asked[LIVELY]} <= 0"
    if scope.split and BOUNDS in asked:
        asked[BOUNDS] = f'count_values by (le) ("{ALWAYS}", {asked[BOUNDS]} >= bool {PRESENT})'
    return asked


ALWAYS = "always"
"""The label that says if a bucket was there all the time."""
PRESENT = 0.99
"""The share of a window from which a bucket counts as there all the time."""


def bounds_query(objective: Objective, scope: Scope, window: str) -> str:
    """For how much of the window each engine had each bucket; the answer that `board_questions` counts."""
    return _bounds(objective, scope, window)


def born_query(scope: Scope, ratio: Objective | None, windows: Windows) -> str:
    """Find the models of which some counter was born within one of the windows. Usually there are none."""
    series = [scope.timed(f"{scope.latency}_count")]
    if ratio is not None:
        series += [scope.counted(str(ratio.successes)), scope.counted(str(ratio.errors))]
    return " or ".join(
        f"count by ({scope.split}) (last_over_time({each}[{window}])"
        f" unless last_over_time({each}[{REMEMBERED}] offset {window}))"
        for each in series
        for window in (windows.long, windows.short)
    )


def changed_query(objective: Objective, scope: Scope, window: str) -> str:
    """Find engines with changed bucket layouts or spellings in a window: some buckets existed longer than others."""
    by, scrapes = scope.engines, f"count_over_time({_buckets(objective, scope)}[{window}])"
    return f"(max by ({by}) ({scrapes}) > on ({by}) min by ({by}) ({scrapes}))"


def seen_query(scope: Scope, latency: str, window: str) -> str:
    """Count the scrapes of each engine in a window in which it served the artifact."""
    series = scope.timed(f"{latency}_count")
    return scope.attributed(f"max by ({scope.engines}) (count_over_time({series}[{window}]))", window)


def _behind(objective: Objective, scope: Scope, count: str) -> str:
    """The series behind an objective: an engine that has one of them is measured."""
    if objective.kind != "ratio":
        return count
    return f"{scope.counted(str(objective.successes))} or {scope.counted(str(objective.errors))}"


def selected_bounds(objective: Objective) -> tuple[str, ...]:
    """The ``le`` values that a free query selects by their text."""
    return tuple(found["le"] for found in _LE.finditer(objective.query or "")) if objective.kind == "promql" else ()


def _buckets(objective: Objective, scope: Scope) -> str:
    return scope.timed(f"{objective.metric}_bucket")


def _quantile(objective: Objective, scope: Scope, buckets: str) -> str:
    """A quantile in the objective's unit. Rounded to the nanosecond: 0.57 s times 1000 is not quite 570 ms."""
    quantile = f"histogram_quantile({objective.quantile:.15g}, {buckets})"
    if not scope.names.milliseconds(objective.metric, objective.unit):
        return quantile
    return f"round(1000 * {quantile}, 0.000001)"


def _added(scope: Scope, over: Callable[[str], str], window: str, cell: str = "", *, counter: bool = False) -> str:
    """A sum over a window, for the artifact.

    An engine that served nothing else in the window is added up over all of it. Of one that did, the cells count in
    which it served the artifact alone.
    """
    whole = scope.attributed(over(window), window, counter=counter)
    if not _in_cells(scope, window, cell):
        return whole
    return f"({whole} or {_by_cells(scope, over, window, cell, counter=counter)})"


def _in_cells(scope: Scope, window: str, cell: str) -> bool:
    return scope.swapped and bool(cell) and cell != window


def _by_cells(scope: Scope, over: Callable[[str], str], window: str, cell: str, *, counter: bool) -> str:
    return f"sum_over_time({scope.attributed(over(cell), cell, counter=counter)}[{window}:{cell}])"


def _ratio(objective: Objective, scope: Scope, window: str, cell: str) -> str:
    """Errors over all attempts, by engine: one minus successes over attempts.

    So errors, which may have a series for each of many labels, are read once. An engine without any success counts
    none, also where it has no counter of them.
    ``cell`` is given for a long window, in which a counter may be born and restart.
    """
    bad, good = scope.counted(str(objective.errors)), scope.counted(str(objective.successes))

    def successes(length: str) -> str:
        none = f"{scope.infers(length)} * 0 or count by ({scope.engines}) (last_over_time({bad}[{length}])) * 0"
        return f"({scope.counts(good, length)} or {none})"

    def attempts(length: str) -> str:
        return _both(scope, scope.counts(bad, length, restarts=bool(cell)), scope.counts(good, length))

    whole = scope.attributed(f"1 - {successes(window)} / {attempts(window)}", window, counter=True)
    if not _in_cells(scope, window, cell):
        return whole
    parts = (_by_cells(scope, each, window, cell, counter=True) for each in (successes, attempts))
    return f"({whole} or 1 - {' / '.join(parts)})"


def _both(scope: Scope, errors: str, successes: str) -> str:
    """Errors and successes together, by engine; a missing series counts as zero."""
    return f'sum by ({scope.engines}) (label_replace({errors}, "{_KIND}", "errors", "", "") or {successes})'


_KIND = "mlconsole_kind"


def _free(objective: Objective, scope: Scope, window: str) -> str:
    mode = quoted(scope.names.value(scope.stage))[1:-1]
    return Template(objective.query or "").safe_substitute(
        mode=mode, selector=scope.selector, window=window, matchers=scope.timed("")[1:-1]
    )


def _covered(scope: Scope, series: str, windows: Windows, *, counter: bool = False) -> str:
    if scope.split and not scope.swapped:
        # Only that there is a value counts, so nothing needs to be added up by engine first.
        total = f"count by ({scope.owners}) ({scope.attributed(f'({series})', windows.short, counter=counter)})"
    else:
        there = scope.attributed(f"count by ({scope.engines}) ({series})", windows.short, counter=counter)
        total = f"sum by ({scope.owners}) ({there})" if scope.split else f"sum({there})"
    return f"count_over_time({total}[{windows.long}:{windows.short}])"


def _down(scope: Scope, seen: str) -> str:
    if not scope.split:
        return f"up == 0 and on (job, instance) {seen}"
    by = ", ".join(sorted({*scope.identifying, *ENGINE}))
    return f"(count by ({by}) ({seen}) and on (job, instance) (up == 0))"


def _bounds(objective: Objective, scope: Scope, window: str) -> str:
    """For how much of the window each engine had each bucket: 1 is always."""
    by, buckets = scope.engines, _buckets(objective, scope)
    whole = scope.timed_with(f"{objective.metric}_bucket", 'le="+Inf"')
    there = f"sum by ({by}, le) (count_over_time({buckets}[{window}]))"
    return f"({there} / on ({by}) group_left () sum by ({by}) (count_over_time({whole}[{window}])))"


def _counter_facts(objective: Objective, scope: Scope, windows: Windows, latency: str) -> dict[str, str]:
    by, long = scope.engines, windows.long
    errors, successes = scope.counted(str(objective.errors)), scope.counted(str(objective.successes))
    count = scope.timed(f"{latency}_count")
    inferring = f"({scope.attributed(scope.grown(count, long), windows.short)} > 0)"
    there = scope.attributed(f"count by ({by}) ({count} or {successes})", windows.short)
    facts = {
        SHOWN: _shown(objective, scope, long),
        NEWEST: scope.attributed(
            f"max by ({by}) (timestamp({successes}) or timestamp({errors}))", windows.short, counter=True
        ),
        COVERED: _covered(scope, f"{successes} or {errors}", windows, counter=True),
        BLIND: f"({inferring} unless on ({by}) ({scope.grown(successes, long)} > 0))",
        UNCOUNTED: f"({there} unless on ({by}) count by ({by}) (count_over_time({errors}[{long}])))",
    }
    if scope.modeless:
        mode, value = scope.names.mode, quoted(scope.names.value(scope.stage))
        elsewhere = scope.plain_with(f"{latency}_count", f'{mode}!={value},{mode}!=""')
        bare = scope.plain_with(str(objective.successes), f'{mode}=""')
        facts[BLENDED] = (
            f"({inferring} and on ({by}) ({scope.grown(elsewhere, long)} > 0) and on ({by}) count by ({by}) ({bare}))"
        )
    return facts


def _spellings(objective: Objective, scope: Scope) -> dict[str, str]:
    """List the exporter's spellings of its buckets, where a free query selects one by its text."""
    named = {found[1] for found in _LE.finditer(objective.query or "")}
    by = f"{scope.split}, le" if scope.split else "le"
    return {
        f"{SPELLED}{number}": f"count by ({by}) ({scope.timed(metric)})" for number, metric in enumerate(sorted(named))
    }


def _shown(objective: Objective, scope: Scope, window: str) -> str:
    """The runbook's own query; of many models its highest value by model and mode."""
    shown = shown_query(objective, scope, window)
    return f"max by ({scope.split}, {scope.names.mode}) ({shown})" if scope.split else shown
