"""The counters of an engine over the last day, as a Prometheus would have scraped them; wrong in chosen ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from support.prometheus import Line

BOUNDS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)
INFERENCE, LATENCY = "grinder_ml_inference", "grinder_ml_inference_latency_ms"
MINUTE, HOUR = 60.0, 3600.0
T = TypeVar("T")

Counts = Mapping[float, float]
"""Inferences of one scrape interval by the upper bound of their latency bucket, in milliseconds; inf: above all."""


def steady(counts: Counts) -> Callable[[float], Counts]:
    """The same in every interval."""
    return lambda _: counts


calm = steady({25.0: 60.0})
"""Sixty inferences a minute, all between 10 and 25 ms: p99 is 24.85 ms."""


def never(_: float) -> float:
    return 0.0


def during(
    begin: float, end: float, then: Callable[[float], T], otherwise: Callable[[float], T]
) -> Callable[[float], T]:
    """One behaviour in the intervals that end within a time, another outside of it."""
    return lambda at: then(at) if begin < at <= end else otherwise(at)


@dataclass(frozen=True, kw_only=True)
class EnginePast:
    """One engine instance. Times are Unix seconds; ``begin`` (included) and ``end`` (not) bound what was scraped.

    ``latencies``, ``errors``, ``successes`` and ``blocks`` tell what happened in the interval that ends at a time; by
    default each latency is a success. ``resets`` are restarts of the process, ``gaps`` missing scrapes, ``omit``
    metrics that the exporter does not have. ``counter_mode`` is the mode label of the two counters. ``artifacts`` tells
    which artifact was served at a time, ``artifact`` that it was always the same. ``total`` is where latencies and
    successes were counted from.
    """

    model: str
    begin: float
    end: float
    step_s: float = MINUTE
    mode: str = "shadow"
    counter_mode: str = "shadow"
    instance: str = "engine:8000"
    latencies: Callable[[float], Counts] = calm
    errors: Callable[[float], float] = never
    successes: Callable[[float], float] | None = None
    blocks: Callable[[float], float] = never
    bounds: tuple[float, ...] = BOUNDS
    le: Callable[[float], str] = str
    artifact: str = ""
    artifacts: Callable[[float], str] | None = None
    job: str = "engine"
    total: float = 0.0
    resets: tuple[float, ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()
    omit: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[Line]:
        """All series."""
        moments = [self.begin + i * self.step_s for i in range(round((self.end - self.begin) / self.step_s))]
        latencies = [self.latencies(at) for at in moments]
        count = [sum(each.values()) for each in latencies]
        base = {"job": self.job, "instance": self.instance, "model": self.model, **self.labels}
        timed, counted = {**base, "mode": self.mode}, {**base, "mode": self.counter_mode}
        for bound in (*self.bounds, float("inf")):
            below = [sum(number for upper, number in each.items() if upper <= bound) for each in latencies]
            text = "+Inf" if bound == float("inf") else self.le(bound)
            yield from self._counter(f"{LATENCY}_bucket", {**timed, "le": text}, moments, below)
        yield from self._counter(f"{LATENCY}_count", timed, moments, count)
        errors = [self.errors(at) for at in moments]
        successes = [self.successes(at) for at in moments] if self.successes else count
        yield from self._counter(f"{INFERENCE}_total", counted, moments, successes)
        yield from self._counter(f"{INFERENCE}_errors_total", counted, moments, errors, 0.0)
        blocked = {**base, "reason": "KILL_SWITCH_ENV"}
        yield from self._counter("grinder_ml_block_total", blocked, moments, [self.blocks(at) for at in moments], 0.0)
        serves = self.artifacts or (lambda _: self.artifact)
        for artifact in sorted({serves(at) for at in moments} - {""}):
            labels = {**timed, "artifact_id": artifact, "registry_commit": "c0ffee"}
            there = [at for at in moments if serves(at) == artifact]
            yield Line("grinder_ml_model_info", labels, self._scraped(there, [1.0] * len(there)))

    def _counter(
        self,
        name: str,
        labels: Mapping[str, str],
        moments: list[float],
        increments: list[float],
        start: float | None = None,
    ) -> Iterator[Line]:
        if name in self.omit:
            return
        named = {key: value for key, value in labels.items() if value}
        yield Line(
            name,
            named,
            self._scraped(moments, list(self._totals(moments, increments, self.total if start is None else start))),
        )

    def _totals(self, moments: list[float], increments: list[float], total: float) -> Iterator[float]:
        for at, increment in zip(moments, increments, strict=True):
            restarted = any(at - self.step_s < reset <= at for reset in self.resets)
            total = increment if restarted else total + increment
            yield total

    def _scraped(self, moments: list[float], values: list[float]) -> list[tuple[float, float]]:
        pairs = zip(moments, values, strict=True)
        return [(at, value) for at, value in pairs if not any(begin <= at < end for begin, end in self.gaps)]
