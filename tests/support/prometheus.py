"""A real Prometheus for tests: back-filled from OpenMetrics text, on a port that the kernel chose, ended as a group.

with running(tmp_path, history=[Line("up", {"job": "engine"}, [(ts, 1.0), …])], rules=YAML) as prometheus:
    Prometheus(prometheus.url).query("up")
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LISTENING = re.compile(r'component=web msg="Listening on" address=(\S+)')
_READY = "Server is ready to receive web requests"


@dataclass(frozen=True, slots=True)
class Line:
    """One back-filled series: metric name, labels, and (Unix seconds, value) in rising order."""

    name: str
    labels: Mapping[str, str]
    points: Iterable[tuple[float, float]]

    def write(self) -> Iterator[str]:
        inside = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        head = f"{self.name}{{{inside}}}"
        for moment, value in self.points:
            yield f"{head} {value!r} {moment:.3f}\n"


@dataclass(frozen=True, slots=True)
class RealPrometheus:
    """A running server: its address, its process (a group of its own), and where its log is."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def rules_evaluated(self, deadline_s: float = 20.0) -> None:
        """Wait until every loaded rule was evaluated at least once."""
        wait_until(lambda: b'"health":"unknown"' not in _get(f"{self.url}/api/v1/rules"), deadline_s, self.log)


def back_fill(folder: Path, history: Iterable[Line]) -> Path:
    """Write blocks for a Prometheus from series of the past; returns its storage directory."""
    text, data = folder / "history.openmetrics", folder / "data"
    with text.open("w") as file:
        for line in history:
            file.writelines(line.write())
        file.write("# EOF\n")
    data.mkdir()
    # Promtool reads the whole text once per block, so a few long blocks are much faster than many of two hours.
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "--quiet", "--max-block-duration=54h", "openmetrics", text, data],
        check=True,
        capture_output=True,
        timeout=120,
    )
    text.unlink()
    return data


@contextmanager
def running(
    folder: Path,
    *,
    history: Iterable[Line] = (),
    rules: str = "",
    config: str = "",
    web: str = "",
    interval_s: float = 1.0,
    data: Path | None = None,
) -> Iterator[RealPrometheus]:
    """Run Prometheus inside ``folder`` until the block ends.

    Args:
        history: series to back-fill before the start.
        rules: a rule file's YAML, evaluated every ``interval_s``.
        config: further YAML of prometheus.yml, such as ``scrape_configs``.
        web: YAML of a web configuration file, for TLS and passwords.
        data: a storage directory that is filled already, in place of ``history``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = data or back_fill(folder, history)
    (folder / "rules.yml").write_text(rules)
    interval = f"{interval_s:g}s"
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}, evaluation_interval: {interval}}}\n"
        f"rule_files: [{folder / 'rules.yml'}]\n"
        # History may reach a little into the future, so that it stays fresh while the tests run; rules write before it.
        f"storage: {{tsdb: {{out_of_order_time_window: 2h}}}}\n{config}\n"
    )
    (folder / "web.yml").write_text(web)
    log = folder / "prometheus.log"
    argv = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=10y",
        "--web.listen-address=127.0.0.1:0",
        f"--web.config.file={folder / 'web.yml'}",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True, cwd=folder)
    try:
        # It tells its address and that it is ready from two of its threads, in any order.
        wait_until(lambda: _up(log.read_text()) or process.poll() is not None, 60.0, log)
        found = _up(log.read_text())
        assert found, f"Prometheus did not start:\n{log.read_text()[-2000:]}"
        yield RealPrometheus(f"{'https' if 'tls_server_config' in web else 'http'}://{found[1]}", process, log)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _up(log: str) -> re.Match[str] | None:
    """Where it listens, once it is ready as well."""
    return _LISTENING.search(log) if _READY in log else None


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as response:
        return bytes(response.read())


def wait_until(condition: Callable[[], bool], deadline_s: float, log: Path) -> None:
    """Wait for a sign of a server; its log is shown when none comes."""
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, f"not in {deadline_s:g} s; the log ends with\n{log.read_text()[-2000:]}"
        time.sleep(0.02)
