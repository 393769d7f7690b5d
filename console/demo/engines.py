"""The engines of the demo: one reference engine per model and stage, continuing the counters of the history."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from console.demo.children import Children
from console.demo.layout import Layout
from ml.stage import Stage

JOB = "ml-engine"
"""The job's name in ``ml/monitoring/prometheus.yml``, which the history must carry too."""
RATE_HZ = 10.0
_READY_S = 30.0


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One engine process: a model in a stage. ``name`` is its ``instance`` in Prometheus."""

    model: str
    stage: Stage

    @property
    def name(self) -> str:
        """Such as ``regime_classifier-shadow``."""
        return f"{self.model}-{self.stage}"

    @property
    def labels(self) -> dict[str, str]:
        """Its target labels in Prometheus."""
        return {"instance": self.name, "model": self.model}


ENGINES = (
    EngineSpec("regime_classifier", Stage.ACTIVE),
    EngineSpec("regime_classifier", Stage.SHADOW),
    EngineSpec("regime_night", Stage.ACTIVE),
    EngineSpec("regime_night", Stage.SHADOW),
    EngineSpec("regime_lowvol", Stage.SHADOW),
)


def start_engines(layout: Layout, children: Children, env: Mapping[str, str]) -> None:
    """Start every engine and wait until each exports metrics; then tell Prometheus where they are.

    Raises:
        Unavailable, TimedOut: an engine does not come up.
    """
    for engine in ENGINES:
        children.start(engine.name, _argv(layout, engine), cwd=layout.deployment, env=env)
    for engine in ENGINES:
        children.wait_until(engine.name, layout.port_file(engine.name).exists, _READY_S)
    targets = [
        {"targets": [f"127.0.0.1:{layout.port_file(engine.name).read_text().strip()}"], "labels": engine.labels}
        for engine in ENGINES
    ]
    (layout.prometheus / "targets" / "engines.json").write_text(json.dumps(targets, indent=1), "utf-8")


def _argv(layout: Layout, engine: EngineSpec) -> list[str]:
    argv = [sys.executable, "-m", "ml.serving", "--registry", "ml/registry/models.json"]
    argv += ["--repo-root", str(layout.deployment), "--model", engine.model, "--stage", engine.stage.value]
    argv += ["--rate", str(RATE_HZ), "--commit-file", str(layout.deployed_commit)]
    argv += ["--port-file", str(layout.port_file(engine.name)), "--fault-file", str(layout.fault_file(engine.name))]
    argv += ["--kill-file", str(layout.kill_file)]
    counters = layout.counters_file(engine.name)
    return [*argv, "--counters", str(counters)] if counters.exists() else argv
