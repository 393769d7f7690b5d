"""The questions behind one objective: the runbook's query, and the checks of its answer.

All arithmetic is PromQL's; the texts here only say what to add up. Windows: the long one of the soak (24 h) and the
short rolling one (5 m), because a day hides a ten-minute burst and five minutes say little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING

from ml.slo.source import Series
from ml.stage import Stage

if TYPE_CHECKING:
    from ml.policy import Objective


# PromQL texts: selectors merged from a stage and the policy, and several questions joined into one.

TAG = "mlconsole"
"""The label by which the answers to questions that were asked as one are told apart."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The selected series: one stage of one model, by the policy's ``selector`` (such as ``model="a"``)."""

    stage: Stage
    selector: str = ""

    def timed(self, metric: str) -> str:
        """A metric that the engine labels by mode, as it does its latencies."""
        return self._of(metric, f'mode="{self.stage}"')

    def timed_with(self, metric: str, matcher: str) -> str:
        """Same as `timed`, with one more matcher."""
        return self._of(metric, f'mode="{self.stage}",{matcher}')

    def counted(self, metric: str) -> str:
        """Select a metric that only some engines label by mode: ours, or without a mode."""
        return self._of(metric, f'mode=~"{self.stage}|"')

    def plain(self, metric: str) -> str:
        """Select a metric in any mode."""
        return self._of(metric, "")

    def plain_with(self, metric: str, matcher: str) -> str:
        """Same as `plain`, with one more matcher."""
        return self._of(metric, matcher)

    def _of(self, metric: str, mode: str) -> str:
        inside = ",".join(part for part in (mode, self.selector) if part)
        return f"{metric}{{{inside}}}" if inside else metric


def joined(questions: Mapping[str, str]) -> str:
    """One query that answers many: each expression's series carry its key in the label `TAG`.

    The expressions are joined by a balanced tree of ``or``: a chain would cost Prometheus the square of their number.
    """
    return _tree([f'label_replace({promql}, "{TAG}", "{key}", "", "")' for key, promql in questions.items()])


def _tree(terms: Sequence[str]) -> str:
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    left, right = _tree(terms[:middle]), _tree(terms[middle:])
    return f"{left} or {right}" if middle == 1 else f"({left}) or ({right})"


def split(series: Sequence[Series]) -> dict[str, tuple[Series, ...]]:
    """Split the answers of a `joined` query by key, and remove its label."""
    found: dict[str, tuple[Series, ...]] = {}
    for each in series:
        labels = tuple(pair for pair in each.labels if pair[0] != TAG)
        found[each.label(TAG)] = (*found.get(each.label(TAG), ()), Series(labels, each.points))
    return found


LONG, SHORT = "long", "short"
"""The value over each window, one value per series, so that the worst is judged and not an average of it."""
SHOWN = "shown"
"""The value as the runbook's own query has it."""
SAMPLES, LATELY, LIVELY, NEWEST, COVERED = "samples", "lately", "lively", "newest", "covered"
BOUNDS, BLIND, UNCOUNTED, SPELLED = "bounds", "blind", "uncounted", "spelled"

LATENCY = "grinder_ml_inference_latency_ms"
STILL_WINDOW = "1h"
_LE = re.compile(r'(\w+)\{[^{}]*\ble="(?P<le>[^"]*)"')
_BY = "sum by (job, instance)"


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


def shown_query(objective: Objective, scope: Scope, window: str) -> str:
    """The query that people see and can paste: for the defaults, the runbook's text to the letter."""
    match objective.kind:
        case "quantile":
            return _quantile(objective, f"sum(rate({_buckets(objective, scope)}[{window}])) by (le)")
        case "ratio":
            errors, successes = scope.plain(str(objective.errors)), scope.plain(str(objective.successes))
            return f"rate({errors}[{window}]) / (rate({successes}[{window}]) + 0.001)"
        case _:
            return _free(objective, scope, window)


def judged_query(objective: Objective, scope: Scope, window: str) -> str:
    """Return the judged query; its worst series counts."""
    match objective.kind:
        case "quantile":
            return _quantile(objective, f"rate({_buckets(objective, scope)}[{window}])")
        case "ratio":
            return _ratio(objective, scope, window)
        case _:
            return _free(objective, scope, window)


