"""Measures a real artifact as the engine runs it, so that the demo's history holds no invented latency."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ml.artifacts.features import market_features
from ml.serving.meters import BUCKETS_MS
from ml.serving.model import LoadedModel
from ml.serving.registry_file import Deployment

_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Latencies:
    """What was measured on one artifact: the share of inferences in each histogram cell, and their mean in ms.

    ``shares`` has one entry per bucket of the engine and one for +Inf, and sums to one.
    """

    shares: tuple[float, ...]
    mean_ms: float
    count: int


def measure(directory: Path, seconds: float) -> Latencies:
    """Run inferences on one artifact for so many seconds, timed like the engine times them.

    Raises:
        Invalid: the artifact is not what its manifest says, or onnxruntime refuses it.
    """
    model = LoadedModel(Deployment(directory.name, PurePosixPath(directory.name), ""), directory.parent)
    snapshots = market_features(seed=0, rows=_ROWS)
    counts = [0] * (len(BUCKETS_MS) + 1)
    total_ms, done = 0.0, 0
    until = time.perf_counter() + seconds
    while (started := time.perf_counter()) < until:
        model.infer(snapshots[done % _ROWS][None])
        latency_ms = (time.perf_counter() - started) * 1000
        counts[bisect_left(BUCKETS_MS, latency_ms)] += 1
        total_ms += latency_ms
        done += 1
    return Latencies(tuple(count / done for count in counts), total_ms / done, done)
