"""Real artifacts for tests: copies of the committed ones, and small ONNX models made to order."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ml.adapters import processes
from ml.artifacts.verify import Verifier
from ml.ports import Runner

ROOT = Path(__file__).resolve().parents[2]
GOOD = ROOT / "artifacts" / "onnx" / "regime_v2026_02_15_001"
OTHER = ROOT / "artifacts" / "onnx" / "regime_v2026_02_15_002"


def verifier(scratch: Path, run: Runner = processes.run) -> Verifier:
    """A verifier whose private copies lie in ``scratch``."""
    scratch.mkdir(parents=True, exist_ok=True)
    return Verifier(run, scratch=scratch)


def copy_artifact(to: Path, source: Path = GOOD) -> Path:
    """A private copy of a committed artifact."""
    return Path(shutil.copytree(source, to / source.name))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def edit_json(path: Path, **changes: object) -> None:
    """Replace some keys of a document."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def repin(directory: Path) -> None:
    """Make manifest and train report name the files as they are now, as an attacker would."""
    names = [path.name for path in directory.iterdir() if path.name not in ("manifest.json", "train_report.json")]
    report = directory / "train_report.json"
    if report.exists():
        edit_json(report, model_sha256=sha256(directory / "model.onnx"))
        names.append(report.name)
    edit_json(directory / "manifest.json", sha256={name: sha256(directory / name) for name in sorted(names)})


def artifact_of(model: onnx.ModelProto | bytes, to: Path, data: Mapping[str, bytes] | None = None) -> Path:
    """An artifact, well pinned and without golden vectors, around any model."""
    directory = copy_artifact(to)
    (directory / "golden.json").unlink()
    (directory / "model.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    for name, content in (data or {}).items():
        (directory / name).write_bytes(content)
    repin(directory)
    return directory


def model_of(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, object] | None = None,
    *,
    width: int | None = 15,
    classes: int = 3,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model from nodes that turn ``input`` into ``regime_probs``."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info("regime_probs", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def linear(weights: np.ndarray, **options: int) -> onnx.ModelProto:
    """softmax(1e-6 * input @ weights): weights (15, classes) float32."""
    return model_of(
        [
            helper.make_node("Mul", ["input", "small"], ["scaled"]),
            helper.make_node("MatMul", ["scaled", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["regime_probs"], axis=-1),
        ],
        {"small": np.float32(1e-6), "weights": weights.astype(np.float32)},
        **options,
    )


def sound_weights(classes: int = 3) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(15, classes)).astype(np.float32)


def endless_loop() -> onnx.ModelProto:
    """A Loop whose condition never becomes false."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["state", "state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    return model_of(
        [
            helper.make_node("MatMul", ["input", "weights"], ["logits"]),
            helper.make_node("Loop", ["", "yes", "logits"], ["spun"], body=body),
            helper.make_node("Softmax", ["spun"], ["regime_probs"], axis=-1),
        ],
        {"yes": np.bool_(True), "weights": sound_weights()},
    )


def long_chain(length: int = 200_000) -> onnx.ModelProto:
    """Nodes in a row, each cheap; onnxruntime's optimiser takes minutes over them."""
    nodes = [helper.make_node("MatMul", ["input", "weights"], ["n0"])]
    nodes += [onnx.NodeProto(op_type="Neg", input=[f"n{at}"], output=[f"n{at + 1}"]) for at in range(length)]
    nodes.append(helper.make_node("Softmax", [f"n{length}"], ["regime_probs"], axis=-1))
    return model_of(nodes, {"weights": sound_weights()})


def memory_bomb() -> onnx.ModelProto:
    """A few bytes that ask for 16 GiB when they run."""
    return model_of(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
            helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
            helper.make_node("MatMul", ["input", "weights"], ["logits"]),
            helper.make_node("Add", ["logits", "sum"], ["shifted"]),
            helper.make_node("Softmax", ["shifted"], ["regime_probs"], axis=-1),
        ],
        {"shape": np.array([1 << 32], dtype=np.int64), "weights": sound_weights()},
    )


def growing() -> onnx.ModelProto:
    """A Loop that doubles what it holds, and touches it, without end."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Concat", ["s", "s"], ["next"], axis=0)],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    return model_of(
        [
            helper.make_node("MatMul", ["input", "weights"], ["logits"]),
            helper.make_node("Loop", ["", "yes", "logits"], ["grown"], body=body),
            helper.make_node("Softmax", ["grown"], ["regime_probs"], axis=-1),
        ],
        {"yes": np.bool_(True), "weights": sound_weights()},
    )


def noisy(seed: float | None) -> onnx.ModelProto:
    """Probabilities from a random number generator, with or without a fixed seed."""
    attributes = {} if seed is None else {"seed": seed}
    return model_of(
        [
            helper.make_node("MatMul", ["input", "weights"], ["logits"]),
            helper.make_node("RandomNormalLike", ["logits"], ["noise"], **attributes),
            helper.make_node("Softmax", ["noise"], ["regime_probs"], axis=-1),
        ],
        {"weights": sound_weights()},
    )


def external(location: str, weights: np.ndarray | None = None) -> tuple[onnx.ModelProto, bytes]:
    """A linear model that keeps its weights in another file, and that file's content."""
    model = linear(sound_weights() if weights is None else weights)
    tensor = next(one for one in model.graph.initializer if one.name == "weights")
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(content)))):
        tensor.external_data.add(key=key, value=value)
    return model, content


def table_model(location: str, rows: int) -> onnx.ModelProto:
    """softmax(input @ weights + table[0]): a table of rows x 4096 float32 that lies in another file.

    Which row is looked up follows from the input, or onnxruntime would fold the table into a constant.
    """
    columns = 4096
    model = model_of(
        [
            helper.make_node("ReduceMax", ["input"], ["highest"], keepdims=0),
            helper.make_node("Mul", ["highest", "nothing"], ["position"]),
            helper.make_node("Cast", ["position"], ["first"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "first"], ["row"], axis=0),
            helper.make_node("Slice", ["row", "begin", "end"], ["bias"]),
            helper.make_node("Mul", ["input", "small"], ["scaled"]),
            helper.make_node("MatMul", ["scaled", "weights"], ["logits"]),
            helper.make_node("Add", ["logits", "bias"], ["shifted"]),
            helper.make_node("Softmax", ["shifted"], ["regime_probs"], axis=-1),
        ],
        {
            "nothing": np.float32(0),
            "begin": np.array([0], dtype=np.int64),
            "end": np.array([3], dtype=np.int64),
            "small": np.float32(1e-6),
            "weights": sound_weights(),
        },
    )
    table = model.graph.initializer.add(name="table", data_type=TensorProto.FLOAT, dims=[rows, columns])
    table.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(4 * rows * columns))):
        table.external_data.add(key=key, value=value)
    return model
