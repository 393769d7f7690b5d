from __future__ import annotations

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from support.artifacts import GOOD, endless_loop, external, linear, long_chain, sound_weights, table_model

from ml.artifacts.graph import read_graph
from ml.artifacts.runtime import GOLDEN_ARTIFACT


def facts(model: onnx.ModelProto) -> object:
    return read_graph(memoryview(model.SerializeToString()))


def test_it_counts_what_onnx_counts() -> None:
    model = onnx.load(GOLDEN_ARTIFACT / "model.onnx")
    found = read_graph(memoryview((GOLDEN_ARTIFACT / "model.onnx").read_bytes()))
    initializers = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    floats = sum(len(attribute.floats) for node in model.graph.node for attribute in node.attribute)
    assert found.nodes == len(model.graph.node)
    assert found.parameters == initializers + floats
    assert set(found.opsets) == {(opset.domain or "ai.onnx", opset.version) for opset in model.opset_import}
    assert dict(found.operators)["TreeEnsembleClassifier"] == 1


def test_nodes_and_constants_in_inner_graphs_count() -> None:
    found = facts(endless_loop())
    assert dict(found.operators) == {"MatMul": 1, "Loop": 1, "Softmax": 1, "Identity": 1, "Add": 1}
    constant = helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(np.zeros((4, 5), "f4")))
    model = linear(sound_weights())
    model.graph.node.insert(0, constant)
    assert facts(model).parameters == 15 * 3 + 1 + 20


def test_external_data_is_found_wherever_it_hides() -> None:
    model, _ = external("weights.bin")
    inner = helper.make_node("Constant", [], ["c"], value=table_model("inner.bin", 4).graph.initializer[-1])
    model.graph.node.insert(
        0, helper.make_node("If", ["x"], ["y"], then_branch=helper.make_graph([inner], "g", [], []))
    )
    assert facts(model).external == ("inner.bin", "weights.bin")


def test_a_long_chain_is_walked_to_its_end() -> None:
    assert facts(long_chain(2_000)).nodes == 2_002


@pytest.mark.parametrize("content", [b"", b"\x00", b"not a model", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"no graph|cut off|no protobuf|no end"):
        read_graph(memoryview(content))


def test_every_cut_of_a_model_is_refused_or_shorter() -> None:
    whole = (GOOD / "model.onnx").read_bytes()
    nodes = read_graph(memoryview(whole)).nodes
    for size in range(len(whole)):
        with contextlib.suppress(ValueError):
            assert read_graph(memoryview(whole[:size])).nodes <= nodes


@given(st.binary(max_size=400))
def test_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_graph(memoryview(content))


def test_a_deeply_nested_graph_does_not_exhaust_the_stack() -> None:
    graph = b""
    for _ in range(3_000):
        attribute = b"\x32" + _size(graph) + graph
        node = b"\x2a" + _size(attribute) + attribute
        graph = b"\x0a" + _size(node) + node
    found = read_graph(memoryview(b"\x3a" + _size(graph) + graph))
    assert found.nodes == 3_000


def _size(content: bytes) -> bytes:
    value, out = len(content), bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)
