from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support.artifacts import (
    GOOD,
    OTHER,
    ROOT,
    artifact_of,
    copy_artifact,
    edit_json,
    external,
    linear,
    model_of,
    repin,
    sha256,
    sound_weights,
    verifier,
)
from support.zygote import Zygote

from ml.artifacts.verification import CHECKS, Verification
from ml.contract import FEATURES
from ml.ports import Progress
from ml.verdict import Verdict


def verdicts(found: Verification) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in found.checks}


@pytest.mark.parametrize("directory", sorted((ROOT / "artifacts" / "onnx").glob("*_v*")), ids=lambda path: path.name)
def test_every_committed_artifact_passes_every_check(directory: Path, tmp_path: Path, zygote: Zygote) -> None:
    found = verifier(tmp_path, zygote).verify(directory)
    assert verdicts(found) == dict.fromkeys(CHECKS, Verdict.PASS)
    assert found.artifact_id == directory.name
    assert found.model_sha256 == sha256(directory / "model.onnx")
    assert {(file.name, file.sha256, file.size) for file in found.files} == {
        (path.name, sha256(path), path.stat().st_size) for path in directory.iterdir()
    }


def test_progress_names_bytes_and_steps(tmp_path: Path) -> None:
    seen: list[Progress] = []
    verifier(tmp_path).verify(GOOD, report=seen.append)
    assert {one.step for one in seen} == {*CHECKS, "copy"}
    assert {one.step for one in seen if one.note == "PASS"} == set(CHECKS)
    begun = [one.step for one in seen if one.note.startswith("in ")]
    assert begun == ["load", "shape", "finite", "batch", "variety", "golden", "determinism"]
    sandboxed = [(one.step, one.note) for one in seen]
    assert sandboxed.index(("load", "PASS")) < sandboxed.index(("shape", "in the sandbox"))
    copied = [one for one in seen if one.step == "copy"][-1]
    assert copied.done == copied.total > 7_000


