"""What engines said around a kill, scrape by scrape: the values that receipts are judged from.

Any source can make them: a Prometheus (`gather`), or whoever reads an engine's ``/metrics`` directly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml.slo.promql import joined, split

if TYPE_CHECKING:
    from ml.slo.source import Metrics, Series

_ENGINES = "on (job, instance) last_over_time(grinder_ml_active_on[15m])"
_QUESTIONS = {
    # When each engine was last scraped, whether that worked or not; Prometheus's clock, in Unix seconds.
    "times": f"timestamp(up) and {_ENGINES}",
    "up": f"up and {_ENGINES}",
    "active_on": "sum by (job, instance) (grinder_ml_active_on)",
    "blocked": 'sum by (job, instance) (grinder_ml_block_total{reason="KILL_SWITCH_ENV"})',
    "empty": 'sum by (job, instance) (grinder_ml_block_total{reason="MODEL_NOT_LOADED"})',
    "inferred": 'sum by (job, instance) ({__name__=~"grinder_ml_inference_total|grinder_ml_inference_errors_total"})',
}
QUERY = joined(_QUESTIONS)
"""One query and not six, because a scrape that arrives between two would lend its values to the one before."""

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
    return Sighting(_engines(split(metrics.query_range(QUERY, start, end, 1).series)), ahead)


def _engines(parts: Mapping[str, tuple[Series, ...]]) -> tuple[Engine, ...]:
    """Put the parts together. A range repeats a sample at every step; the scrape's own time tells repeats apart."""
    values = {name: _by_step(found) for name, found in parts.items()}
    engines = []
    for series in sorted(parts.get("times", ()), key=lambda each: each.label("instance")):
        scrapes: dict[float, Scrape] = {}
        for step, at in series.points:
            key = series.label("job"), series.label("instance"), step
            told = {name: values.get(name, {}).get(key) for name in ("active_on", "blocked", "inferred", "empty")}
            scrapes[at] = Scrape(at, values.get("up", {}).get(key) == 1, **told)
        engines.append(Engine(series.label("instance"), tuple(scrapes[at] for at in sorted(scrapes))))
    return tuple(engines)


def _by_step(found: Iterable[Series]) -> dict[tuple[str, str, float], float]:
    return {
        (series.label("job"), series.label("instance"), step): value
        for series in found
        for step, value in series.points
    }
