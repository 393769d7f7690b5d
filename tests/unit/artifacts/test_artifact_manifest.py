from __future__ import annotations

import json

import pytest

from ml.artifacts.manifest import parse_golden, parse_manifest, parse_train_report
from ml.contract import FEATURES
from ml.errors import Invalid

GOOD = {
    "schema_version": "v1",
    "model_file": "model.onnx",
    "sha256": {"model.onnx": "a" * 64},
    "created_at": "2026-02-15T08:00:00Z",
}


def raw(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


def test_v1_takes_the_usual_features() -> None:
    manifest = parse_manifest(raw())
    assert manifest.feature_order == FEATURES
    assert manifest.model_sha256 == "a" * 64


def test_v1_1_says_more_and_may_say_what_we_do_not_know() -> None:
    manifest = parse_manifest(
        raw(
            schema_version="v1.1",
            created_at_utc="2026-02-15T08:00:00Z",
            git_sha="b" * 40,
            dataset_id="production_data_v4",
            feature_order=["price_mid"],
            notes="ü",
            trainer="theirs",
        )
    )
    assert manifest.feature_order == ("price_mid",)
    assert manifest.git_sha == "b" * 40


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schema_version": "v2"}, "schema_version"),
        ({"sha256": {"model.onnx": "A" * 64}}, "sha256"),
        ({"sha256": {"model.onnx": "a" * 64 + "\n"}}, "sha256"),
        ({"sha256": {"../x": "a" * 64}}, "sha256"),
        ({"sha256": {"/x": "a" * 64}}, "sha256"),
        ({"sha256": {"a\\b": "a" * 64}}, "sha256"),
        ({"sha256": {"": "a" * 64}}, "sha256"),
        ({"sha256": {"x" * 256: "a" * 64}}, "sha256"),
        ({"sha256": []}, "sha256"),
        ({"model_file": ".."}, "model_file"),
        ({"model_file": 1}, "model_file"),
        ({"created_at": None}, "created_at"),
        ({"created_at_utc": "2026-02-15T08:00:00+00:00"}, "created_at_utc"),
        ({"git_sha": "main"}, "git_sha"),
        ({"feature_order": "price_mid"}, "feature_order"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid, match=rf"manifest\.json: {field}"):
        parse_manifest(raw(**changes))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b"9" * 5_000,
        b'{"a": NaN}',
        b'{"a": 1, "a": 1}',
        b" " * (1 << 20) + b"{}",
    ],
    ids=["empty", "torn", "list", "utf-8", "bom", "deep", "digits", "nan", "twice", "large"],
)
def test_what_is_no_document_is_refused_with_the_files_name(content: bytes) -> None:
    for parse, name in ((parse_manifest, "manifest"), (parse_train_report, "train_report"), (parse_golden, "golden")):
        with pytest.raises(Invalid, match=rf"^{name}\.json"):
            parse(content)


@pytest.mark.parametrize(
    "document",
    [
        {"inputs": [[0.0] * 15], "outputs": []},
        {"inputs": [[0.0] * 14], "outputs": [[0.0] * 3]},
        {"inputs": [[0.0] * 15], "outputs": [[0.0] * 4]},
        {"inputs": [[0.0] * 15] * 2, "outputs": [[0.0] * 3]},
        {"inputs": [["0"] * 15], "outputs": [[0.0] * 3]},
    ],
)
def test_golden_vectors_have_the_models_shape(document: dict[str, object]) -> None:
    with pytest.raises(Invalid, match=r"^golden\.json"):
        parse_golden(json.dumps(document).encode())


def test_golden_vectors_are_finite() -> None:
    inputs, outputs = ", ".join(["0"] * 15), "1e999, 0, 0"
    with pytest.raises(Invalid, match="finite"):
        parse_golden(f'{{"inputs": [[{inputs}]], "outputs": [[{outputs}]]}}'.encode())
