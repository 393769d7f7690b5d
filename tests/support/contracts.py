"""Contracts drawn at random, ONNX models that keep them, and the same models with one line broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ml.contract import FREE, Contract, Example, Input, Kind, Output, Range

_TYPES = {
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "FP16": TensorProto.FLOAT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "BYTES": TensorProto.STRING,
}
_OTHER = {"FP32": "FP64", "FP64": "FP32", "INT32": "INT64", "INT64": "INT32", "BYTES": "INT64"}
_SPAN = 50.0
"""Questions are drawn from -50 to 50, so that every model's answers vary."""


# Contracts.


def _name(prefix: str) -> st.SearchStrategy[str]:
    return st.text("abcdefghij", min_size=1, max_size=6).map(lambda tail: f"{prefix}_{tail}")


@st.composite
def _output(draw: st.DrawFn, name: str, batch: int) -> Output:
    kind = draw(st.sampled_from([Kind.PROBABILITIES, Kind.SCALAR, Kind.VECTOR, Kind.LABEL]))
    classes = tuple(f"class {at}" for at in range(draw(st.integers(2, 4))))
    low = draw(st.floats(-100, 100))
    within = draw(st.sampled_from([Range(low, low + 10), Range(exclusive_minimum=low), Range(None, low)]))
    floats = draw(st.sampled_from(["FP32", "FP64"]))
    width = draw(st.integers(2, 4))
    match kind:
        case Kind.PROBABILITIES:
            shape = draw(st.sampled_from([(batch, len(classes)), (batch, FREE), None]))
            return Output(name=name, datatype=floats, shape=shape, kind=kind, classes=classes)
        case Kind.SCALAR:
            shape = draw(st.sampled_from([(batch, 1), (batch,), None]))
            return Output(name=name, datatype=floats, shape=shape, kind=kind, range=within)
        case Kind.VECTOR:
            given = draw(st.sampled_from([within, None]))
            return Output(name=name, datatype=floats, shape=(batch, width), kind=kind, range=given)
        case _:
            shape = draw(st.sampled_from([(batch, 1), (batch,)]))
            datatype = draw(st.sampled_from(["INT64", "BYTES"]))
            return Output(name=name, datatype=datatype, shape=shape, kind=kind, classes=classes)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """Any contract with one or two inputs and one or two outputs."""
    batch = draw(st.sampled_from([FREE, FREE, 1]))
    names = draw(st.lists(_name("in"), min_size=1, max_size=2, unique=True))
    datatypes = [draw(st.sampled_from(["FP32", "FP64", "INT64", "INT32"])) for _ in names]
    widths = [draw(st.integers(2, 5)) for _ in names]
    features = tuple(f"feature {at}" for at in range(widths[0])) if len(names) == 1 and draw(st.booleans()) else ()
    free = bool(features) and draw(st.booleans())
    inputs = tuple(
        Input(name, datatype, (batch, FREE if free else width))
        for name, datatype, width in zip(names, datatypes, widths, strict=True)
    )
    outputs = draw(st.lists(_name("out"), min_size=1, max_size=2, unique=True))
    ranges = tuple((name, -_SPAN, _SPAN) for name in (features or names))
    examples = tuple(
        Example(name, (1, width), tuple(float(at * 10 - 15) for at in range(width)))
        for name, width in zip(names, widths, strict=True)
    )
    real = draw(st.sampled_from(["ranges", "examples", "both"]))
    return Contract(
        inputs=inputs,
        outputs=tuple(draw(_output(name, batch)) for name in outputs),
        features=features,
        tolerance=draw(st.sampled_from([1e-5, 1e-4])),
        ranges=ranges if real != "examples" else (),
        examples=examples if real != "ranges" else (),
    )


# Models. A `Plan` is what a graph is made by; breaking a line changes one thing in it.


@dataclass(frozen=True)
class OutputPlan:
    """How one output is computed."""

    name: str
    datatype: str
    kind: Kind
    width: int
    columns: bool
    """True for (batch, width), false for (batch,)."""
    low: float = 0.0
    high: float = 1.0
    classes: int = 0
    spoilt: str = ""


@dataclass(frozen=True)
class Plan:
    """How a model is made: its inputs as name, datatype and width, its rows at a time, and its outputs."""

    inputs: tuple[tuple[str, str, int], ...]
    rows: int | None
    outputs: tuple[OutputPlan, ...]


def plan_of(contract: Contract) -> Plan:
    """A plan that keeps a contract."""
    width = {example.name: example.shape[1] for example in contract.examples}
    inputs = tuple(
        (one.name, one.datatype, width.get(one.name) or (len(contract.features) or one.shape[1]))
        for one in contract.inputs
    )
    return Plan(inputs, None if contract.batched else 1, tuple(map(_output_plan, contract.outputs)))


def _output_plan(output: Output) -> OutputPlan:
    low, high = _bounds(output.range)
    inner = output.shape[1:] if output.shape is not None else (len(output.classes) or 1,)
    width = inner[0] if inner and inner[0] != FREE else len(output.classes) or 1
    if output.kind is Kind.LABEL:
        width = 1
    return OutputPlan(output.name, output.datatype, output.kind, width, bool(inner), low, high, len(output.classes))


def _bounds(within: Range | None) -> tuple[float, float]:
    if within is None:
        return 0.0, 1.0
    low = within.minimum if within.minimum is not None else within.exclusive_minimum
    high = within.maximum if within.maximum is not None else within.exclusive_maximum
    if low is None:
        assert high is not None
        return high - 10.0, high
    return low, high if high is not None else low + 10.0


