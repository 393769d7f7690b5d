"""The metrics of each poll, and the last values, dimmed, while Prometheus does not answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ml.board import Serving, Source, SourceState, StageView
from ml.errors import ConsoleError
from ml.registry.schema import Model
from ml.session.landings import Landing, Place
from ml.session.registries import Base
from ml.slo.alert_findings import Ours
from ml.slo.alerts import alerts_in
from ml.slo.batch import BoardMemory
from ml.slo.exchanges import Recorder
from ml.slo.readings import StageRead, board_readings
from ml.slo.rivals import others_of, rivals_of
from ml.slo.roster import serving
from ml.slo.source import Absence, Metrics, PartialAnswer
from ml.slo.tape import undated
from ml.stage import Stage
from ml.verdict import Code, Reading, Verdict

if TYPE_CHECKING:
    from ml.policy import Policy

_SHORTEST_S, _LONGEST = 5.0, 8.0


class Silence:
    """Keeps for how long Prometheus has not answered, why, and when it is asked again.

    The board, its gates, its soaks and the next poll read it here. Nothing else counts polls of the source.
    `Recorder`, `KillControl` and `console.polling` say at their own counters why these are kept there. The rest
    after a failure doubles with each one up to eight times the shortest, less up to half at random, so that consoles do
    not ask at the same moment.

    Args:
        jitter: spreads the rests of several consoles after a common failure; 0 to 1.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._absence = Absence()
        self._failures = 0
        self._failed_at: datetime | None = None
        self._rest = timedelta()

    def rests(self, now: datetime) -> bool:
        """True if it is too early to ask again. A clock that went back does not make it later."""
        return self._failed_at is not None and self._failed_at <= now < self._failed_at + self._rest

    def failed(self, now: datetime, why: str) -> None:
        """It was asked and did not answer."""
        self._absence.missed(why)
        self._failures += 1
        times = min(_LONGEST, 2.0 ** (self._failures - 1))
        self._failed_at = now
        self._rest = timedelta(seconds=_SHORTEST_S * times * (1 - self._jitter() / 2))

    def passed_over(self) -> None:
        """A poll did not ask it, because it rests: one more without an answer."""
        self._absence.missed(self._absence.why)

    def answered(self, now: datetime) -> None:
        """It answered everything."""
        self._absence.answered(now)
        self._failures, self._failed_at = 0, None

    def source(self, now: datetime) -> Source:
        """The state of the source: ERROR after the first polls without an answer, then STALE."""
        absence = self._absence
        if not absence.polls and absence.since is not None:
            return Source("prometheus", SourceState.OK, absence.since)
        state = SourceState.STALE if absence.stale and absence.since is not None else SourceState.ERROR
        return Source("prometheus", state, absence.since, absence.sentence(now))


@dataclass(frozen=True, slots=True)
class MetricsRound:
    """The result of one poll of Prometheus: its state, and by model the active one's readings and engine instances."""

    source: Source = field(default_factory=lambda: Source("prometheus"))
    readings: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    active: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    serving: Mapping[str, tuple[Serving, ...]] = field(default_factory=dict)


class MetricsWatch:
    """Remembers the last good round."""

    def __init__(self, metrics: Metrics | None, silence: Silence | None = None) -> None:
        self._metrics = metrics
        self._silence = silence or Silence()
        self._memory = BoardMemory()
        self._last = MetricsRound()

    def ask(
        self, base: Base, now: datetime, landings: Mapping[Place, Landing], stale_s: float, *, at_once: bool = False
    ) -> MetricsRound:
        """Ask for all models in one round. Never raises for a failed source; skips some polls after a failure.

        Args:
            landings: when each artifact landed in its stage, or began to soak there.
            stale_s: the age in seconds from which the newest sample is not believed.
            at_once: ask even if the source rests.
        """
        models = base.document.registry.models
        names = tuple(name for name, model in models.items() if model.shadow or model.active)
        if self._metrics is None:
            none = Source("prometheus", SourceState.NONE, why="No prometheus.url is configured.")
            self._last = MetricsRound(none, _unknown(base, names, none.why))
            return self._last
        if self._silence.rests(now) and not at_once:
            self._silence.passed_over()
            self._last = self._unanswered(base, names, now)
            return self._last
        rivals = rivals_of({name: base.policy.selector(name) for name in names})
        others = {name: others_of(name, rivals[name], names) for name in names}
        judged = {
            name: _read(models[name], name, _read_stage(models[name]), now, others[name], landings) for name in names
        }
        live = {
            name: _live(judged[name], models[name], now, landings) for name in names if models[name].active is not None
        }
        wanted = tuple(dict.fromkeys((*judged.values(), *live.values())))
        try:
            believed_s = min(stale_s, base.policy.soak.stale_seconds)  # never greener than the gate
            read = board_readings(self._metrics, base.policy, wanted, now, stale_s=believed_s, memory=self._memory)
            rules = Recorder(self._metrics).rules()

            def alerts(which: StageRead) -> Reading:
                policy = base.policy
                selector, metric_names = policy.selector(which.model), policy.metric_names(which.model)
                ours = Ours(which.model, which.stage, selector, which.artifact_id, names=metric_names)
                return alerts_in(rules, base.policy.alerts.quiet, now, ours).reading(now)

            found = MetricsRound(
                Source("prometheus", SourceState.OK, now),
                {name: (*read[which], alerts(which)) for name, which in judged.items()},
                {name: (*read[which], alerts(which)) for name, which in live.items()},
                _serving(self._metrics, base.policy, names),
            )
        except ConsoleError as error:
            self._silence.failed(now, str(error))
            self._last = self._unanswered(base, names, now)
        else:
            self._silence.answered(now)
            self._last = found
        return self._last

    def _unanswered(self, base: Base, names: tuple[str, ...], now: datetime) -> MetricsRound:
        source, last = self._silence.source(now), self._last
        if source.as_of is None:
            return MetricsRound(source, _unknown(base, names, source.why))
        if source.state is not SourceState.STALE:
            return replace(last, source=source)
        return MetricsRound(source, _dimmed(last.readings, source.why), _dimmed(last.active, source.why), last.serving)


