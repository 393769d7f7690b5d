"""Golden vectors and comparisons use inputs on which the models' answers vary, or say that they prove nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support.artifacts import GOOD, OTHER, artifact_of, copy_artifact, linear, model_of, repin, sound_weights, verifier
from support.zygote import Zygote

from ml.artifacts.build import Origin, build_artifact
from ml.artifacts.compare import Comparison, compare
from ml.artifacts.manifest import golden_document
from ml.artifacts.runtime import results_differ
from ml.training.run import Order, train_artifact
from ml.verdict import Code, Verdict


def for_scaled_features(seed: int) -> onnx.ModelProto:
    """Raw market states saturate it: their position's size alone decides, always in the same way."""
    weights = np.random.default_rng(seed).normal(size=(15, 3)).astype(np.float32)
    weights[0] = (50.0, 0.0, -50.0)
    nodes = [helper.make_node("MatMul", ["input", "w"], ["l"]), helper.make_node("Softmax", ["l"], ["regime_probs"])]
    return model_of(nodes, {"w": weights})


def compared(one: Path, other: Path, tmp_path: Path, zygote: Zygote) -> Comparison:
    return compare(verifier(tmp_path / "scratch", zygote), one, other, max_ratio=1000.0)


def test_golden_answers_of_a_model_for_scaled_features_are_not_all_one(tmp_path: Path, zygote: Zygote) -> None:
    onnx.save(for_scaled_features(1), tmp_path / "scaled.onnx")
    out = tmp_path / "regime_v2026_11_27_001"
    sandboxed = verifier(tmp_path / "scratch", zygote)
    build_artifact(sandboxed, tmp_path / "scaled.onnx", out, Origin(dataset_id="d"), now=datetime.now(UTC))
    outputs = np.array(json.loads((out / "golden.json").read_text())["outputs"])
    assert outputs.shape == (16, 3)
    assert len(np.unique(outputs.round(3), axis=0)) > 2


def test_decisions_are_compared_where_they_vary(tmp_path: Path, zygote: Zygote) -> None:
    one, other = (artifact_of(for_scaled_features(seed), tmp_path / str(seed)) for seed in (1, 2))
    found = compared(one, other, tmp_path, zygote)
    assert found.decided
    assert found.decided.varied
    assert found.disagreement is not None
    assert found.disagreement > 0.01


def test_models_with_one_answer_each_are_no_equal_models(tmp_path: Path, zygote: Zygote) -> None:
    flat = linear(np.zeros((15, 3), np.float32))
    one, other = (artifact_of(flat, tmp_path / name) for name in "ab")
    found = compared(one, other, tmp_path, zygote)
    assert found.disagreement is None
    assert results_differ(found).verdict is Verdict.VACUOUS
    assert "regime_probs: VACUOUS: each gives one answer to all inputs that were tried" in list(found.lines())
    assert not any("0.00%" in line for line in found.lines())
    document = json.loads(json.dumps(found.document()))
    assert (document["decisions"]["disagreement"], document["decisions"]["varied"]) == (None, False)


def test_golden_vectors_with_one_answer_are_vacuous(tmp_path: Path, zygote: Zygote) -> None:
    directory = copy_artifact(tmp_path)
    golden = json.loads((GOOD / "golden.json").read_text())
    same = [golden["inputs"][0]] * 16, [golden["outputs"][0]] * 16
    (directory / "golden.json").write_bytes(golden_document(*same))
    repin(directory)
    found = verifier(tmp_path / "scratch", zygote).verify(directory)
    assert (found.check("golden").verdict, found.check("golden").code) == (Verdict.VACUOUS, Code.ONE_ANSWER)
    assert not found.valid


@pytest.fixture(scope="module")
def spacings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two trained spacing models."""
    home = tmp_path_factory.mktemp("spacings")
    made = []
    for seed in (1, 2):
        out = home / f"spacing_v2026_02_17_00{seed}"
        order = Order(out_dir=out, dataset_id="d", seed=seed, n_samples=400, model_type="spacing")
        train_artifact(order, git_sha=None, now=datetime.now(UTC))
        made.append(out)
    return made[0], made[1]


def test_numbers_are_compared_by_the_quantiles_of_their_difference(
    spacings: tuple[Path, Path], tmp_path: Path, zygote: Zygote
) -> None:
    found = compared(*spacings, tmp_path, zygote)
    assert found.verdict is Verdict.PASS
    assert found.decided
    assert found.decided.output == "spacing_multiplier"
    assert found.decided.confusion == ()
    assert found.decided.quantiles is not None
    low, high, top = found.decided.quantiles
    assert 0 < low < high < top <= found.decided.largest_difference
    assert any(line.startswith("difference: median ") for line in found.lines())
    assert found.latency
    assert found.latency.raced
    same = compared(spacings[0], spacings[0], tmp_path, zygote)
    assert same.disagreement == 0


def test_models_of_different_contracts_are_not_compared(
    spacings: tuple[Path, Path], tmp_path: Path, zygote: Zygote
) -> None:
    found = compared(OTHER, spacings[0], tmp_path, zygote)
    assert found.decided is None
    assert "answer to different contracts; see outputs.regime_probs" in found.why


def test_one_artifact_with_both_outputs_is_a_model_of_either_family(tmp_path: Path, zygote: Zygote) -> None:
    directory = artifact_of(_with_spacing(1.0), tmp_path)
    either = verifier(tmp_path / "scratch", zygote)
    assert either.verify(directory).valid
    as_spacing = directory.rename(directory.with_name("spacing_v2026_02_15_001"))
    assert either.verify(as_spacing).valid
    negative = artifact_of(_with_spacing(-1.0), tmp_path / "negative")
    check = either.verify(negative).check("finite")
    assert (check.verdict, dict(check.facts)["line"]) == (Verdict.FAIL, "outputs.spacing_multiplier.range")


def _with_spacing(sign: float) -> onnx.ModelProto:
    """The deployed kind of model: regimes and a multiplier from the same features."""
    model = linear(sound_weights())
    graph = model.graph
    graph.node.extend(
        [
            helper.make_node("ReduceSum", ["logits", "columns"], ["sum"], keepdims=1),
            helper.make_node("Sigmoid", ["sum"], ["share"]),
            helper.make_node("Mul", ["share", "sign"], ["spacing_multiplier"]),
        ]
    )
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "columns"))
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(sign, np.float32), "sign"))
    graph.output.append(helper.make_tensor_value_info("spacing_multiplier", onnx.TensorProto.FLOAT, ["batch", 1]))
    return model
