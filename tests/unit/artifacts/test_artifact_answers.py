"""What a model answers: alone as among others, asked again as before, and not the same to everybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support.artifacts import artifact_of, linear, model_of, sound_weights, verifier
from support.zygote import Zygote

from ml.artifacts.build import Origin, build_artifact
from ml.artifacts.verification import Verification
from ml.errors import Invalid
from ml.verdict import Verdict

SMALL, WEIGHTS = np.float32(1e-6), sound_weights()
LOGITS = (helper.make_node("Mul", ["input", "small"], ["scaled"]), helper.make_node("MatMul", ["scaled", "w"], ["l"]))
CONSTANTS = {"small": SMALL, "w": WEIGHTS}


def softmax(name: str) -> onnx.NodeProto:
    return helper.make_node("Softmax", [name], ["regime_probs"], axis=-1)


def batch_mean() -> onnx.ModelProto:
    """Normalises with the statistics of its batch, as a model exported in training mode does."""
    mean = helper.make_node("ReduceMean", ["l"], ["mu"], axes=[0], keepdims=1)
    return model_of([*LOGITS, mean, helper.make_node("Sub", ["l", "mu"], ["c"]), softmax("c")], CONSTANTS)


def batch_mean_of_raw_features() -> onnx.ModelProto:
    """The same on features that saturate it, as a model made for scaled features does."""
    mean = helper.make_node("ReduceMean", ["l"], ["mu"], axes=[0], keepdims=1)
    nodes = [helper.make_node("MatMul", ["input", "w"], ["l"]), mean, helper.make_node("Sub", ["l", "mu"], ["c"])]
    return model_of([*nodes, softmax("c")], {"w": WEIGHTS})


def batch_norm_in_training() -> onnx.ModelProto:
    """`BatchNormalization` with ``training_mode``, which also gives running statistics that nobody reads."""
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    norm = helper.make_node("BatchNormalization", ["l", "s", "b", "m", "v"], ["n", "rm", "rv"], training_mode=1)
    return model_of([*LOGITS, norm, softmax("n")], CONSTANTS | {"s": ones, "b": zeros, "m": zeros, "v": ones})


def sum_of_those_before() -> onnx.ModelProto:
    """A row's answer holds those before it: its place in the batch decides."""
    sum_ = helper.make_node("CumSum", ["l", "axis"], ["c"])
    return model_of([*LOGITS, sum_, softmax("c")], CONSTANTS | {"axis": np.int64(0)})


