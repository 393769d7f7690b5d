"""``doctor metrics``: the series that each gate and rung needs, which are there, and a contract that would fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ml.errors import ConsoleError, Unavailable
from ml.metrics_contract import LATENCY
from ml.policy import Policy
from ml.registry.schema import Model
from ml.session.context import Context
from ml.session.registries import Base, Registries
from ml.slo.alerts import alerts_now
from ml.slo.exchanges import Failure, Recorder
from ml.slo.metrics_needs import Need, Role, needs_of_kill, needs_of_model, questions
from ml.slo.metrics_proposal import CANDIDATES, Proposal, best_histogram, engines_query, propose
from ml.slo.promql import joined, parcels, split
from ml.slo.source import Metrics, Series
from ml.stage import Stage
from ml.text import visible
from ml.verdict import Code, Finding, Verdict, finding, worst

_MOST_MODELS = 20
"""Models that one report is about; the others are counted and asked about by name."""
_STAGES = (Stage.SHADOW, Stage.ACTIVE)


@dataclass(frozen=True, slots=True)
class Judged:
    """One need with its verdict."""

    need: Need
    found: Finding


@dataclass(frozen=True, slots=True)
class MetricsReport:
    """All needs of some models, the alert rules by name, the contracts' proposal, and how many models were left out.

    ``proposal`` is ``None`` where nothing is missing, or where nothing that engines export looks like it.
    """

    needs: tuple[Judged, ...]
    alerts: tuple[tuple[str, Finding], ...]
    proposal: Proposal | None = None
    left_out: int = 0

    @property
    def verdict(self) -> Verdict:
        """The worst of everything."""
        return worst((*(each.found.verdict for each in self.needs), *(found.verdict for _, found in self.alerts)))


class MetricsDoctor:
    """Asks Prometheus for the series that the policy's metrics contracts name."""

    def __init__(self, context: Context, registries: Registries) -> None:
        self._context = context
        self._registries = registries

    def report(self, model: str = "") -> MetricsReport:
        """Look for everything that one model needs, or all that are deployed.

        Raises:
            Refused: there is no such model. Usage: the policy has a mistake. Unavailable: there is no Prometheus.
            MetricsError: Prometheus gives no usable answer.
        """
        base = self._registries.now()
        metrics = self._context.metrics
        if model:
            base.model(model)
        if metrics is None:
            raise Unavailable("No Prometheus is configured.", "Set prometheus.url; without it no gate has numbers.")
        deployed = [name for name, each in base.document.registry.models.items() if each.shadow or each.active]
        models = [model] if model else (deployed[:_MOST_MODELS] or [""])
        needs = _needs(base, models)
        recorder = Recorder(metrics)
        judged = _judged(recorder, needs)
        missing = [each.need for each in judged if not each.found.verdict.opens]
        return MetricsReport(
            needs=judged,
            alerts=_alerts(recorder, base.policy, self._context),
            proposal=_proposal(metrics, base, models[0], missing) if missing else None,
            left_out=0 if model else max(0, len(deployed) - len(models)),
        )


def _needs(base: Base, models: Sequence[str]) -> tuple[Need, ...]:
    policy, known = base.policy, base.document.registry.models
    found = [need for name in models for need in needs_of_model(policy, name, _stages(known.get(name)))]
    contracts = dict.fromkeys(map(policy.metric_names, models))
    return (*found, *(need for names in contracts for need in needs_of_kill(names)))


def _stages(model: Model | None) -> Sequence[Stage]:
    """The stages of a model that hold something; both where none does, because the first promotion needs them."""
    if model is None:
        return _STAGES
    return [stage for stage in _STAGES if model.pointer(stage) is not None] or _STAGES


def _judged(recorder: Recorder, needs: Sequence[Need]) -> tuple[Judged, ...]:
    counts: dict[str, int] = {}
    for parcel in parcels(questions(needs)):
        answer = recorder.query(joined(parcel))
        if isinstance(answer, Failure):
            raise answer.error()
        if answer.warnings:
            why = f"Prometheus warns that its answer is partial: {visible(answer.warnings[0])}."
            raise Unavailable(why, "Repeat it when every part of the source answers.")
        for key, series in split(answer.series).items():
            counts[key] = round(sum(each.points[-1][1] for each in series if each.points))
    return tuple(
        Judged(need, need.judged(counts.get(str(number), 0), counts.get(f"{number}.bare", 0)))
        for number, need in enumerate(needs)
    )


def _alerts(recorder: Recorder, policy: Policy, context: Context) -> tuple[tuple[str, Finding], ...]:
    """Check that each alert rule of the policy is loaded and evaluated; a firing rule is as good as a quiet one."""
    rules = alerts_now(recorder, policy.alerts.quiet, context.clock.now())
    return tuple(
        (name, found if found.code in _NOT_THERE else finding(Verdict.PASS, Code.SOUND, "loaded"))
        for name, found in rules.findings
    )


_NOT_THERE = frozenset(
    {Code.RULE_NOT_LOADED, Code.RULE_BROKEN, Code.RULE_STALE, Code.RULE_NEVER_EVALUATED, Code.SOURCE_FAILED}
)


def _proposal(metrics: Metrics, base: Base, model: str, missing: Sequence[Need]) -> Proposal | None:
    """Guess a contract from what engines export; ``None`` where that cannot be asked or says nothing."""
    names = base.policy.metric_names(model)
    known = base.document.registry.models.get(model)
    pointers = [known.pointer(stage) for stage in _STAGES] if known else []
    artifacts = [each.artifact_id for each in pointers if each is not None]
    try:
        latency = names.latency.name
        counts = metrics.query(str(names.metric(f"{LATENCY}_count"))).series
        if not counts:
            latency = best_histogram(metrics.query(CANDIDATES).series)
            counts = metrics.query(f"{latency}_count").series if latency else ()
        asked = engines_query(counts)
        exported: Sequence[Series] = metrics.query(asked).series if asked else ()
    except ConsoleError:
        return None
    return propose(names, {need.role for need in missing if need.role is not Role.QUERY}, exported, latency, artifacts)
