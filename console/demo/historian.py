"""``python -m console.demo.historian < ORDER.json``: measures the artifacts and writes the engines' past.

A process of its own, because onnxruntime never runs in the console's and numpy need not be loaded there.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from console.demo.history import Past, Record, Scrapes, Tenure, openmetrics
from console.demo.measure import Latencies, measure
from ml.stage import Stage

_MEASURE_S = 0.8


def main() -> int:
    """Read the order from standard input; write the OpenMetrics file and one counters file per engine."""
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
