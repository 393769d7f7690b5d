"""The engine's metrics, under exactly the names that dashboards, alerts and the console query (contract §4).

Both modes are counted in the same way: an inference in shadow moves ``grinder_ml_inference_total`` too.
A success counts once and leaves a latency; an error counts once and leaves none.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from ml.stage import Stage

BUCKETS_MS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)
KILLED = "KILL_SWITCH_ENV"
NOT_LOADED = "MODEL_NOT_LOADED"


class Meters(Collector):
    """Counts of one engine process, safe to read from the scrape's thread."""

    def __init__(self, mode: Stage, start: Iterable[Sample] = ()) -> None:
        """Begin at zero, or at the samples that a counters file holds (`read_counters`)."""
        self._mode = mode.value
        self._lock = threading.Lock()
        self._active_on = False
        self._serving: tuple[str, str] | None = None
        known = {(sample.name, _number(sample.labels)): sample.value for sample in start if self._ours(sample)}
        self._total = known.get(("grinder_ml_inference_total", ""), 0.0)
        self._errors = known.get(("grinder_ml_inference_errors_total", ""), 0.0)
        self._blocks = {reason: known.get(("grinder_ml_block_total", reason), 0.0) for reason in (KILLED, NOT_LOADED)}
        bounds = [str(bound) for bound in (*BUCKETS_MS, float("inf"))]
        upto = [known.get(("grinder_ml_inference_latency_ms_bucket", bound), 0.0) for bound in bounds]
        self._cells = [after - before for before, after in zip([0.0, *upto], upto, strict=False)]
        if min(self._cells) < 0:
            raise ValueError("the latency buckets to start from are not cumulative")
        self._sum_ms = known.get(("grinder_ml_inference_latency_ms_sum", ""), 0.0)

    def success(self, latency_ms: float) -> None:
        """Count one inference that answered after so many milliseconds."""
        with self._lock:
            self._total += 1
            self._sum_ms += latency_ms
            self._cells[bisect_left(BUCKETS_MS, latency_ms)] += 1

    def error(self) -> None:
        """Count one inference that failed."""
        with self._lock:
            self._errors += 1

    def block(self, reason: str) -> None:
        """Count one snapshot at which no inference was allowed."""
        with self._lock:
            self._blocks[reason] += 1

    def state(self, *, active_on: bool, serving: tuple[str, str] | None) -> None:
        """Set the gauges: deciding trades or not, and the loaded (artifact id, registry commit)."""
        with self._lock:
            self._active_on, self._serving = active_on, serving

    def collect(self) -> Iterator[Metric]:
        """One consistent set of metric families for a scrape."""
        with self._lock:
            families = self._families()
        yield from families

    def _families(self) -> tuple[Metric, ...]:
        mode = [self._mode]
        latency = HistogramMetricFamily(
            "grinder_ml_inference_latency_ms", "Inference latency in milliseconds.", labels=["mode"]
        )
        bounds = [*map(str, BUCKETS_MS), "+Inf"]
        latency.add_metric(mode, list(zip(bounds, accumulate(self._cells), strict=True)), self._sum_ms)
        total = CounterMetricFamily("grinder_ml_inference", "Successful inferences.", labels=["mode"])
        total.add_metric(mode, self._total)
        errors = CounterMetricFamily("grinder_ml_inference_errors", "Failed inferences.", labels=["mode"])
        errors.add_metric(mode, self._errors)
        blocks = CounterMetricFamily("grinder_ml_block", "Snapshots without inference, by reason.", labels=["reason"])
        for reason, count in self._blocks.items():
            blocks.add_metric([reason], count)
        active = GaugeMetricFamily("grinder_ml_active_on", "1 while a model decides trades, else 0.", self._active_on)
        info = GaugeMetricFamily(
            "grinder_ml_model_info", "What is loaded.", labels=["mode", "artifact_id", "registry_commit"]
        )
        if self._serving:
            info.add_metric([self._mode, *self._serving], 1)
        return latency, total, errors, blocks, active, info

    def _ours(self, sample: Sample) -> bool:
        return sample.labels.get("mode", self._mode) == self._mode


def read_counters(path: Path) -> tuple[Sample, ...]:
    """Start values from a JSON file ``{"grinder_ml_inference_total{mode=\\"shadow\\"}": 1200, …}``.

    Raises:
        ValueError: the file is no such object. OSError: it cannot be read.
    """
    document = json.loads(path.read_bytes())
    text = "".join(f"{series} {float(value)}\n" for series, value in document.items())
    return tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples)


def _number(labels: dict[str, str]) -> str:
    """Return the distinguishing label of a series; ``le`` as a number, so that 100 and 100.0 are equal."""
    return str(float(labels["le"])) if "le" in labels else labels.get("reason", "")
