"""The demo as its users have it: `mlconsole demo --no-console` in a process of its own, and a shell beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import console
from console.demo.children import held

SOURCE = Path(console.__file__).resolve().parents[1]
READY_S = 60.0
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Series = tuple[dict[str, str], float]


@dataclass(frozen=True)
class Demo:
    """A running demo. ``home`` is the home directory that it was given, ``told`` the file of its progress lines."""

    process: subprocess.Popen[bytes]
    document: dict[str, Any]
    home: Path
    told: Path
    seconds: float

    @property
    def clone(self) -> Path:
        return Path(self.document["clone"])

    @property
    def env(self) -> dict[str, str]:
        """What the demo tells a shell beside it to use."""
        return environment(self.home) | self.document["environment"]

    def shell(self, script: str, deadline_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the operator's clone."""
        return self._run(["bash", "-euo", "pipefail", "-c", script], deadline_s)

    def console(self, *args: str, deadline_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run the command line in the operator's clone."""
        return self._run([sys.executable, "-m", "console", *args], deadline_s)

    def _run(self, argv: list[str], deadline_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=self.clone, env=self.env, capture_output=True, text=True, timeout=deadline_s, check=False
        )

    def api(self, path: str, **parameters: str) -> Any:
        """The ``data`` of an answer of Prometheus."""
        url = f"{self.document['prometheus_url']}{path}?{urllib.parse.urlencode(parameters)}"
        with _direct.open(url, timeout=10) as response:
            return json.load(response)["data"]

    def query(self, promql: str) -> list[Series]:
        """An instant vector, now."""
        result = self.api("/api/v1/query", query=promql)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def wait_for(self, what: str, holds: Callable[[], bool], deadline_s: float = 30.0) -> None:
        """Wait until something holds in the living system."""
        deadline = time.monotonic() + deadline_s
        while not holds():
            assert time.monotonic() < deadline, f"{what}: not within {deadline_s:.0f} s"
            time.sleep(0.2)

    def end(self, number: signal.Signals, deadline_s: float = 30.0) -> int:
        """Send the demo a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(deadline_s)

    def left(self) -> list[str]:
        """What is still there of it: processes, and everything in the home directory."""
        processes = [f"process {pid}" for pid in self.document["pids"] if Path(f"/proc/{pid}").exists()]
        return processes + [str(path) for path in self.home.rglob("*") if not path.is_dir()]


def environment(home: Path) -> dict[str, str]:
    """A user with nothing in their home directory."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "XDG_", "ML"))}
    return kept | {"HOME": str(home), "PYTHONPATH": str(SOURCE)}


def start_demo(home: Path, env: Mapping[str, str], *args: str) -> Demo:
    """Start a demo and wait until it is ready; it lies where it does by default, below the home directory.

    It ends in good order when the tests are killed.
    """
    home.mkdir(exist_ok=True)
    out, told = home.with_suffix(".out"), home.with_suffix(".err")
    started = time.monotonic()
    with out.open("wb") as stdout, told.open("wb") as stderr:
        process = subprocess.Popen(
            held([sys.executable, "-m", "console", "demo", "--no-console", *args], signal.SIGTERM),
            cwd=home,
            env=dict(env),
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    while (document := _parsed(out)) is None:
        gone, late = process.poll() is not None, time.monotonic() - started > READY_S
        if gone or late:
            process.kill()
            raise AssertionError(f"the demo is not ready after {time.monotonic() - started:.0f} s: {told.read_text()}")
        time.sleep(0.05)
    return Demo(process, document, home, told, time.monotonic() - started)


def _parsed(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError:
        return None
    return document
