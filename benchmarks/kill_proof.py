"""Measure the proof of a kill: 5,000 engines seen by Prometheus, and 200 hosts of which 20 hang."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.measure import Result
from ml.adapters.processes import run as start
from ml.adapters.prometheus import Prometheus
from ml.board import Rung
from ml.clock import SystemClock
from ml.emergency.actuators import HOST, CommandActuator
from ml.emergency.receipt import receipt
from ml.emergency.switch import KillRequest, KillSwitch
from ml.records.audit import AuditLog

_ENGINES = 5_000
_PROVEN_WITHIN_MS = 10_000.0
_HOSTS, _HANGING = 200, 20
_RESTART_S = 4
"""A service restart over SSH; what a shell says to sleep."""
_DEADLINE_S = 15.0


def run() -> tuple[Result, ...]:
    """Measure both; without a Prometheus on the machine, the hosts alone."""
    return (*_hosts(), *_engines())


# --- hosts -----------------------------------------------------------------------------------------------------------
def _hosts() -> Iterator[Result]:
    one = _slowest_that_ended(1, 0)
    many = _slowest_that_ended(_HOSTS, _HANGING)
    what = f"a kill by command on {_HOSTS} hosts, {_HANGING} of which hang: the other {_HOSTS - _HANGING}"
    yield Result(what, "one host", many, one, 1.5)


def _slowest_that_ended(hosts: int, hanging: int) -> float:
    """Milliseconds from the press until the last host that answers is done."""
    script = f"case $1 in bad*) sleep 60;; *) sleep {_RESTART_S}; date +%s%N > $2/$1;; esac"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "done").mkdir()
        argv = ("sh", "-c", script, "restart", HOST, str(folder / "done"))
        named = [f"bad{n}" if n < hanging else f"host{n}" for n in range(hosts)]
        actuators = [CommandActuator(argv, start, _DEADLINE_S, each) for each in named]
        switch = KillSwitch(folder / "kill.env", actuators, AuditLog(folder / "audit.jsonl"), SystemClock())
        begun = time.time()
        request = switch.engage("bench", "bench")
        assert sum(step.done for step in request.steps) == 1 + hosts - hanging
        ended = [int(file.read_text()) / 1e9 for file in (folder / "done").iterdir()]
        return (max(ended) - begun) * 1000


# --- engines ---------------------------------------------------------------------------------------------------------
class _Gateway(BaseHTTPRequestHandler):
    """The metrics of all engines behind one exporter, each with its own ``instance`` label."""

    begun = 0.0
    thrown = 0.0

    def do_GET(self) -> None:
        """One scrape."""
        now = time.monotonic()
        stopped = self.thrown or now
        on, inferred, blocked = int(not self.thrown), int(50 * (stopped - self.begun)), int(50 * (now - stopped))
        body = "".join(
            f'grinder_ml_active_on{{instance="e{number}:1"}} {on}\n'
            f'grinder_ml_inference_total{{instance="e{number}:1"}} {inferred}\n'
            f'grinder_ml_block_total{{instance="e{number}:1",reason="KILL_SWITCH_ENV"}} {blocked}\n'
            for number in range(_ENGINES)
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _engines() -> Iterator[Result]:
    with _scraped() as metrics:
        _until(metrics, f"count(count_over_time(grinder_ml_active_on[1m]) >= 5) == {_ENGINES}")
        request = KillRequest(True, datetime.now(UTC), "bench", "bench")
        _Gateway.thrown = time.monotonic()
        ends = time.monotonic() + 120
        while receipt(request, metrics, datetime.now(UTC), 600).rung is not Rung.CONFIRMED:
            assert time.monotonic() < ends, "never proven"
        took = (datetime.now(UTC) - request.at).total_seconds() * 1000
    yield Result(f"kill → CONFIRMED by {_ENGINES} engines, scraped every 2 s", "10 s", took, _PROVEN_WITHIN_MS, 1.0)


@contextmanager
def _scraped() -> Iterator[Prometheus]:
    _Gateway.begun, _Gateway.thrown = time.monotonic(), 0.0
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        config = Path(name) / "prometheus.yml"
        config.write_text(
            "scrape_configs: [{job_name: gateway, honor_labels: true, scrape_interval: 2s, scrape_timeout: 2s, "
            f"static_configs: [{{targets: ['127.0.0.1:{server.server_address[1]}']}}]}}]\n"
        )
        port = _free_port()
        argv = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={name}/data"]
        argv.append(f"--web.listen-address=127.0.0.1:{port}")
        with open(os.devnull, "wb") as nothing:
            child = subprocess.Popen(argv, stdout=nothing, stderr=nothing, start_new_session=True)
        try:
            yield Prometheus(f"http://127.0.0.1:{port}", timeout_s=10.0)
        finally:
            child.kill()
            child.wait()
            server.shutdown()
            server.server_close()


def _until(metrics: Prometheus, condition: str) -> None:
    ends = time.monotonic() + 120
    while True:
        try:
            if metrics.query(condition).series:
                return
        except Exception:  # noqa: BLE001 - it is still starting
            time.sleep(0.1)
        assert time.monotonic() < ends, f"never {condition}"
        time.sleep(0.2)


def _free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    for result in run():
        sys.stdout.write(f"{result}\n")
