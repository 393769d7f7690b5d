"""The engines of a stage that an objective does not measure: the question that finds them, and its finding. Pure.

What is judged are series, so an engine without the right series would be covered by a healthy neighbor. This question
starts from the other side: from the engines that serve the artifact or count inferences in the stage now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.metrics_contract import ACTIVE_ON, INFO, RUNBOOK, MetricNames
from ml.slo.promql import Attribution, Scope
from ml.stage import Stage
from ml.verdict import Code, Finding, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Objective

NEVER, COUNTS, STAGELESS = 0.0, 1.0, 2.0
"""Values of the answer: an engine serves and shows nothing, counts inferences, or counts them in no known stage."""


def unmeasured_query(scope: Scope, measured: str, window: str, *, counter: bool = False) -> str:
    """Find engines that are there now and have none of the series behind an objective.

    Args:
        measured: the selected series of engines that are judged.
        window: the short window, in which an engine must have served this artifact and no other.
        counter: true if the series may lack the label ``mode``.
    """
    by, times = scope.engines, scope.timed(f"{scope.latency}_count")
    judged = f"count by ({by}) ({measured})"
    if counter and scope.modeless:
        judged = f"({judged} and on ({by}) {times})"
    serving = _valued(scope, NEVER, f"{scope.timed(INFO)} > 0")
    found = []
    if scope.counters:
        counting = _valued(scope, COUNTS, " or ".join(scope.timed(each) for each in scope.counters))
        serving = f"({counting} or on ({by}) {serving})"
        if scope.attribution is not Attribution.MODE:
            # An engine that does not say what it serves is judged where its latencies show that it infers.
            found.append(f"({counting} unless on ({by}) {scope.timed(INFO)} unless on ({by}) {times})")
    found.append(f"({scope.attributed(serving, window)} unless on ({by}) {judged})")
    found.append(f"({_stageless(scope)})")
    return f"({f' or on ({by}) '.join(found)})"


def _stageless(scope: Scope) -> str:
    """Engines that counted without a mode, while neither latencies nor a served artifact show their stage."""
    by, times, mode = scope.engines, f"{scope.latency}_count", scope.names.mode
    counters = (*scope.counters, times) if scope.modeless else (times,)
    no_mode, any_mode = f'{mode}=""', f'{mode}!=""'
    counted = " or ".join(f"{scope.plain_with(each, no_mode)} > 0" for each in counters)
    shown = [scope.plain_with(times, any_mode), scope.plain(INFO)]
    if scope.stage is Stage.SHADOW:
        shown.append(f"{scope.plain(ACTIVE_ON)} == 1")
    return f"{_valued(scope, STAGELESS, counted)} unless on ({by}) ({' or '.join(shown)})"


def _valued(scope: Scope, value: float, vector: str) -> str:
    """The engines of a vector, each with this value."""
    return f"{value:g} + 0 * count by ({scope.engines}) ({vector})"


def unmeasured(objective: Objective, name: str, value: float, names: MetricNames = RUNBOOK) -> Finding:
    """Return the finding about one engine that the objective does not measure."""
    if value == NEVER:
        why = (
            f"{name} serves the artifact, but no inference of it is counted, so nobody knows how it answers. Send it "
            "traffic, export its counters, or let it serve nothing."
        )
        return finding(Verdict.NO_DATA, Code.ENGINE_NEVER_INFERRED, why, instance=name)
    if value == STAGELESS:
        what = f"without the label {names.mode}, and neither its latencies nor {names.serving.name} show its stage"
    elif objective.kind == "ratio":
        what = "in this stage, and shows neither latencies nor the artifact that it serves"
    else:
        what = f"but exports no {names.shown(objective.metric) or 'latencies'}, so a slow answer of it would not show"
    why = f"{name} counts inferences {what}."
    return finding(Verdict.VACUOUS, Code.ENGINE_UNMEASURED, why, instance=name)


def valueless(name: str, samples: float) -> Finding:
    """Return the finding about an engine that counted inferences, while the objective has no value of it."""
    why = f"{samples:,.0f} inferences of {name} were counted, but the query has no value of it."
    return finding(Verdict.VACUOUS, Code.ENGINE_UNMEASURED, why, instance=name, samples=samples)
