"""The demo's running system: built step by step in one folder, stopped and removed as a whole."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from console.demo import prometheus
from console.demo.children import Children
from console.demo.engines import ENGINES, JOB, RATE_HZ, start_engines
from console.demo.layout import Layout, shipped, source_path
from console.demo.repository import make_repositories
from console.demo.scene import ARTIFACTS, MOVES, Move, Step, tenures
from ml.adapters.processes import run
from ml.errors import Unavailable
from ml.registry.schema import ARTIFACTS_PATH
from ml.text import visible

HISTORY_HOURS = 26
_STEP_S = 15
_HISTORIAN_S = 120.0

Announce = Callable[[str, float | None], None]
"""Progress callback. Called with a step's text when the step begins, and again with its seconds when it is done."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running demo: its folder, the address of Prometheus (empty without one), and its processes."""

    layout: Layout
    url: str
    env: Mapping[str, str]
    children: Children

    def document(self) -> dict[str, object]:
        """Paths, address and environment of the demo, for scripts."""
        layout = self.layout
        paths = {"root": layout.root, "clone": layout.clone, "remote": layout.remote, "deployment": layout.deployment}
        paths |= {"kill_file": layout.kill_file, "logs": layout.logs, "shell": layout.shell}
        return {
            "schema_version": "v1",
            **{name: str(path) for name, path in paths.items()},
            "prometheus_url": self.url,
            "environment": {name: self.env[name] for name in _OURS},
            "pids": list(self.children.pids()),
        }


def shell_lines(layout: Layout, env: Mapping[str, str]) -> str:
    """Return lines for a shell to source: the console's environment, and a ``cd`` into the operator's clone."""
    exports = (f"export {name}={shlex.quote(env[name])}\n" for name in _OURS)
    return "".join((*exports, f"cd {shlex.quote(str(layout.clone))}\n"))


@contextmanager
def running_stack(
    root: Path, announce: Announce, moves: Sequence[Move] = MOVES, hours: int = HISTORY_HOURS
) -> Iterator[Stack]:
    """Build and run the whole system below ``root``, with a number of hours of history.

    Every process is stopped when the block ends.

    Raises:
        Unavailable, TimedOut: a part does not come up. Only Prometheus may be missing.
    """
    layout = Layout(root.resolve())
    layout.make()
    env = environment(layout)
    layout.shell.write_text(shell_lines(layout, env), encoding="utf-8")
    port = prometheus.free_port()
    url = f"http://127.0.0.1:{port}"
    children = Children(layout.logs)
    try:
        with _timed(announce, "remote with nine days of history, operator's clone, deployment"):
            past = make_repositories(layout, datetime.now(UTC).replace(microsecond=0), url, moves)
        present = prometheus.installed()
        if present:
            _write_past(layout, past, env, announce, hours)
        with _timed(announce, f"{len(ENGINES)} engines infer, at {RATE_HZ:g} snapshots a second each"):
            start_engines(layout, children, env)
            _start_deployer(layout, children, env)
        if present:
            with _timed(announce, f"Prometheus at {url} scrapes them all"):
                prometheus.start_prometheus(layout, children, port, env)
        yield Stack(layout, url if present else "", env, children)
    finally:
        children.stop()


def environment(layout: Layout) -> dict[str, str]:
    """Return the environment of all demo processes: our Python first, the operator's state inside the folder."""
    dropped = ("ML_KILL_SWITCH", "GIT_", "MLCONSOLE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", os.defpath))),
        "PYTHONPATH": str(source_path()),
        "XDG_STATE_HOME": str(layout.state),
        "XDG_CONFIG_HOME": str(layout.root / "config"),
        # By default onnxruntime stores a device id in the home directory and sends telemetry. This turns it off.
        "ORT_DISABLE_TELEMETRY": "1",
    }


_OURS = ("PATH", "PYTHONPATH", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "ORT_DISABLE_TELEMETRY")


def _write_past(
    layout: Layout, past: tuple[tuple[Step, str], ...], env: Mapping[str, str], announce: Announce, hours: int
) -> None:
    openmetrics = layout.prometheus / "history.om"
    order = {
        "artifacts": [str(shipped(f"{ARTIFACTS_PATH}/{artifact_id}")) for artifact_id in ARTIFACTS],
        "hours": hours,
        "step_s": _STEP_S,
        "rate": RATE_HZ,
        "out": str(openmetrics),
        "engines": [
            {
                "labels": {"job": JOB, **engine.labels},
                "stage": engine.stage.value,
                "tenures": tenures(engine, past),
                "counters": str(layout.counters_file(engine.name)),
            }
            for engine in ENGINES
        ],
    }
    argv = [sys.executable, "-m", "console.demo.historian"]
    with _timed(announce, f"{hours} h of history drawn from measured inference"):
        ended = run(argv, deadline_s=_HISTORIAN_S, cwd=layout.root, env=env, stdin=json.dumps(order).encode())
        if ended.code != 0:
            words = visible(ended.err.decode("utf-8", "replace").strip().rpartition("\n")[2], limit=400)
            raise Unavailable(f"The history could not be made: {words}.", "Run `mlconsole check`.")
    with _timed(announce, "history imported by promtool"):
        prometheus.import_history(layout, openmetrics)


def _start_deployer(layout: Layout, children: Children, env: Mapping[str, str]) -> None:
    argv = [sys.executable, "-m", "console.demo.engines", str(layout.root)]
    children.start("deployer", argv, cwd=layout.root, env=env)


@contextmanager
def _timed(announce: Announce, what: str) -> Iterator[None]:
    started = time.monotonic()
    announce(what, None)
    yield
    announce(what, time.monotonic() - started)
