"""Writer of the demo's metric history: ``python -m console.demo.historian < ORDER.json``.

It measures the artifacts and writes the engines' past. It runs in its own process, because the console never loads
onnxruntime and does not need numpy.
"""

from __future__ import annotations

import json
import sys
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from ml.artifacts.questions import affordable, natural
from ml.serving.meters import BUCKETS_MS, NOT_LOADED, Meters
from ml.serving.model import Deployment, LoadedModel
from ml.stage import Stage

# Measurements of the real artifacts, so that the demo's history shows real latencies.

_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Latencies:
    """Measured latencies of one artifact: the share of inferences per histogram bucket, and the mean in ms.

    ``shares`` has one entry per bucket of the engine and one for +Inf, and sums to one.
    """

    shares: tuple[float, ...]
    mean_ms: float
    count: int


def measure(directory: Path, seconds: float) -> Latencies:
    """Run inferences on one artifact for a number of seconds, and time them as the engine does.

    Raises:
        Invalid: the artifact is not what its manifest says, or onnxruntime refuses it.
    """
    model = LoadedModel(Deployment(directory.name, PurePosixPath(directory.name), ""), directory.parent)
    snapshots = natural(model.contract, model.sizes, 0, affordable(model.sizes, _ROWS))
    counts = [0] * (len(BUCKETS_MS) + 1)
    total_ms, done = 0.0, 0
    until = time.perf_counter() + seconds
    while (started := time.perf_counter()) < until:
        model.infer(snapshots.one(done % len(snapshots)))
        latency_ms = (time.perf_counter() - started) * 1000
        counts[bisect_left(BUCKETS_MS, latency_ms)] += 1
        total_ms += latency_ms
        done += 1
    return Latencies(tuple(count / done for count in counts), total_ms / done, done)


# 26 hours of engine metrics as OpenMetrics text, generated from the measured latencies.
#
# Names and labels come from the engine's own `Meters`, so the history and the live scrape form one series.

Counts = NDArray[np.int64]
Values = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tenure:
    """One artifact on one engine, from ``start`` (Unix seconds) until the next tenure.

    No artifact: the engine was idle.
    """

    start: int
    artifact_id: str
    registry_commit: str


@dataclass(frozen=True, slots=True)
class Past:
    """Past of one engine: its target labels in Prometheus, its stage, and its tenures in time order."""

    labels: Mapping[str, str]
    stage: Stage
    tenures: tuple[Tenure, ...]


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Scrape times (Unix seconds, evenly spaced), and the engines' rate in Hz."""

    times: Counts
    rate: float

    @property
    def per_step(self) -> int:
        """Snapshots that an engine takes between two scrapes."""
        return round(self.rate * int(self.times[1] - self.times[0]))


