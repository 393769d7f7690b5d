"""Five thousand engines behind one exporter, as a gateway shows them: a kill is proven by counts, the rest by name.

How long it takes, at most ten seconds, is measured by ``benchmarks.kill_proof``, on a machine that does nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.prometheus import running

from ml.adapters.prometheus import Prometheus
from ml.board import KillView, Rung
from ml.emergency.receipt import receipt
from ml.emergency.switch import KillRequest

ENGINES = 5_000


class Gateway:
    """The metrics of many engines; ``killed`` are blocked from the moment that the switch is thrown."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._thrown: float | None = None
        self.disobeys: set[int] = set()

    def throw(self) -> None:
        self._thrown = time.monotonic()

    def page(self) -> bytes:
        now = time.monotonic()
        thrown = self._thrown
        stopped = now if thrown is None else thrown
        lines = []
        for number in range(ENGINES):
            disobeys = number in self.disobeys
            on = thrown is None or disobeys
            inferred = 1000 + int(50 * ((now if disobeys else stopped) - self._begun))
            blocked = 0 if on else int(50 * (now - stopped))
            name = f'instance="e{number}:9100"'
            lines += [
                f"grinder_ml_active_on{{{name}}} {int(on)}",
                f'grinder_ml_inference_total{{{name},mode="active"}} {inferred}',
                f'grinder_ml_block_total{{{name},reason="KILL_SWITCH_ENV"}} {blocked}',
            ]
        return ("\n".join(lines) + "\n").encode()


@contextmanager
def served(gateway: Gateway) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = gateway.page()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


CONFIG = """
scrape_configs:
  - job_name: gateway
    honor_labels: true
    scrape_interval: 2s
    scrape_timeout: 2s
    static_configs: [{{targets: ["{target}"]}}]
"""


@contextmanager
def scraped(folder: Path, gateway: Gateway) -> Iterator[Prometheus]:
    """A Prometheus that has seen every engine infer for some scrapes."""
    with served(gateway) as target, running(folder, config=CONFIG.format(target=target)) as server:
        metrics = Prometheus(server.url, timeout_s=30.0)
        until(metrics, f"count(count_over_time(grinder_ml_active_on[1m]) >= 5) == {ENGINES}")
        yield metrics


def until(metrics: Prometheus, condition: str, deadline_s: float = 240.0) -> None:
    ends = time.monotonic() + deadline_s
    while not metrics.query(condition).series:
        assert time.monotonic() < ends, f"never {condition}"
        time.sleep(0.2)


def proven(metrics: Prometheus, request: KillRequest, deadline_s: float = 240.0) -> tuple[KillView, float]:
    """Look until every engine is CONFIRMED; the view, and how long that took since the request."""
    ends = time.monotonic() + deadline_s
    while True:
        now = datetime.now(UTC)
        view = receipt(request, metrics, now, 600)
        if view.rung is Rung.CONFIRMED or time.monotonic() > ends:
            return view, (datetime.now(UTC) - request.at).total_seconds()


def test_a_kill_of_five_thousand_engines_is_proven_and_two_that_disobey_are_named(tmp_path: Path) -> None:
    gateway = Gateway()
    with scraped(tmp_path, gateway) as metrics:
        request = KillRequest(True, datetime.now(UTC), "ann@example.com", "p99 spike")
        gateway.throw()
        view, _ = proven(metrics, request)
        assert (view.rung, view.engines, view.proven) == (Rung.CONFIRMED, ENGINES, ENGINES), view.problem
        assert len(view.instances) <= 50

        gateway.disobeys = {17, 4_711}
        until(metrics, "count(changes(grinder_ml_inference_total[8s]) > 0) == 2")
        late = receipt(request, metrics, datetime.now(UTC), 1)
        assert (late.rung, late.engines, late.proven) == (Rung.UNCONFIRMED, ENGINES, ENGINES - 2), late.problem
        assert sorted(each.instance for each in late.instances[:2]) == ["e17:9100", "e4711:9100"]
        assert "it still infers" in late.instances[0].why
