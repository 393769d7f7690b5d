"""A real VictoriaMetrics with vmalert for tests: history imported, rules evaluated, ended as groups.

vmalert keeps the state of alerts and answers ``/api/v1/rules``; VictoriaMetrics passes such questions on to it, so one
address answers everything, as one Prometheus does.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.prometheus import Line, wait_until

_CHUNK = 2_000_000


@dataclass(frozen=True, slots=True)
class RealVictoria:
    """A running VictoriaMetrics: its address, and where the logs are."""

    url: str
    log: Path

    def rules_evaluated(self, deadline_s: float = 30.0) -> None:
        """Wait until every loaded rule was evaluated at least once."""
        wait_until(self._evaluated, deadline_s, self.log)

    def _evaluated(self) -> bool:
        body = _get(f"{self.url}/api/v1/rules") or b""
        return b'"lastEvaluation"' in body and b'"lastEvaluation":"0001' not in body


@contextmanager
def running_victoria(
    folder: Path, *, history: Iterable[Line] = (), rules: str = "", interval_s: float = 1.0
) -> Iterator[RealVictoria]:
    """Run VictoriaMetrics and vmalert inside ``folder`` until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    store_port, alert_port = _free_port(), _free_port()
    url, alert_url = f"http://127.0.0.1:{store_port}", f"http://127.0.0.1:{alert_port}"
    (folder / "rules.yml").write_text(rules)
    store = [
        "victoria-metrics",
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr=127.0.0.1:{store_port}",
        f"-vmalert.proxyURL={alert_url}",
        "-retentionPeriod=10y",
        "-loggerLevel=WARN",
        # As fresh as Prometheus: otherwise the last half minute is hidden from rules.
        "-search.latencyOffset=0s",
    ]
    alerting = [
        "vmalert",
        f"-rule={folder / 'rules.yml'}",
        f"-datasource.url={url}",
        f"-remoteWrite.url={url}",
        f"-notifier.url={url}/nobody",
        f"-evaluationInterval={interval_s:g}s",
        f"-httpListenAddr=127.0.0.1:{alert_port}",
        "-loggerLevel=ERROR",
    ]
    with _process(store, folder / "store.log"):
        wait_until(lambda: _get(f"{url}/health") is not None, 30.0, folder / "store.log")
        _import(url, history)
        with _process(alerting, folder / "alerts.log"):
            wait_until(lambda: _get(f"{alert_url}/health") is not None, 30.0, folder / "alerts.log")
            yield RealVictoria(url, folder / "alerts.log")


def _import(url: str, history: Iterable[Line]) -> None:
    """Load series of the past, in chunks of the text format with times in milliseconds."""
    chunk: list[str] = []
    size = 0
    for line in history:
        inside = ",".join(f'{key}="{value}"' for key, value in line.labels.items())
        head = f"{line.name}{{{inside}}}"
        text = "".join(f"{head} {value!r} {round(at * 1000)}\n" for at, value in line.points)
        chunk.append(text)
        size += len(text)
        if size > _CHUNK:
            _post(url, "".join(chunk))
            chunk, size = [], 0
    _post(url, "".join(chunk))
    # What was imported is in memory first; asking for it to be written makes it visible at once.
    _get(f"{url}/internal/force_flush")


def _post(url: str, text: str) -> None:
    if text:
        request = urllib.request.Request(f"{url}/api/v1/import/prometheus", text.encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()


def _get(url: str) -> bytes | None:
    with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=5) as response:
        return bytes(response.read())
    return None


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def _process(argv: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True)
    try:
        time.sleep(0.05)
        assert process.poll() is None, f"{argv[0]} did not start:\n{log.read_text()[-2000:]}"
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
