"""Engines of the demo: one reference engine per model and stage. Each continues the counters of the history."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from console.demo.children import Children
from console.demo.layout import Layout
from ml.adapters.git_runner import GitRunner
from ml.adapters.processes import run
from ml.errors import ConsoleError
from ml.stage import Stage

JOB = "ml-engine"
"""The job's name in ``ml/monitoring/prometheus.yml``. The history must use the same name."""
RATE_HZ = 10.0
_READY_S = 30.0


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One engine process: a model in a stage. ``name`` is its ``instance`` in Prometheus."""

    model: str
    stage: Stage

    @property
    def name(self) -> str:
        """The engine's name, such as ``regime_classifier-shadow``."""
        return f"{self.model}-{self.stage}"

    @property
    def labels(self) -> dict[str, str]:
        """The engine's target labels in Prometheus."""
        return {"instance": self.name, "model": self.model}


ENGINES = (
    EngineSpec("regime_classifier", Stage.ACTIVE),
    EngineSpec("regime_classifier", Stage.SHADOW),
    EngineSpec("regime_night", Stage.ACTIVE),
    EngineSpec("regime_night", Stage.SHADOW),
    EngineSpec("regime_lowvol", Stage.SHADOW),
)


def start_engines(layout: Layout, children: Children, env: Mapping[str, str]) -> None:
    """Start every engine, wait until each exports metrics, then give Prometheus their addresses.

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


# The demo's deployment: a checkout that follows the remote's main branch, like a delivery pipeline.
#
# ``python -m console.demo.engines ROOT`` follows the branch until it is stopped; `deploy` does one round.

BRANCH = "main"
_EVERY_S = 1.0


def deploy(layout: Layout) -> None:
    """Update the checkout to the remote's main branch, then write the deployed commit for the engines.

    git writes paths in order, so artifacts are on disk before the registry that names them.

    Raises:
        ConsoleError: git cannot.
    """
    tip = GitRunner(layout.remote, run)("rev-parse", BRANCH).decode("ascii").strip()
    if layout.deployed_commit.exists() and layout.deployed_commit.read_text("ascii").strip() == tip:
        return
    git = GitRunner(layout.deployment, run)
    git("fetch", "--quiet", "origin", BRANCH)
    git("merge", "--quiet", "--ff-only", tip)
    part = layout.deployed_commit.with_suffix(".part")
    part.write_text(f"{tip}\n", "ascii")
    os.replace(part, layout.deployed_commit)


def main() -> None:
    """Follow the branch until stopped. An error is printed once per round, and the next round tries again."""
    layout = Layout(Path(sys.argv[1]))
    while True:
        try:
            deploy(layout)
        except ConsoleError as error:
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
        time.sleep(_EVERY_S)


if __name__ == "__main__":
    main()
