"""What engines said around a kill, scrape by scrape: the values that receipts are judged from.

Any source can make them: a Prometheus (`gather`), or whoever reads an engine's ``/metrics`` directly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.slo.source import Answer, Metrics

_ENGINES = "on (job, instance) last_over_time(grinder_ml_active_on[15m])"
TIMES = f"timestamp(up) and {_ENGINES}"
"""When each engine was last scraped, whether that worked or not; Prometheus's clock, in Unix seconds."""
UP = f"up and {_ENGINES}"
ACTIVE = "sum by (job, instance) (grinder_ml_active_on)"
BLOCKED = 'sum by (job, instance) (grinder_ml_block_total{reason="KILL_SWITCH_ENV"})'
EMPTY = 'sum by (job, instance) (grinder_ml_block_total{reason="MODEL_NOT_LOADED"})'
INFERRED = 'sum by (job, instance) ({__name__=~"grinder_ml_inference_total|grinder_ml_inference_errors_total"})'

_BEFORE_S = 120
_WINDOW_S = 300
_QUANTUM_S = 60


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape of one engine. ``at`` is Unix seconds on the metric source's clock; ``None`` is a missing metric.

    ``inferred`` counts all inferences tried, ``blocked`` those that the kill switch forbade, ``empty`` those for which
    no model was loaded; they only rise, except when the process restarts.
    """

    at: float
    up: bool
    active_on: float | None = None
    blocked: float | None = None
    inferred: float | None = None
    empty: float | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine instance and its scrapes, oldest first."""

    instance: str
    scrapes: tuple[Scrape, ...]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen of all engines, and by how many seconds the source's clock is ahead of ours."""

    engines: tuple[Engine, ...]
    ahead_s: float = 0.0


def gather(metrics: Metrics, request_at: datetime) -> Sighting:
    """Ask for every engine's scrapes from shortly before a request until now, or of the last minutes of a long kill.

    Raises:
        ml.slo.source.MetricsError: the source gave no usable answer.
    """
    clock = metrics.query("time()")
    server = clock.series[0].points[0][1]
    ahead = server - (clock.asked_at.timestamp() + clock.seconds / 2)
    # The start moves in whole minutes, so that what a steady kill shows does not change with every poll.
    recent = (server - _WINDOW_S) // _QUANTUM_S * _QUANTUM_S
    start = datetime.fromtimestamp(math.floor(max(request_at.timestamp() + ahead - _BEFORE_S, recent)), UTC)
    end = datetime.fromtimestamp(math.ceil(server), UTC)
    answers = [metrics.query_range(query, start, end, 1) for query in (TIMES, UP, ACTIVE, BLOCKED, INFERRED, EMPTY)]
    return Sighting(_engines(*answers), ahead)


def _engines(times: Answer, *others: Answer) -> tuple[Engine, ...]:
    """Put the answers together. A range repeats a sample at every step; the scrape's own time tells repeats apart."""
    values = [_by_step(answer) for answer in others]
    engines = []
    for series in sorted(times.series, key=lambda each: each.label("instance")):
        job, instance = series.label("job"), series.label("instance")
        scrapes: dict[float, Scrape] = {}
        for step, at in series.points:
            up, *rest = (each.get((job, instance, step)) for each in values)
            scrapes[at] = Scrape(at, up == 1, *rest)
        engines.append(Engine(instance, tuple(scrapes[at] for at in sorted(scrapes))))
    return tuple(engines)


def _by_step(answer: Answer) -> dict[tuple[str, str, float], float]:
    return {
        (series.label("job"), series.label("instance"), step): value
        for series in answer.series
        for step, value in series.points
    }
