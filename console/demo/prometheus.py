"""Prometheus of the demo: a real server on a free port, with our configuration and rules and 26 hours of history."""

from __future__ import annotations

import json
import shutil
import socket
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml
from console.demo.children import Children
from console.demo.layout import Layout
from ml.adapters.processes import run
from ml.errors import Unavailable
from ml.text import visible

NAME = "prometheus"
_READY_S = 30.0
_IMPORT_S = 120.0
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def installed() -> bool:
    """Return True when Prometheus and promtool are on the PATH."""
    return all(shutil.which(name) for name in (NAME, "promtool"))


def free_port() -> int:
    """Return a free TCP port on the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def import_history(layout: Layout, openmetrics: Path) -> None:
    """Convert the written history to Prometheus blocks, and remove the text.

    Raises:
        Unavailable: promtool cannot be started or refuses the text.
    """
    # The hidden option makes two large blocks instead of fourteen, in a third of the time.
    argv = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=48h", "openmetrics", "--quiet"]
    ended = run([*argv, openmetrics, layout.prometheus / "data"], deadline_s=_IMPORT_S)
    if ended.code != 0:
        words = visible(ended.err.decode("utf-8", "replace").strip(), limit=400)
        raise Unavailable(f"promtool did not take the history: {words}.", "Check the OpenMetrics text that it got.")
    openmetrics.unlink()


def start_prometheus(layout: Layout, children: Children, port: int, env: Mapping[str, str]) -> None:
    """Start Prometheus with the configuration and alert rules that we ship; waits until it scrapes every target.

    Raises:
        Unavailable, TimedOut: it does not come up.
    """
    shipped = Path(ml.__file__).parent / "monitoring"
    for name in ("prometheus.yml", "ml_alerts.yml"):
        shutil.copyfile(shipped / name, layout.prometheus / name)
    argv = [NAME, f"--config.file={layout.prometheus / 'prometheus.yml'}"]
    argv += [f"--storage.tsdb.path={layout.prometheus / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    children.start(NAME, [*argv, "--log.level=warn"], cwd=layout.prometheus, env=env)
    children.wait_until(NAME, lambda: _scrapes_all(port), _READY_S)


def _scrapes_all(port: int) -> bool:
    targets = _get(port, "/api/v1/targets?state=active").get("activeTargets", [])
    return bool(targets) and all(target["health"] == "up" for target in targets)


def _get(port: int, path: str) -> dict[str, Any]:
    try:
        with _direct.open(f"http://127.0.0.1:{port}{path}", timeout=2) as response:
            data: dict[str, Any] = json.load(response)["data"]
    except (OSError, ValueError):
        return {}
    return data