class Record:
    """The counters of one engine at every scrape."""

    def __init__(self, past: Past, scrapes: Scrapes, measured: Mapping[str, Latencies], seed: int) -> None:
        self._past = past
        self._scrapes = scrapes
        times = scrapes.times
        random = np.random.default_rng(seed)
        starts = [tenure.start for tenure in past.tenures]
        self._tenure_at = np.searchsorted(starts, times, side="right") - 1
        cells = np.zeros((len(times), len(next(iter(measured.values())).shares)), np.int64)
        spent_ms = np.zeros(len(times))
        idle = np.full(len(times), scrapes.per_step)
        for index, tenure in enumerate(past.tenures):
            if tenure.artifact_id:
                latencies = measured[tenure.artifact_id]
                rows = self._tenure_at == index
                cells[rows] = random.multinomial(scrapes.per_step, latencies.shares, int(rows.sum()))
                spent_ms[rows] = scrapes.per_step * latencies.mean_ms
                idle[rows] = 0
        self._buckets = cells.cumsum(axis=0).cumsum(axis=1)
        self._spent_ms = spent_ms.cumsum()
        self._idle = idle.cumsum()

    def families(self) -> Iterator[tuple[Metric, list[tuple[Sample, Counts, Values]]]]:
        """Return each metric family with its samples, their export times and their values."""
        for family in Meters(self._past.stage).collect():
            if family.name == "grinder_ml_model_info":
                yield family, list(self._infos())
            else:
                yield family, [(sample, self._scrapes.times, self._values(sample)) for sample in family.samples]

    def final(self) -> dict[str, float]:
        """Return the newest value of every counter, in the form that the engine's ``--counters`` option reads."""
        counters = (rows for family, rows in self.families() if family.type in ("counter", "histogram"))
        return {
            _series(sample.name, sample.labels): float(values[-1])
            for sample, _, values in chain.from_iterable(counters)
        }

    def _values(self, sample: Sample) -> Values:
        answered = self._buckets[:, -1]
        match sample.name.removeprefix("grinder_ml_"):
            case "inference_latency_ms_bucket":
                return self._buckets[:, bisect_left(BUCKETS_MS, float(sample.labels["le"]))]
            case "inference_latency_ms_sum":
                return self._spent_ms
            case "inference_latency_ms_count" | "inference_total":
                return answered
            case "block_total" if sample.labels["reason"] == NOT_LOADED:
                return self._idle
            case "active_on":
                serving = np.array([bool(tenure.artifact_id) for tenure in self._past.tenures])
                return (serving[self._tenure_at] & (self._past.stage is Stage.ACTIVE)).astype(np.int64)
            case "block_total" | "inference_errors_total":
                return np.zeros_like(answered)
        raise LookupError(f"the engine exports {sample.name}, which the demo's history does not know")

    def _infos(self) -> Iterator[tuple[Sample, Counts, Values]]:
        for index, tenure in enumerate(self._past.tenures):
            times = self._scrapes.times[self._tenure_at == index]
            if tenure.artifact_id and len(times):
                meters = Meters(self._past.stage)
                meters.state(active_on=False, serving=(tenure.artifact_id, tenure.registry_commit))
                (sample,) = next(f.samples for f in meters.collect() if f.name == "grinder_ml_model_info")
                yield sample, times, np.ones_like(times)


def openmetrics(records: Sequence[tuple[Past, Record]], scrapes: Scrapes) -> Iterator[str]:
    """Return the whole history as OpenMetrics text, by family and series."""
    yield "# TYPE up gauge\n"
    for past, _ in records:
        yield from _lines("up", past.labels, scrapes.times, np.ones_like(scrapes.times))
    for together in zip(*(record.families() for _, record in records), strict=True):
        family = together[0][0]
        yield f"# TYPE {family.name} {family.type}\n"
        for (past, _), (_, rows) in zip(records, together, strict=True):
            for sample, times, values in rows:
                yield from _lines(sample.name, {**sample.labels, **past.labels}, times, values)
    yield "# EOF\n"


def _series(name: str, labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name


def _lines(name: str, labels: Mapping[str, str], times: Counts, values: Values) -> Iterable[str]:
    text = _series(name, labels)
    return [f"{text} {value} {time}\n" for value, time in zip(values.tolist(), times.tolist(), strict=True)]


_MEASURE_S = 0.8


def main() -> int:
    """Read the order from standard input. Writes the OpenMetrics file and one counters file per engine."""
    order = json.load(sys.stdin)
    measured = {Path(folder).name: _measure(Path(folder)) for folder in order["artifacts"]}
    past = [_past(entry) for entry in order["engines"]]
    step = order["step_s"]
    times = np.arange(-(order["hours"] * 3600 // step) + 1, 1) * step + int(time.time())
    scrapes = Scrapes(times, order["rate"])
    records = [(entry, Record(entry, scrapes, measured, seed)) for seed, entry in enumerate(past)]
    with Path(order["out"]).open("w", encoding="utf-8") as out:
        out.writelines(openmetrics(records, scrapes))
    for (_, record), entry in zip(records, order["engines"], strict=True):
        Path(entry["counters"]).write_text(json.dumps(record.final(), indent=1), "utf-8")
    return 0


def _measure(folder: Path) -> Latencies:
    latencies = measure(folder, _MEASURE_S)
    sys.stdout.write(f"{folder.name}: {latencies.mean_ms * 1000:.0f} µs mean of {latencies.count:,} inferences\n")
    sys.stdout.flush()
    return latencies


def _past(entry: dict[str, Any]) -> Past:
    return Past(entry["labels"], Stage(entry["stage"]), tuple(Tenure(*row) for row in entry["tenures"]))


if __name__ == "__main__":
    sys.exit(main())
