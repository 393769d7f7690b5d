from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from support.artifacts import GOOD, artifact_of, external, linear, sound_weights, verifier
from support.zygote import Zygote

from ml.artifacts.build import Origin, build_artifact
from ml.artifacts.runtime import GOLDEN_ARTIFACT, check_runtime, golden_gate, judge_runtime
from ml.artifacts.verification import Verification
from ml.artifacts.verify import Verifier
from ml.errors import ConsoleError, Usage
from ml.verdict import Verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORIGIN = Origin(dataset_id="theirs", notes="by hand", git_sha="c" * 40)


def build(model: Path, out: Path, sandboxed: Verifier) -> Verification:
    return build_artifact(sandboxed, model, out, ORIGIN, now=NOW)


def test_a_bare_model_becomes_an_artifact(tmp_path: Path, zygote: Zygote) -> None:
    out = tmp_path / "new" / "regime_v2026_03_01_001"
    found = build(GOOD / "model.onnx", out, verifier(tmp_path / "scratch", zygote))
    assert found.valid
    assert found.artifact_id == out.name
    assert verifier(tmp_path / "scratch", zygote).verify(out).check("golden").verdict is Verdict.PASS
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["git_sha"] == "c" * 40
    assert manifest["created_at_utc"] == "2026-03-01T12:00:00Z"
    assert set(manifest["sha256"]) == {"model.onnx", "golden.json", "train_report.json"}
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_external_data_comes_along_under_its_name(tmp_path: Path, zygote: Zygote) -> None:
    model, weights = external("weights.bin")
    (tmp_path / "theirs.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "weights.bin").write_bytes(weights)
    out = tmp_path / "regime_v2026_03_01_001"
    assert build(tmp_path / "theirs.onnx", out, verifier(tmp_path / "scratch", zygote)).valid
    assert (out / "weights.bin").read_bytes() == weights


def test_a_model_that_does_not_verify_leaves_nothing(tmp_path: Path, zygote: Zygote) -> None:
    nan = sound_weights()
    nan[0, 0] = np.nan
    (tmp_path / "nan.onnx").write_bytes(linear(nan).SerializeToString())
    (tmp_path / "text.onnx").write_text("no model")
    escaping, _ = external("../weights.bin")
    (tmp_path / "escaping.onnx").write_bytes(escaping.SerializeToString())
    lacking, _ = external("absent.bin")
    (tmp_path / "lacking.onnx").write_bytes(lacking.SerializeToString())
    for name, why in (
        ("nan", "no probabilities"),
        ("text", "no ONNX model"),
        ("escaping", "plain name"),
        ("lacking", "absent.bin does not exist"),
        ("absent", "does not exist"),
    ):
        with pytest.raises(ConsoleError, match=why):
            build(
                tmp_path / f"{name}.onnx",
                tmp_path / "out" / "regime_v2026_03_01_001",
                verifier(tmp_path / "scratch", zygote),
            )
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path, zygote: Zygote) -> None:
    out = tmp_path / "regime_v2026_03_01_001"
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(Usage, match="exists already"):
        build(GOOD / "model.onnx", out, verifier(tmp_path / "scratch", zygote))
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_the_runtime_computes_what_the_golden_artifact_expects(tmp_path: Path, zygote: Zygote) -> None:
    runtime = check_runtime(verifier(tmp_path, zygote))
    assert runtime.verdict is Verdict.PASS, runtime.why


def test_a_runtime_that_computes_otherwise_is_noticed_and_closes_the_gate(tmp_path: Path, zygote: Zygote) -> None:
    right = verifier(tmp_path, zygote).verify(GOOD)
    wrong = verifier(tmp_path, zygote).verify(GOLDEN_ARTIFACT, expect_sha256="0" * 64)
    runtime = judge_runtime(wrong)
    assert runtime.verdict is Verdict.FAIL
    assert golden_gate(runtime, right).verdict is Verdict.FAIL
    assert golden_gate(check_runtime(verifier(tmp_path, zygote)), right).verdict is Verdict.PASS


def test_an_artifact_that_ships_no_vectors_passes_by_the_runtimes(tmp_path: Path, zygote: Zygote) -> None:
    runtime = check_runtime(verifier(tmp_path / "scratch", zygote))
    bare = verifier(tmp_path / "scratch", zygote).verify(artifact_of(linear(sound_weights()), tmp_path))
    assert bare.check("golden").verdict is Verdict.NO_DATA
    assert golden_gate(runtime, bare).verdict is Verdict.PASS
    broken = verifier(tmp_path / "scratch", zygote).verify(tmp_path)
    assert golden_gate(runtime, broken).verdict is Verdict.NO_DATA
