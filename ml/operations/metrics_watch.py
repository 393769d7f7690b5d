"""Asking Prometheus once per poll, and what to show when it does not answer: dimmed values, never erased ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from ml.board import Serving, Source, SourceState
from ml.clock import span
from ml.errors import ConsoleError
from ml.operations.backoff import Backoff
from ml.operations.registries import Base
from ml.registry.schema import Model
from ml.slo.alert_findings import Ours
from ml.slo.alerts import alerts_in
from ml.slo.memory import BoardMemory
from ml.slo.readings import StageRead, board_readings
from ml.slo.recording import Recorder
from ml.slo.serving import serving
from ml.slo.source import Metrics
from ml.stage import Stage
from ml.verdict import Code, Reading, Verdict

_STALE_AFTER = 3
"""Polls without a good answer after which a value is STALE (SPEC §4)."""


@dataclass(frozen=True, slots=True)
class MetricsRound:
    """What one poll of Prometheus gave: its state, and by model readings, those of active, and engine instances."""

    source: Source = field(default_factory=lambda: Source("prometheus"))
    readings: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    active: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    serving: Mapping[str, tuple[Serving, ...]] = field(default_factory=dict)


class MetricsWatch:
    """Remembers the last good round."""

    def __init__(self, metrics: Metrics | None, backoff: Backoff | None = None) -> None:
        self._metrics = metrics
        self._backoff = backoff or Backoff()
        self._why = ""
        self._misses = 0
        self._memory = BoardMemory()
        self._last = MetricsRound()

    def ask(
        self, base: Base, now: datetime, since: Mapping[str, datetime], stale_s: float, *, at_once: bool = False
    ) -> MetricsRound:
        """Ask for all models in one round. Never raises for a sick source, and lets it rest for some polls.

        Args:
            since: when each soak began that is known.
            stale_s: the age in seconds from which the newest sample is not believed.
            at_once: ask even if the source rests.
        """
        models = base.document.registry.models
        names = tuple(name for name, model in models.items() if model.shadow or model.active)
        if self._metrics is None:
            none = Source("prometheus", SourceState.NONE, why="No prometheus.url is configured.")
            self._last = MetricsRound(none, _unknown(base, names, none.why))
            return self._last
        if self._backoff.rests(now) and not at_once:
            self._last = self._missed(base, names, self._why, now)
            return self._last
        judged = {name: _read(models, name, _read_stage(models[name]), now, since.get(name)) for name in names}
        live = {name: _live(judged[name], models, now) for name in names if models[name].active is not None}
        wanted = tuple(dict.fromkeys((*judged.values(), *live.values())))
        try:
            believed_s = min(stale_s, base.policy.soak.stale_seconds)  # never greener than the gate
            read = board_readings(self._metrics, base.policy, wanted, now, stale_s=believed_s, memory=self._memory)
            rules = Recorder(self._metrics).rules()

            def alerts(which: StageRead) -> Reading:
                ours = Ours(which.model, which.stage, base.policy.selector(which.model), which.artifact_id)
                return alerts_in(rules, base.policy.alerts.quiet, now, ours).reading(now)

            self._last = MetricsRound(
                Source("prometheus", SourceState.OK, now),
                {name: (*read[which], alerts(which)) for name, which in judged.items()},
                {name: (*read[which], alerts(which)) for name, which in live.items()},
                serving(self._metrics, base.policy, names),
            )
            self._misses = 0
            self._backoff.answered()
        except ConsoleError as error:
            self._why = str(error)
            self._backoff.missed(now)
            self._last = self._missed(base, names, self._why, now)
        return self._last

    def _missed(self, base: Base, names: tuple[str, ...], why: str, now: datetime) -> MetricsRound:
        self._misses += 1
        last = self._last.source.as_of
        if last is None:
            return MetricsRound(Source("prometheus", SourceState.ERROR, None, why), _unknown(base, names, why))
        silent = f"No good answer for {span((now - last).total_seconds())}: {why}"
        if self._misses < _STALE_AFTER:
            source = Source("prometheus", SourceState.ERROR, last, silent)
            return replace(self._last, source=source)
        stale = Source("prometheus", SourceState.STALE, last, silent)
        readings, active = _dimmed(self._last.readings, silent), _dimmed(self._last.active, silent)
        return MetricsRound(stale, readings, active, self._last.serving)


def _dimmed(readings: Mapping[str, tuple[Reading, ...]], silent: str) -> dict[str, tuple[Reading, ...]]:
    return {name: tuple(reading.stale(silent) for reading in read) for name, read in readings.items()}


def _read(
    models: Mapping[str, Model], name: str, stage: Stage, now: datetime, soaking: datetime | None = None
) -> StageRead:
    """What is read of a stage: its artifact, since its soak began or, as long as that is not known, it was promoted."""
    pointer = models[name].pointer(stage)
    promoted = pointer.promoted_at_utc if pointer is not None else None
    since = soaking or (promoted if promoted is not None and promoted <= now else None)
    others = tuple(each for each, model in models.items() if each != name and (model.shadow or model.active))
    return StageRead(name, stage, since, pointer.artifact_id if pointer is not None else "", others[:_MOST_OTHERS])


_MOST_OTHERS = 3


def _live(judged: StageRead, models: Mapping[str, Model], now: datetime) -> StageRead:
    """What is read of the live stage: the same as is judged, where nothing soaks."""
    return judged if judged.stage is Stage.ACTIVE else _read(models, judged.model, Stage.ACTIVE, now)


def _read_stage(model: Model) -> Stage:
    """Where a model is read: in shadow while something soaks there, else where it is live."""
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
