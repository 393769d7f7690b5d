"""Real reference engines as child processes, with a registry and artifacts of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

SOURCE = Path(__file__).parents[2]
FIRST, SECOND = "regime_v2026_02_14_001", "regime_v2026_02_15_001"
MODEL = "regime_classifier"
READY_S = 30.0
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Deployment:
    """A folder as a deployer leaves it: registry, artifacts, commit note, kill and fault file."""

    root: Path
    registry: Path = field(init=False)
    commit: Path = field(init=False)
    kill: Path = field(init=False)
    faults: Path = field(init=False)

    def __post_init__(self) -> None:
        self.registry = self.root / "ml" / "registry" / "models.json"
        self.commit = self.root / "commit"
        self.kill = self.root / "kill.env"
        self.faults = self.root / "faults.json"
        self.registry.parent.mkdir(parents=True)
        shutil.copytree(SOURCE / "artifacts", self.root / "artifacts")

    def deploy(self, commit: str = "c" * 40, **stages: str) -> None:
        """Put artifacts into stages (``active=ID``) and note the commit, as the engine will read it."""
        entry: dict[str, Any] = {"staging": None, "shadow": None, "active": None, "history": []}
        for stage, artifact in stages.items():
            entry[stage] = self.pointer(artifact)
        document = {"schema_version": "v1", "models": {MODEL: entry}}
        write(self.registry, json.dumps(document))
        write(self.commit, commit)

    def pointer(self, artifact: str) -> dict[str, Any]:
        folder = f"artifacts/onnx/{artifact}"
        manifest = json.loads((self.root / folder / "manifest.json").read_text())
        return {
            "artifact_id": artifact,
            "artifact_dir": folder,
            "model_sha256": manifest["sha256"]["model.onnx"],
            "git_sha": "a" * 40,
            "dataset_id": "production_data_v3",
            "promoted_at_utc": "2026-02-16T10:00:00Z",
        }

    def break_with(self, latency_ms: float = 0.0, error_rate: float = 0.0) -> None:
        """Inject a drill's fault."""
        write(self.faults, json.dumps({"latency_ms": latency_ms, "error_rate": error_rate}))


@dataclass
class EngineProcess:
    """One running engine: its process, port, and log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def text(self) -> str:
        """What it exposes to Prometheus."""
        with _direct.open(f"http://{self.target}/metrics", timeout=5) as response:
            return str(response.read().decode())

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name with those labels; 0.0 where there is none."""
        families = text_string_to_metric_families(self.text())
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def serves(self) -> str:
        """The artifact that ``grinder_ml_model_info`` names."""
        families = text_string_to_metric_families(self.text())
        samples = [sample for family in families for sample in family.samples if sample.name == "grinder_ml_model_info"]
        return samples[0].labels["artifact_id"] if samples else ""

    def until(self, condition: Callable[[], bool], deadline_s: float = 15.0) -> None:
        """Wait for a condition; fails with the engine's log."""
        ends = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < ends, f"not in {deadline_s:g} s; the engine's log:\n{self.log.read_text()}"
            assert self.process.poll() is None, f"the engine died:\n{self.log.read_text()}"
            time.sleep(0.02)

    def rises(self, name: str, **labels: str) -> None:
        """Wait until a counter rises."""
        before = self.value(name, **labels)
        self.until(lambda: self.value(name, **labels) > before)

    def logged(self, event: str) -> None:
        """Wait until an event stands in the log."""
        self.until(lambda: event in self.log.read_text())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(15)


@contextmanager
def engine(
    deployment: Deployment, stage: str, *options: str, name: str = "engine", rate: float = 50.0, **env: str
) -> Iterator[EngineProcess]:
    """Run one engine in a stage until the block ends; it listens when the block begins."""
    process, log, port_file = start(deployment, stage, *options, name=name, rate=rate, **env)
    try:
        yield EngineProcess(process, port_of(process, port_file, log), log)
    finally:
        process.kill()
        process.wait()


def start(
    deployment: Deployment, stage: str, *options: str, name: str, rate: float, **env: str
) -> tuple[subprocess.Popen[bytes], Path, Path]:
    """Start an engine; its process, its log, and the file that will tell its port."""
    log, port_file = deployment.root / f"{name}.log", deployment.root / f"{name}.port"
    port_file.unlink(missing_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*argv(deployment, stage, port_file, rate), *options],
            cwd=SOURCE,
            env={key: value for key, value in os.environ.items() if key != "ML_KILL_SWITCH"} | env,
            stdout=output,
            stderr=output,
        )
    return process, log, port_file


def argv(deployment: Deployment, stage: str, port_file: Path, rate: float) -> list[str]:
    return [
        *(sys.executable, "-m", "ml.serving", "--registry", "ml/registry/models.json", "--model", MODEL),
        *("--stage", stage, "--repo-root", str(deployment.root), "--rate", str(rate), "--port-file", str(port_file)),
        *("--commit-file", str(deployment.commit), "--kill-file", str(deployment.kill)),
        *("--fault-file", str(deployment.faults)),
    ]


def port_of(process: subprocess.Popen[bytes], port_file: Path, log: Path) -> int:
    ends = time.monotonic() + READY_S
    while not port_file.exists():
        assert process.poll() is None, f"the engine died:\n{log.read_text()}"
        assert time.monotonic() < ends, f"not listening after {READY_S:g} s:\n{log.read_text()}"
        time.sleep(0.02)
    return int(port_file.read_text())


def write(path: Path, text: str) -> None:
    """Replace a file whole, as deployers and drills do."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)
