"""For any contract, a model that breaks one line of it fails by that line's name; one that keeps it does not fail."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from support.contracts import breaks, contracts, model_of, plan_of

from ml.artifacts.protocol import Examined, Golden, Request, Subject, Task
from ml.artifacts.sandboxed.describe import answer
from ml.artifacts.sandboxed.examine import Examination
from ml.contract import FREE, REGIME, SPACING, Contract, Example, Input, Kind, Output
from ml.contract_reader import ContractInvalid, parse_contract
from ml.verdict import Check, Code, Verdict


class _Silent:
    """A channel that nobody listens to."""

    def stage(self, name: str) -> None:
        """A step begins."""

    def check(self, check: Check) -> None:
        """A check is made."""


CAGE = Check("cage", Verdict.PASS, "", Code.SOUND)


def examined(model: bytes, contract: Contract, golden: Golden | None = None) -> Examined:
    """The checks that the sandbox makes, on real onnxruntime."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.onnx").write_bytes(model)
        subject = Subject(folder, "model.onnx", ("model.onnx",), contract)
        return Examination(Request(Task.EXAMINE, (subject,), golden=golden), _Silent(), CAGE).run()


def answers(model: bytes, contract: Contract) -> Golden:
    """Golden vectors as `mlconsole build` makes them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.onnx").write_bytes(model)
        found = answer(Subject(folder, "model.onnx", ("model.onnx",), contract))
    assert found.varied
    return Golden(found.inputs, found.outputs)


def broken_line(found: Examined) -> str:
    """The line of the one failed check."""
    failed = [check for check in found.checks if check.verdict is Verdict.FAIL]
    assert [check.code for check in failed] == [Code.CONTRACT_BROKEN], found.checks
    line = dict(failed[0].facts)["line"]
    assert failed[0].why.startswith(f"{line}: ")
    return str(line)


@settings(max_examples=60, deadline=None)
@given(contracts())
def test_a_model_that_keeps_its_contract_passes_with_its_own_golden_vectors(contract: Contract) -> None:
    model = model_of(plan_of(contract))
    found = examined(model, contract, answers(model, contract))
    assert {check.name: check.verdict for check in found.checks if check.verdict is not Verdict.PASS} == {}
    assert found.steady


@settings(max_examples=150, deadline=None)
@given(contracts(), st.data())
def test_a_model_that_breaks_one_line_fails_by_that_lines_name(contract: Contract, data: st.DataObject) -> None:
    broken = breaks(contract)
    line = data.draw(st.sampled_from(sorted(broken)), label="line")
    assert broken_line(examined(model_of(broken[line]), contract)) == line


@settings(max_examples=30, deadline=None)
@given(contracts())
def test_golden_answers_beyond_the_tolerance_fail_by_its_name(contract: Contract) -> None:
    model = model_of(plan_of(contract))
    golden = answers(model, contract)
    name, rows = next(iter(golden.outputs.items()))
    first = rows[0][0]
    moved = first + 100 * contract.tolerance * max(1.0, abs(first)) if isinstance(first, float) else "no class"
    if isinstance(first, int):
        moved = first + 1
    wrong = Golden(golden.inputs, {**golden.outputs, name: ((moved, *rows[0][1:]), *rows[1:])})
    assert broken_line(examined(model, contract, wrong)) == "tolerance"


@settings(max_examples=100, deadline=None)
@given(contracts())
def test_a_contract_reads_back_as_it_was_written(contract: Contract) -> None:
    assert parse_contract(contract.document()) == contract
    assert contract.difference(contract) == ""


@settings(max_examples=100, deadline=None)
@given(contracts(), st.data())
def test_a_contract_that_differs_in_one_line_is_named_by_it(contract: Contract, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(contract.outputs) - 1))
    output = contract.outputs[at]
    others = {"datatype": replace(output, datatype="FP16")}
    if output.shape is not None:
        others["shape"] = replace(output, shape=(*output.shape, 7))
    if output.classes:
        others["classes"] = replace(output, classes=(*output.classes, "more"))
    if output.range is not None:
        others["range"] = replace(output, range=replace(output.range, maximum=1e9))
    part = data.draw(st.sampled_from(sorted(others)))
    other = replace(contract, outputs=(*contract.outputs[:at], others[part], *contract.outputs[at + 1 :]))
    assert contract.difference(other) == f"outputs.{output.name}.{part}"


def test_the_runbooks_families_are_whole_and_unlike() -> None:
    for family in (REGIME, SPACING):
        assert family.open_lines == ()
        assert parse_contract(family.document()) == family
    assert REGIME.difference(SPACING) == "outputs.regime_probs.required"
    assert SPACING.difference(REGIME) == "outputs.spacing_multiplier.required"


GOOD = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [FREE, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [FREE, 1], "kind": "scalar"}],
    "features": ["a", "b"],
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"input": []}, "input"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [{"name": "x", "datatype": "float", "shape": [FREE, 2]}]}, "inputs[0].datatype"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [0, 2]}]}, "inputs[0].shape"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [True, 2]}]}, "inputs[0].shape"),
        ({"inputs": [{"name": "x\x1b", "datatype": "FP32", "shape": [FREE, 2]}]}, "inputs[0].name"),
        ({"outputs": [{**GOOD["outputs"][0], "kind": "number"}]}, "outputs[0].kind"),
        ({"outputs": [{**GOOD["outputs"][0], "optional": True}]}, "outputs"),
        ({"outputs": [{**GOOD["outputs"][0], "shape": [FREE, 2]}]}, "outputs[0].shape"),
        ({"outputs": [{**GOOD["outputs"][0], "range": {"minimum": 2, "maximum": 1}}]}, "outputs[0].range"),
        ({"outputs": [{**GOOD["outputs"][0], "range": {}}]}, "outputs[0].range"),
        ({"outputs": [{**GOOD["outputs"][0], "classes": ["a"]}]}, "outputs[0].classes"),
        ({"outputs": [GOOD["outputs"][0]] * 2}, "outputs"),
        ({"features": ["a"]}, "features"),
        ({"features": ["a", "a"]}, "features"),
        ({"tolerance": 0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"ranges": {"c": [0, 1]}}, "ranges.c"),
        ({"ranges": {"a": [1, 0]}}, "ranges.a"),
        ({"example": [[1.0]]}, "example.x"),
        ({"example": [[1.0, 2.0], [3.0, 4.0]]}, "example.x"),
        ({"left_open": {"features": "because"}}, "left_open.features"),
        ({"left_open": {"ranges": " "}}, "left_open.ranges"),
    ],
)
def test_a_mistake_in_a_contract_is_named_by_its_line(changes: dict[str, object], line: str) -> None:
    assert parse_contract(GOOD).open_lines == ("ranges", "outputs.y.range")
    with pytest.raises(ContractInvalid) as caught:
        parse_contract(GOOD | changes)
    assert caught.value.line == line


def test_a_model_that_takes_no_inputs_beyond_its_ranges_is_not_failed_for_that() -> None:
    """A table is looked up by position, so that other populations than the contract's own end in an error."""
    contract = parse_contract(
        {
            "inputs": [{"name": "token", "datatype": "INT64", "shape": [FREE, 1]}],
            "outputs": [{"name": "value", "datatype": "FP32", "shape": [FREE, 1], "kind": "vector"}],
            "features": ["token"],
            "ranges": {"token": [0, 3]},
        }
    )
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "token"], ["rows"]),
            helper.make_node("Squeeze", ["rows", "two"], ["value"]),
        ],
        "table",
        [helper.make_tensor_value_info("token", TensorProto.INT64, ["batch", 1])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 1])],
        [
            numpy_helper.from_array(np.full((4, 1), 0.5, np.float32), "table"),
            numpy_helper.from_array(np.array([2], np.int64), "two"),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    found = examined(model, contract)
    assert [check.name for check in found.checks if check.verdict is Verdict.VACUOUS] == ["variety"]
    assert not [check for check in found.checks if check.verdict is Verdict.FAIL], found.checks


@settings(max_examples=1)
@example(
    Contract(
        inputs=(Input("in_a", "INT64", (FREE, 4)),),
        outputs=(
            Output(name="out_a", datatype="INT64", shape=(FREE, 1), kind=Kind.LABEL, classes=("class 0", "class 1")),
        ),
        examples=(Example("in_a", (1, 4), (-15.0, -5.0, 5.0, 15.0)),),
    )
)
@given(contracts())
def test_integers_below_zero_are_asked_about_too(contract: Contract) -> None:
    model = model_of(plan_of(contract))
    assert len(set(next(iter(answers(model, contract).outputs.values())))) > 1
