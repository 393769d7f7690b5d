"""The series that each gate and each rung needs, by a model's metrics contract, and which of them are there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ml.metrics_contract import ACTIVE_ON, INFO, LATENCY, MetricNames
from ml.slo.promql import Scope
from ml.slo.questions import duration, judged_query
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Code, Finding, Verdict, finding

if TYPE_CHECKING:
    from ml.policy import Objective, Policy


class Role(StrEnum):
    """The part of a metrics contract that a need comes from."""

    LATENCY = "latency"
    SUCCESSES = "successes"
    ERRORS = "errors"
    QUERY = "query"
    SERVING = "serving"
    ACTIVE = "receipt.active"
    BLOCKED = "receipt.blocked"
    INFERRED = "receipt.inferred"


@dataclass(frozen=True, slots=True)
class Need:
    """Series that something needs.

    ``needed_by`` are gates and rungs. ``query`` selects the series; ``bare`` selects the same metric with any labels,
    empty where a policy's own query is asked. ``without`` says what is lost; ``closes``: a gate cannot open without it.
    """

    role: Role
    needed_by: str
    model: str
    stage: str
    query: str
    bare: str
    without: str
    closes: bool = True

    def judged(self, there: int, anywhere: int) -> Finding:
        """The verdict on counts of series: those that are needed, and those of the metric with any labels."""
        if there:
            why = f"{there:,} series of {visible(self.query, limit=200)}"
            return finding(Verdict.PASS, Code.SOUND, why, series=there)
        verdict = Verdict.FAIL if self.closes else Verdict.VACUOUS
        other = f" ({anywhere:,} series of the metric have other labels)" if anywhere else ""
        why = f"no series of {visible(self.query, limit=200)}{other}: {self.without}"
        return finding(verdict, Code.NO_SERIES, why, series=0, other_labels=anywhere)


def needs_of_model(policy: Policy, model: str, stages: Sequence[Stage]) -> tuple[Need, ...]:
    """Return the needs of soak, board, watch and serving truth in these stages; ``model`` may be empty."""
    return tuple(need for stage in stages for need in _of_stage(policy, model, stage))


def _of_stage(policy: Policy, model: str, stage: Stage) -> Iterator[Need]:
    names = policy.metric_names(model)
    scope = Scope(stage, policy.selector(model), names=names)
    for (role, query, bare), objectives in _by_query(policy, scope).items():
        gates = [each.name for each in objectives if each.gate]
        kind = "soak and board" if stage is Stage.SHADOW else "board and watch"
        needed_by = f"{kind}: {', '.join(each.name for each in objectives)}"
        lost = "it cannot be judged" if gates else "it cannot be shown"
        yield Need(role, needed_by, model, str(stage), query, bare, f"{lost}.", bool(gates))
    lost = "numbers are tied to the artifact by mode only, and the rungs DEPLOYED and SERVING stay unknown."
    query = scope.timed_with(INFO, f'{names.artifact}!=""')
    rungs = "serving: DEPLOYED, SERVING"
    yield Need(Role.SERVING, rungs, model, str(stage), query, names.serving.name, lost, closes=False)
    if stage is Stage.ACTIVE:
        lost = "nothing says that the active model decides, so the rung SERVING stays unknown."
        bare = names.active_on.name
        yield Need(Role.ACTIVE, "serving: SERVING", model, str(stage), scope.plain(ACTIVE_ON), bare, lost, closes=False)


def _by_query(policy: Policy, scope: Scope) -> Mapping[tuple[Role, str, str], list[Objective]]:
    """The objectives by what they read, so that several quantiles of one histogram are one need."""
    found: dict[tuple[Role, str, str], list[Objective]] = {}
    for objective in policy.objectives:
        for key in _read_by(objective, scope, duration(policy.soak.step_s)):
            found.setdefault(key, []).append(objective)
    return found


def _read_by(objective: Objective, scope: Scope, window: str) -> Iterator[tuple[Role, str, str]]:
    shown = scope.names.shown
    if objective.kind == "quantile":
        bucket, count = (f"{objective.metric or LATENCY}{part}" for part in ("_bucket", "_count"))
        yield Role.LATENCY, scope.timed_with(bucket, 'le!="+Inf"'), shown(bucket)
        yield Role.LATENCY, scope.timed(count), shown(count)
    elif objective.kind == "ratio":
        successes, errors = str(objective.successes), str(objective.errors)
        yield Role.SUCCESSES, scope.counted(successes), shown(successes)
        yield Role.ERRORS, scope.counted(errors), shown(errors)
    else:
        yield Role.QUERY, judged_query(objective, scope, window), ""


def needs_of_kill(names: MetricNames, model: str = "") -> tuple[Need, ...]:
    """Return the needs of the receipts of kill and release, of the engines of one metrics contract."""
    says = [names.blocked, *([names.engaged] if names.engaged else [])]
    blocked, inferred = (" or ".join(map(str, each)) for each in (says, names.counters))
    bare = [" or ".join(dict.fromkeys(metric.name for metric in each)) for each in (says, names.counters)]
    silence = "only a silence that is longer than any before proves a kill."
    blind = "a kill or release of engines that show no inferences is never CONFIRMED."
    return (
        Need(Role.BLOCKED, "kill: CONFIRMED", model, "", blocked, bare[0], silence, closes=False),
        Need(Role.INFERRED, "kill and release: CONFIRMED", model, "", inferred, bare[1], blind),
    )


def questions(needs: Sequence[Need]) -> Mapping[str, str]:
    """The counts to ask for, by key: ``N`` of the N-th need, ``N.bare`` of its metric with any labels."""
    asked = {str(number): f"count({need.query})" for number, need in enumerate(needs)}
    return asked | {f"{number}.bare": f"count({need.bare})" for number, need in enumerate(needs) if need.bare}
