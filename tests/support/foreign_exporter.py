"""An engine of somebody else: other names, labels and units than the runbook's, and a kill file that it obeys.

python foreign_exporter.py DEPLOYMENT VERSION KILL_FILE PORT_FILE
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram, start_http_server

CONTRACT = """
[metrics]
latency   = "inference_seconds"
successes = { name = "predictions_total", where = { outcome = "ok" } }
errors    = { name = "predictions_total", where = { outcome = "error" } }
[metrics.labels]
mode   = "deployment"
active = "live"
[metrics.serving]
metric   = "loaded_model_info"
artifact = "version"
[metrics.receipt]
active   = "trading_active"
engaged  = "kill_switch_on"
blocked  = { name = "skipped_total", where = { why = "kill" } }
"""
"""What the policy says about this engine."""

BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)


def main() -> None:
    """Serve until it is ended."""
    deployment, version, kill_file, port_file = sys.argv[1:]
    latency = Histogram("inference_seconds", "Latency.", ["deployment"], buckets=BOUNDS).labels(deployment)
    predictions = Counter("predictions", "Predictions.", ["deployment", "outcome"])
    good, bad = predictions.labels(deployment, "ok"), predictions.labels(deployment, "error")
    killed = Gauge("kill_switch_on", "1 while this engine sees the switch on.")
    trading = Gauge("trading_active", "1 while this model decides.")
    info = Gauge("loaded_model_info", "What is loaded.", ["deployment", "version", "registry_commit"])
    info.labels(deployment, version, "c0ffee").set(1)
    server, _ = start_http_server(0, addr="127.0.0.1")
    Path(f"{port_file}.new").write_text(str(server.server_port))
    Path(f"{port_file}.new").rename(port_file)
    while True:
        held = Path(kill_file)
        off = held.exists() and "ML_KILL_SWITCH=1" in held.read_text()
        killed.set(off)
        trading.set(deployment == "live" and not off)
        begin = time.perf_counter()
        time.sleep(random.uniform(0.001, 0.02))
        if not off:
            (bad if random.random() < 0.001 else good).inc()
            latency.observe(time.perf_counter() - begin)


if __name__ == "__main__":
    main()