def _serving(metrics: Metrics, policy: Policy, names: tuple[str, ...]) -> Mapping[str, tuple[Serving, ...]]:
    """The engine instances by model; of none where the source warns that some may be missing: that proves nothing."""
    try:
        return serving(metrics, policy, names)
    except PartialAnswer:
        return {}


def _dimmed(readings: Mapping[str, tuple[Reading, ...]], silent: str) -> dict[str, tuple[Reading, ...]]:
    return {name: tuple(reading.stale(silent) for reading in read) for name, read in readings.items()}


def _read(
    model: Model, name: str, stage: Stage, now: datetime, others: tuple[str, ...], landings: Mapping[Place, Landing]
) -> StageRead:
    """Read a stage's artifact from its landing on; what engines did before it was another artifact's doing."""
    pointer, landing = model.pointer(stage), landings.get((name, stage), _NO_LANDING)
    since = landing.at if landing is not _NO_LANDING else None
    artifact_id = pointer.artifact_id if pointer is not None else ""
    return StageRead(name, stage, since, artifact_id, others, undated(landing.unknown, since or now, now))


_NO_LANDING = Landing(datetime.min.replace(tzinfo=UTC), "Nobody knows when the artifact landed.")


def _live(judged: StageRead, model: Model, now: datetime, landings: Mapping[Place, Landing]) -> StageRead:
    """Read the live stage: the artifact that is judged where nothing soaks."""
    if judged.stage is Stage.ACTIVE:
        return judged
    return _read(model, judged.model, Stage.ACTIVE, now, judged.others, landings)


def _read_stage(model: Model) -> Stage:
    """Choose the stage to read: shadow while something soaks there, else the live one."""
    return Stage.SHADOW if model.shadow is not None or model.active is None else Stage.ACTIVE


def _unknown(base: Base, names: tuple[str, ...], why: str) -> dict[str, tuple[Reading, ...]]:
    """One ERROR per objective: nothing was ever read, so nothing can be green."""
    readings = tuple(
        Reading(
            name=objective.name,
            verdict=Verdict.ERROR,
            why=why,
            code=Code.SOURCE_FAILED,
            limit=objective.limit,
            unit=objective.unit,
            gate=objective.gate,
        )
        for objective in base.policy.objectives
    )
    return dict.fromkeys(names, readings)


# The comparison of the registry with the engines' reports, in words (contract §2, Truth).

SERVING = "serving"
MERGED = "merged but not deployed"
DEPLOYED = "deployed but not serving"
OTHER = "serving something else"
_MILDEST_FIRST = (SERVING, MERGED, DEPLOYED, OTHER)

PointerAt = Callable[[str, Stage], str | None]
"""The artifact that the registry of a commit points to in a stage; ``None`` for none, or an unknown commit."""


def describe(pane: StageView, instances: Sequence[Serving], pointer_at: PointerAt, *, killed: bool) -> str:
    """The worst relation of any instance to the pane's pointer; empty when no engine reports.

    ``killed``: an engaged kill switch is why an active engine does not act, so that is not a fault of deployment.
    """
    words = (_one(pane, instance, pointer_at, killed=killed) for instance in instances)
    return max(filter(None, words), key=_MILDEST_FIRST.index, default="")


def _one(pane: StageView, instance: Serving, pointer_at: PointerAt, *, killed: bool) -> str:
    deployed = pointer_at(instance.registry_commit, pane.stage) if instance.registry_commit else pane.artifact_id
    if deployed != pane.artifact_id:
        return MERGED
    if instance.artifact_id != (pane.artifact_id or ""):
        return OTHER if instance.artifact_id else DEPLOYED
    idle = pane.stage is Stage.ACTIVE and instance.active_on == 0 and not killed
    if pane.artifact_id and (instance.up is False or idle):
        return DEPLOYED
    return SERVING if pane.artifact_id else ""