@dataclass
class _Graph:
    """A graph in the making."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def model_of(plan: Plan) -> bytes:
    """The ONNX model of a plan."""
    graph, rows = _Graph(), plan.rows or "batch"
    floats = [graph.add("Cast", [name], to=TensorProto.FLOAT) for name, _, _ in plan.inputs]
    joined = graph.add("Concat", floats, axis=1) if len(floats) > 1 else floats[0]
    scaled = graph.add("Mul", [joined, graph.constant(np.float32(0.02))])
    total = sum(width for _, _, width in plan.inputs)
    for number, output in enumerate(plan.outputs):
        made = _answers(graph, output, scaled, total, number)
        graph.nodes.append(helper.make_node("Identity", [made], [output.name]))
    values = [helper.make_tensor_value_info(name, _TYPES[kind], [rows, width]) for name, kind, width in plan.inputs]
    given = [
        helper.make_tensor_value_info(one.name, _TYPES[one.datatype], [rows, one.width] if one.columns else [rows])
        for one in plan.outputs
    ]
    made_graph = helper.make_graph(graph.nodes, "drawn", values, given, graph.constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(made_graph, opset_imports=opsets, ir_version=8).SerializeToString())


def _answers(graph: _Graph, output: OutputPlan, scaled: str, total: int, number: int) -> str:
    weights = np.random.default_rng(number).normal(size=(total, max(output.width, 1))).astype(np.float32)
    logits = graph.add("MatMul", [scaled, graph.constant(weights)])
    if output.kind is Kind.LABEL:
        return _label(graph, output, logits)
    if output.kind is Kind.PROBABILITIES:
        made = graph.add("Softmax", [logits], axis=-1)
        if output.spoilt == "kind":
            made = graph.add("Mul", [made, graph.constant(np.float32(2))])
    else:
        share = graph.add("Sigmoid", [logits])
        span = graph.constant(np.float32(0.8 * (output.high - output.low)))
        least = graph.constant(np.float32(output.low + 0.1 * (output.high - output.low)))
        made = graph.add("Add", [graph.add("Mul", [share, span]), least])
        if output.spoilt == "kind":
            made = graph.add("Div", [made, graph.constant(np.float32(0))])
    made = graph.add("Cast", [made], to=_TYPES[output.datatype])
    return made if output.columns else graph.add("Squeeze", [made, graph.constant(np.array([1], np.int64))])


def _label(graph: _Graph, output: OutputPlan, logits: str) -> str:
    """0 or 1 by the sign of the first logit; a spoilt one gives a class that there is not, whatever it is asked."""
    first = graph.add("Greater", [logits, graph.constant(np.float32(0))])
    index = graph.add("Cast", [first], to=TensorProto.INT64)
    if output.spoilt == "classes":
        index = graph.add("Add", [index, graph.constant(np.int64(output.classes))])
    if output.datatype == "BYTES":
        names = ["class 0", "class 1"]
        index = graph.add(
            "LabelEncoder",
            [index],
            domain="ai.onnx.ml",
            keys_int64s=[0, 1],
            values_strings=names,
            default_string="no class",
        )
    elif output.datatype != "INT64":
        index = graph.add("Cast", [index], to=_TYPES[output.datatype])
    if output.width > 1:
        index = graph.add("Concat", [index] * output.width, axis=1)
    return index if output.columns else graph.add("Squeeze", [index, graph.constant(np.array([1], np.int64))])


# One broken line.


def breaks(contract: Contract) -> dict[str, Plan]:
    """A plan for each line of a contract that breaks that line and no other."""
    plan = plan_of(contract)
    found: dict[str, Plan] = {}
    for at, one in enumerate(contract.inputs):
        name, datatype, width = plan.inputs[at]
        line = f"inputs.{one.name}"
        found[line] = _with_input(plan, at, (f"{name}_other", datatype, width))
        found[f"{line}.datatype"] = _with_input(plan, at, (name, _OTHER[datatype], width))
        wider = _with_input(plan, at, (name, datatype, width + 1))
        found["features" if one.shape[1] == FREE and not contract.examples else f"{line}.shape"] = wider
        if one.shape[1] == FREE and contract.examples:
            del found[f"{line}.shape"]
    for at, output in enumerate(contract.outputs):
        for line, changed in _broken_outputs(output, plan.outputs[at]).items():
            found[f"outputs.{output.name}{line}"] = replace(
                plan, outputs=(*plan.outputs[:at], changed, *plan.outputs[at + 1 :])
            )
    return found


def _with_input(plan: Plan, at: int, changed: tuple[str, str, int]) -> Plan:
    return replace(plan, inputs=(*plan.inputs[:at], changed, *plan.inputs[at + 1 :]))


def _broken_outputs(output: Output, plan: OutputPlan) -> dict[str, OutputPlan]:
    found = {"": replace(plan, name=f"{plan.name}_other"), ".datatype": replace(plan, datatype=_OTHER[plan.datatype])}
    wider = replace(plan, width=plan.width + 1, columns=True)
    if output.kind is Kind.PROBABILITIES:
        found[".shape" if output.shape is not None and output.shape[1] != FREE else ".classes"] = wider
    else:
        found[".shape"] = wider
    if output.kind is Kind.LABEL:
        found[".classes"] = replace(plan, spoilt="classes")
    else:
        found[".kind"] = replace(plan, spoilt="kind")
    if output.range is not None:
        beyond = 20.0 if output.range.maximum is not None else -20.0
        found[".range"] = replace(plan, low=plan.low + beyond, high=plan.high + beyond)
    return found
