"""Models that are larger than a pipe's worth: staged, pushed through the real hook, landed; or refused beforehand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.artifacts import ROOT, repin
from support.gatehouse import MODEL, artifact_files
from test_verbs import Shell, shell  # noqa: F401 a fixture

from ml.adapters.git_hooks import install_gate
from ml.adapters.processes import run
from ml.registry.schema import REGISTRY_PATH

NAME = "regime_v2026_02_17_001"
FOLDER = f"artifacts/onnx/{NAME}"
BALLAST = 80 << 20


def large_artifact(root: Path, ballast: int = BALLAST) -> Path:
    """A sample artifact with some MiB of zeros that nothing reads: they are packed into a few kilobytes."""
    directory = root / FOLDER
    directory.mkdir(parents=True)
    for path, content in artifact_files(NAME).items():
        (root / path).write_bytes(content.encode() if isinstance(content, str) else content)
    model = onnx.load(directory / "model.onnx")
    zeros = numpy_helper.from_array(np.zeros(ballast // 4, np.float32), "ballast")
    model.graph.initializer.append(zeros)
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    repin(directory)
    return directory


def test_a_model_of_80_mib_is_staged_pushed_through_the_hook_and_landed(shell: Shell) -> None:  # noqa: F811
    directory = large_artifact(shell.clones.operator.path)
    install_gate(shell.clones.remote.path, run=run, python=Path(sys.executable), path=ROOT)
    code, done = shell.document("stage", FOLDER, "--model", "regime_night", "--reason", "large")
    assert (code, done["pushed"]) == (0, True), done
    assert shell.run("land", done["branch"])[0] == 0
    size = shell.clones.remote.git("cat-file", "-s", f"main:{FOLDER}/model.onnx")
    assert int(size) == (directory / "model.onnx").stat().st_size > BALLAST
    assert shell.document("status")[1]["models"]["regime_night"]["staging"]["artifact_id"] == NAME


def test_an_artifact_over_the_limit_is_refused_before_anything_is_written(
    shell: Shell,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large_artifact(shell.clones.operator.path, 10 << 20)
    monkeypatch.setattr("ml.promotion.plan.EXPORT_LIMIT", 8 << 20)
    before = shell.refs()
    objects = shell.clones.operator.git("count-objects", "-v")
    code, _, said = shell.run("stage", FOLDER, "--model", "regime_night", "--reason", "large", "--dry-run")
    assert code == 1
    assert "The artifact has 10 MiB, and git takes at most 8 MiB of one." in said
    assert "Make the model smaller" in said
    assert (shell.refs(), shell.clones.operator.git("count-objects", "-v")) == (before, objects)


def test_a_registry_of_66_mib_is_shown_by_the_short_status(shell: Shell) -> None:  # noqa: F811
    operator = shell.clones.operator
    document = json.loads(operator.git("show", f"origin/main:{REGISTRY_PATH}"))
    document["padding"] = "x" * (66 << 20)
    operator.write(REGISTRY_PATH, json.dumps(document))
    operator.git("add", REGISTRY_PATH)
    operator.git("commit", "-q", "-m", "Grow")
    operator.git("push", "-q", "origin", "HEAD:main")
    code, out, said = shell.run("status", "--short")
    assert MODEL in out, (code, said)
