from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.artifacts import GOOD, OTHER, artifact_of, copy_artifact, linear, sound_weights, verifier
from support.zygote import Zygote

from ml.artifacts.compare import Comparison, compare
from ml.artifacts.runtime import latency_spike, not_loading, results_differ
from ml.verdict import Verdict


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Comparison:
    return compare(verifier(tmp_path_factory.mktemp("scratch"), zygote), GOOD, OTHER, max_ratio=3.0)


def test_properties_stand_side_by_side(compared: Comparison) -> None:
    rows = {row.name: row for row in compared.rows}
    assert (rows["parameters"].left, rows["nodes"].left) == ("78", "3")
    assert rows["opset"].left == "ai.onnx.ml 3, ai.onnx 17"
    assert rows["inputs"].left == "input tensor(float) (batch, 15)"
    assert rows["features"].left.startswith("15, ")
    assert not rows["features"].differs
    assert rows["model sha256"].differs
    assert (rows["report.n_samples"].left, rows["report.n_samples"].right) == ("10000", "20000")


def test_decisions_are_counted_on_common_inputs(compared: Comparison) -> None:
    assert compared.decided
    assert sum(map(sum, compared.decided.confusion)) == compared.decided.rows == 4096
    assert compared.disagreement is not None
    assert 0 < compared.disagreement < 0.1
    assert 0 < compared.decided.largest_difference < 1


def test_the_same_comparison_counts_the_same(compared: Comparison, tmp_path: Path, zygote: Zygote) -> None:
    again = compare(verifier(tmp_path, zygote), GOOD, OTHER, max_ratio=3.0)
    assert again.decided == compared.decided
    assert again.rows == compared.rows


def test_it_can_be_printed_and_put_into_json(compared: Comparison) -> None:
    lines = list(compared.lines())
    assert all(len(line) < 80 for line in lines[: len(compared.rows)])
    assert any("decisions differ on" in line for line in lines)
    document = json.loads(json.dumps(compared.document()))
    assert document["decisions"]["disagreement"] == compared.disagreement
    assert compared.verdict is Verdict.PASS


def test_a_model_compared_with_itself_never_disagrees(tmp_path: Path, zygote: Zygote) -> None:
    found = compare(verifier(tmp_path, zygote), GOOD, GOOD, max_ratio=3.0)
    assert found.disagreement == 0
    assert not any(row.differs for row in found.rows)


def test_an_invalid_artifact_is_compared_by_what_is_known(tmp_path: Path, zygote: Zygote) -> None:
    directory = copy_artifact(tmp_path)
    (directory / "model.onnx").write_bytes(b"tampered")
    found = compare(verifier(tmp_path / "scratch", zygote), directory, GOOD, max_ratio=1.5)
    assert found.verdict is Verdict.FAIL
    assert found.decided is None
    assert found.disagreement is None
    assert found.why.startswith(directory.name)
    assert list(found.lines())[-1] == found.why
    assert results_differ(found).verdict is Verdict.NO_DATA


def test_unfit_models_are_named_when_they_cannot_decide(tmp_path: Path, zygote: Zygote) -> None:
    directory = artifact_of(linear(sound_weights(4), classes=4), tmp_path)
    found = compare(verifier(tmp_path / "scratch", zygote), directory, GOOD, max_ratio=1.5)
    assert "model.onnx gives regime_probs" in found.why


def test_a_latency_spike_is_traced_to_what_grew(compared: Comparison, tmp_path: Path, zygote: Zygote) -> None:
    assert {check.name: check.verdict for check in latency_spike(compared)} == {
        "size": Verdict.PASS,
        "parameters": Verdict.PASS,
        "nodes": Verdict.PASS,
        "latency": Verdict.PASS,
    }
    model = linear(sound_weights())
    model.graph.initializer.add(name="ballast", data_type=1, dims=[100_000], raw_data=bytes(400_000))
    large = artifact_of(model, tmp_path)
    found = compare(verifier(tmp_path / "scratch", zygote), large, GOOD, max_ratio=100.0)
    grown = {check.name: check for check in latency_spike(found)}
    assert grown["size"].verdict is Verdict.FAIL
    assert grown["parameters"].verdict is Verdict.FAIL
    assert "100,0" in grown["parameters"].why


def test_a_model_that_does_not_load_is_traced_to_its_artifact(
    compared: Comparison, tmp_path: Path, zygote: Zygote
) -> None:
    (gone,) = not_loading("artifacts/onnx/\x1bx", exists=False, verification=None)
    assert gone.verdict is Verdict.FAIL
    assert "␛" in gone.why
    assert [check.verdict for check in not_loading("a", exists=True, verification=compared.left)] == [Verdict.PASS] * 2
    broken = verifier(tmp_path / "scratch", zygote).verify(artifact_of(linear(sound_weights(), opset=999), tmp_path))
    named = not_loading("a", exists=True, verification=broken)
    assert [(check.name, check.verdict) for check in named] == [
        ("artifact_dir", Verdict.PASS),
        ("load", Verdict.FAIL),
    ]


def test_results_that_differ_are_counted(compared: Comparison) -> None:
    assert f"{compared.disagreement:.2%}" in results_differ(compared).why