def larger_batches_only() -> onnx.ModelProto:
    """It answers right in batches of up to two, and adds the size of a larger one to the first regime."""
    nodes = [
        *LOGITS,
        helper.make_node("Shape", ["input"], ["shape"], start=0, end=1),
        helper.make_node("Cast", ["shape"], ["n"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Sub", ["n", "two"], ["more"]),
        helper.make_node("Relu", ["more"], ["above"]),
        helper.make_node("Mul", ["above", "first"], ["push"]),
        helper.make_node("Add", ["l", "push"], ["c"]),
        softmax("c"),
    ]
    first = np.array([1, 0, 0], np.float32)
    return model_of(nodes, CONSTANTS | {"two": np.array([2], np.float32), "first": first})


def dropout(seed: int) -> onnx.ModelProto:
    """Dropout left on: another mask at every call, although its seed is fixed."""
    nodes = [*LOGITS, helper.make_node("Dropout", ["l", "half", "on"], ["d"], seed=seed), softmax("d")]
    return model_of(nodes, CONSTANTS | {"half": np.float32(0.5), "on": np.bool_(True)})


def constant() -> onnx.ModelProto:
    return linear(np.zeros((15, 3), np.float32))


def dead_unit() -> onnx.ModelProto:
    """Its weights are alive, its last layer takes no notice of them."""
    nodes = [*LOGITS, helper.make_node("Mul", ["l", "none"], ["gone"]), helper.make_node("Add", ["gone", "b"], ["c"])]
    constants = {"none": np.float32(0), "b": np.array([0.5, 2.0, 0.1], np.float32)}
    return model_of([*nodes, softmax("c")], CONSTANTS | constants)


def for_scaled_features() -> onnx.ModelProto:
    """Raw market states saturate it; it is alive on what its caller scales first."""
    return model_of([helper.make_node("MatMul", ["input", "w"], ["l"]), softmax("l")], {"w": WEIGHTS})


def one_row(model: onnx.ModelProto, rows: int = 1) -> onnx.ModelProto:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = rows
    return model


def one_row_by_its_reshape() -> onnx.ModelProto:
    """It says that it takes one row, and could not take two."""
    nodes = [*LOGITS, helper.make_node("Reshape", ["l", "to"], ["c"]), softmax("c")]
    return one_row(model_of(nodes, CONSTANTS | {"to": np.array([1, 3], np.int64)}))


@pytest.fixture
def judged(tmp_path: Path, zygote: Zygote) -> Callable[[onnx.ModelProto], Verification]:
    return lambda model: verifier(tmp_path / "scratch", zygote).verify(artifact_of(model, tmp_path))


Judge = Callable[[onnx.ModelProto], Verification]


@pytest.mark.parametrize("make", [batch_mean, batch_mean_of_raw_features, sum_of_those_before, larger_batches_only])
def test_a_row_must_get_the_same_answer_alone_and_in_a_batch(
    judged: Judge, make: Callable[[], onnx.ModelProto]
) -> None:
    found = judged(make())
    assert found.verdict is Verdict.FAIL
    assert found.amiss is found.check("batch")
    assert "in a batch of" in found.check("batch").why
    assert "alone, as the engine asks" in found.check("batch").why


@pytest.mark.parametrize("seed", [1, 7])
def test_dropout_that_was_left_on_fails_although_onnxruntime_takes_it_out(judged: Judge, seed: int) -> None:
    found = judged(dropout(seed))
    assert found.verdict is Verdict.FAIL
    assert found.amiss is found.check("batch")
    assert "dropout" in found.check("batch").why


def test_a_normalization_that_learns_while_it_answers_fails(judged: Judge) -> None:
    found = judged(batch_norm_in_training())
    assert found.verdict is Verdict.FAIL
    assert found.check("determinism").verdict is Verdict.FAIL
    assert found.check("batch").verdict is Verdict.NO_DATA


@pytest.mark.parametrize("make", [constant, dead_unit])
def test_a_model_with_one_answer_is_vacuous(judged: Judge, make: Callable[[], onnx.ModelProto]) -> None:
    found = judged(make())
    assert found.verdict is Verdict.VACUOUS
    assert not found.valid
    assert found.amiss is found.check("variety")
    assert "all get one answer" in found.check("variety").why


def test_the_probe_is_varied_enough_for_a_model_of_scaled_features(judged: Judge) -> None:
    assert judged(for_scaled_features()).check("variety").verdict is Verdict.PASS


def test_the_decisions_are_counted(judged: Judge) -> None:
    counts = judged(linear(sound_weights())).check("variety").why
    assert (
        sum(int(word) for word in counts.replace(",", " ").split() if word.isdigit()) == 64 + 64
    )  # and "on 64 states"


def test_noise_of_the_last_bits_between_alone_and_batch_is_no_difference(judged: Judge) -> None:
    deep = np.random.default_rng(3).normal(size=(15, 4096)).astype(np.float32)
    nodes = [
        LOGITS[0],
        helper.make_node("MatMul", ["scaled", "w"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["bent"]),
        helper.make_node("MatMul", ["bent", "v"], ["l"]),
        softmax("l"),
    ]
    out = np.random.default_rng(4).normal(size=(4096, 3)).astype(np.float32) / 64
    assert judged(model_of(nodes, {"small": SMALL, "w": deep, "v": out})).valid


@pytest.mark.parametrize("make", [lambda: one_row(linear(sound_weights())), one_row_by_its_reshape])
def test_a_fixed_batch_of_one_is_verified_singly(judged: Judge, make: Callable[[], onnx.ModelProto]) -> None:
    found = judged(make())
    assert found.valid, found.amiss
    assert found.check("batch").why == "It takes one market state at a time, as the engine asks."


def test_a_fixed_batch_of_eight_cannot_be_asked_by_the_engine(judged: Judge) -> None:
    found = judged(one_row(linear(sound_weights()), rows=8))
    assert found.amiss is found.check("shape")
    assert "8 rows at a time" in found.check("shape").why


def test_a_constant_fixed_batch_of_one_is_vacuous_too(judged: Judge) -> None:
    assert judged(one_row(constant())).verdict is Verdict.VACUOUS


@pytest.mark.parametrize(("make", "says"), [(batch_mean, "batch is FAIL"), (constant, "variety is VACUOUS")])
def test_build_makes_nothing_of_such_a_model(
    tmp_path: Path, zygote: Zygote, make: Callable[[], onnx.ModelProto], says: str
) -> None:
    model, out = tmp_path / "strange.onnx", tmp_path / "regime_v2026_11_27_001"
    onnx.save(make(), model)
    with pytest.raises(Invalid, match=says):
        build_artifact(verifier(tmp_path / "s", zygote), model, out, Origin(dataset_id="d"), now=datetime.now(UTC))
    assert not out.exists()


def test_build_takes_a_fixed_batch_of_one(tmp_path: Path, zygote: Zygote) -> None:
    model, out = tmp_path / "single.onnx", tmp_path / "regime_v2026_11_27_001"
    onnx.save(one_row_by_its_reshape(), model)
    found = build_artifact(verifier(tmp_path / "s", zygote), model, out, Origin(dataset_id="d"), now=datetime.now(UTC))
    assert found.valid
    assert found.check("golden").verdict is Verdict.PASS