def count_query(objective: Objective, scope: Scope, window: str, latency: str = LATENCY) -> str:
    """Count the inferences behind an objective's value over a window: attempts for a ratio, else latencies."""
    if objective.kind != "ratio":
        return f"sum(increase({scope.timed(f'{objective.metric or latency}_count')}[{window}]))"
    good = f"sum(increase({scope.counted(str(objective.successes))}[{window}]))"
    bad = f"sum(increase({scope.counted(str(objective.errors))}[{window}]))"
    return f"({good} + {bad}) or {good} or {bad}"


def questions(objective: Objective, scope: Scope, windows: Windows, latency: str = LATENCY) -> Mapping[str, str]:
    """Return every question behind one reading, by the meaning of its answer.

    ``latency`` is the histogram that counts inferences, for objectives that do not name one.
    """
    asked = {
        LONG: judged_query(objective, scope, windows.long),
        SHORT: judged_query(objective, scope, windows.short),
        SAMPLES: count_query(objective, scope, windows.long, latency),
        LATELY: count_query(objective, scope, windows.short, latency),
        LIVELY: count_query(objective, scope, STILL_WINDOW, latency),
    }
    if objective.kind == "ratio":
        return asked | _counter_facts(objective, scope, windows, latency)
    count = scope.timed(f"{objective.metric or latency}_count")
    asked |= {
        NEWEST: f"min(timestamp({count}))",
        COVERED: f"count_over_time(sum({count})[{windows.long}:{windows.short}])",
    }
    if objective.kind == "quantile":
        return asked | {BOUNDS: f"count by (le) ({_buckets(objective, scope)})"}
    return asked | _spellings(objective, scope)


def selected_bounds(objective: Objective) -> tuple[str, ...]:
    """The ``le`` values that a free query selects by their text."""
    return tuple(found["le"] for found in _LE.finditer(objective.query or "")) if objective.kind == "promql" else ()


def _buckets(objective: Objective, scope: Scope) -> str:
    return scope.timed(f"{objective.metric}_bucket")


def _quantile(objective: Objective, buckets: str) -> str:
    return f"histogram_quantile({objective.quantile:.15g}, {buckets})"


def _ratio(objective: Objective, scope: Scope, window: str) -> str:
    """Errors over all attempts, by instance. Where no success was ever counted, attempts are the errors alone."""
    errors = f"{_BY} (increase({scope.counted(str(objective.errors))}[{window}]))"
    successes = f"{_BY} (increase({scope.counted(str(objective.successes))}[{window}]))"
    return f"{errors} / ({errors} + ({successes} or {errors} * 0))"


def _free(objective: Objective, scope: Scope, window: str) -> str:
    return Template(objective.query or "").safe_substitute(
        mode=str(scope.stage), selector=scope.selector, window=window, matchers=scope.timed("")[1:-1]
    )


def _counter_facts(objective: Objective, scope: Scope, windows: Windows, latency: str) -> dict[str, str]:
    errors, successes = scope.counted(str(objective.errors)), scope.counted(str(objective.successes))
    count = scope.timed(latency + "_count")
    return {
        SHOWN: shown_query(objective, scope, windows.long),
        NEWEST: f"min(timestamp({successes})) or min(timestamp({errors}))",
        COVERED: f"count_over_time((sum({successes}) or sum({errors}))[{windows.long}:{windows.short}])",
        BLIND: f"({_BY} (increase({count}[{windows.long}])) > 0) unless on (job, instance) "
        f"({_BY} (increase({successes}[{windows.long}])) > 0)",
        UNCOUNTED: f"count by (job, instance) ({count} or {successes}) unless on (job, instance) {errors}",
    }


def _spellings(objective: Objective, scope: Scope) -> dict[str, str]:
    """List the exporter's spellings of its buckets, where a free query selects one by its text."""
    named = {found[1] for found in _LE.finditer(objective.query or "")}
    return {
        f"{SPELLED}{number}": f"count by (le) ({scope.timed(metric)})" for number, metric in enumerate(sorted(named))
    }