def test_a_v1_manifest_without_report_and_golden_vectors_is_valid(tmp_path: Path, zygote: Zygote) -> None:
    directory = copy_artifact(tmp_path)
    for name in ("train_report.json", "golden.json"):
        (directory / name).unlink()
    manifest = {
        "schema_version": "v1",
        "model_file": "model.onnx",
        "sha256": {"model.onnx": sha256(directory / "model.onnx")},
        "created_at": "2026-02-15",
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    found = verifier(tmp_path / "scratch", zygote).verify(directory)
    assert found.valid
    assert found.check("train_report").verdict is Verdict.NO_DATA
    assert found.check("golden").verdict is Verdict.NO_DATA


def test_an_unlisted_train_report_is_fine_and_pinned_by_its_digest(tmp_path: Path, zygote: Zygote) -> None:
    directory = copy_artifact(tmp_path)
    listed = json.loads((directory / "manifest.json").read_text())["sha256"]
    edit_json(directory / "manifest.json", sha256={n: d for n, d in listed.items() if n != "train_report.json"})
    found = verifier(tmp_path / "scratch", zygote).verify(directory)
    assert verdicts(found)["train_report"] is Verdict.PASS
    assert found.valid
    assert sha256(directory / "train_report.json") in {file.sha256 for file in found.files}


def test_a_report_about_another_model_fails(tmp_path: Path, zygote: Zygote) -> None:
    directory = copy_artifact(tmp_path)
    edit_json(directory / "train_report.json", model_sha256=sha256(OTHER / "model.onnx"))
    listed = json.loads((directory / "manifest.json").read_text())["sha256"]
    listed["train_report.json"] = sha256(directory / "train_report.json")
    edit_json(directory / "manifest.json", sha256=listed)
    found = verifier(tmp_path / "scratch", zygote).verify(directory)
    assert found.check("train_report").verdict is Verdict.FAIL
    assert not found.valid


def test_another_artifact_under_the_registrys_name_fails(tmp_path: Path, zygote: Zygote) -> None:
    pinned = sha256(GOOD / "model.onnx")
    assert verifier(tmp_path, zygote).verify(GOOD, expect_sha256=pinned).valid
    found = verifier(tmp_path, zygote).verify(OTHER, expect_sha256=pinned)
    assert found.check("digests").verdict is Verdict.FAIL
    assert pinned in found.check("digests").why


@pytest.mark.parametrize("order", [list(reversed(FEATURES)), list(FEATURES[:14]), [*FEATURES, "extra"]])
def test_another_feature_order_fails(order: list[str], tmp_path: Path, zygote: Zygote) -> None:
    directory = copy_artifact(tmp_path)
    edit_json(directory / "manifest.json", feature_order=order)
    found = verifier(tmp_path / "scratch", zygote).verify(directory)
    assert found.check("manifest").verdict is Verdict.FAIL
    assert "feature_order" in found.check("manifest").why


def test_flipped_weights_pass_the_load_and_fail_the_golden_vectors(tmp_path: Path, zygote: Zygote) -> None:
    directory = copy_artifact(tmp_path)
    model = bytearray((directory / "model.onnx").read_bytes())
    loaded = onnx.load_from_string(bytes(model))
    classifier = next(node for node in loaded.graph.node if node.op_type == "LinearClassifier")
    weight = max(next(one for one in classifier.attribute if one.name == "coefficients").floats, key=abs)
    at = model.index(np.float32(weight).tobytes())
    model[at + 3] ^= 0x80  # its sign
    (directory / "model.onnx").write_bytes(model)
    repin(directory)
    found = verifier(tmp_path / "scratch", zygote).verify(directory)
    assert found.check("load").verdict is Verdict.PASS
    assert found.check("finite").verdict is Verdict.PASS
    assert found.check("golden").verdict is Verdict.FAIL
    assert "golden.json: " in found.check("golden").why


def test_listed_external_data_is_loaded(tmp_path: Path, zygote: Zygote) -> None:
    model, weights = external("weights.bin")
    found = verifier(tmp_path / "scratch", zygote).verify(artifact_of(model, tmp_path, {"weights.bin": weights}))
    assert found.valid
    assert found.graph
    assert found.graph.external == ("weights.bin",)


def test_the_name_of_the_model_file_is_the_manifests(tmp_path: Path, zygote: Zygote) -> None:
    directory = copy_artifact(tmp_path)
    (directory / "model.onnx").rename(directory / "regime.onnx")
    digests = json.loads((directory / "manifest.json").read_text())["sha256"]
    digests["regime.onnx"] = digests.pop("model.onnx")
    edit_json(directory / "manifest.json", sha256=digests, model_file="regime.onnx")
    assert verifier(tmp_path / "scratch", zygote).verify(directory).valid


def test_an_input_of_any_width_is_not_the_feature_orders(tmp_path: Path, zygote: Zygote) -> None:
    found = verifier(tmp_path / "scratch", zygote).verify(artifact_of(linear(sound_weights(), width=None), tmp_path))
    assert found.check("shape").verdict is Verdict.FAIL


def test_a_model_without_the_output_that_the_engine_reads_fails(tmp_path: Path, zygote: Zygote) -> None:
    model = linear(sound_weights())
    model.graph.node[-1].output[0] = model.graph.output[0].name = "probabilities"
    found = verifier(tmp_path / "scratch", zygote).verify(artifact_of(model, tmp_path))
    assert "the engine reads regime_probs" in found.check("shape").why


def test_outputs_that_do_not_sum_to_one_fail(tmp_path: Path, zygote: Zygote) -> None:
    model = model_of(
        [helper.make_node("MatMul", ["input", "weights"], ["regime_probs"])],
        {"weights": np.abs(sound_weights())},
    )
    found = verifier(tmp_path / "scratch", zygote).verify(artifact_of(model, tmp_path))
    assert found.check("finite").verdict is Verdict.FAIL
    assert "no probabilities" in found.check("finite").why


def test_a_directory_that_is_not_there_is_a_verdict(tmp_path: Path, zygote: Zygote) -> None:
    found = verifier(tmp_path, zygote).verify(tmp_path / "no\x1bwhere")
    assert found.verdict is Verdict.FAIL
    assert "␛" in found.check("layout").why
    assert found.artifact_id == "no␛where"


def test_the_document_is_json(tmp_path: Path, zygote: Zygote) -> None:
    document = json.loads(json.dumps(verifier(tmp_path, zygote).verify(GOOD).document()))
    assert document["artifact_id"] == GOOD.name
    assert document["verdict"] == "PASS"
    assert [check["name"] for check in document["checks"]] == list(CHECKS)
