"""What the deployed engine refuses, rule by rule; the console's own writer is held against the same rules."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from ml.errors import Invalid
from ml.serving.model import Deployment, deployment
from ml.stage import Stage

POINTER = {
    "artifact_id": "regime_v2026_02_15_001",
    "artifact_dir": "artifacts/onnx/regime_v2026_02_15_001",
    "model_sha256": "5" * 64,
    "git_sha": "a" * 40,
    "dataset_id": "production_data_v3",
    "created_at_utc": "2026-02-15T08:00:00Z",
    "promoted_at_utc": "2026-02-15T10:00:00Z",
}
EVENT = {"ts_utc": "2026-02-15T10:00:00Z", "from_stage": "shadow", "to_stage": "active", "pointer": POINTER}
DOCUMENT: dict[str, Any] = {
    "schema_version": "v1",
    "models": {"regime_classifier": {"staging": None, "shadow": None, "active": POINTER, "history": [EVENT]}},
}

Change = Callable[[dict[str, Any]], object]


def read(change: Change = lambda _document: None, stage: Stage = Stage.ACTIVE) -> Deployment | None:
    document = copy.deepcopy(DOCUMENT)
    change(document["models"]["regime_classifier"])
    return deployment(json.dumps(document).encode(), "regime_classifier", stage)


def test_the_pointer_of_the_stage_is_what_is_deployed() -> None:
    found = read()
    assert found
    assert (found.artifact_id, str(found.artifact_dir), found.model_sha256) == (
        "regime_v2026_02_15_001",
        "artifacts/onnx/regime_v2026_02_15_001",
        "5" * 64,
    )


def test_an_empty_stage_and_an_unknown_model_deploy_nothing() -> None:
    assert read(stage=Stage.SHADOW) is None
    assert deployment(json.dumps(DOCUMENT).encode(), "spacing", Stage.ACTIVE) is None


def test_files_in_use_with_bare_pointers_and_unknown_keys_are_read() -> None:
    bare = {"artifact_id": "golden_regime_v1", "artifact_dir": "fixtures/golden", "surprise": [1]}
    found = read(lambda model: (model.update(shadow=bare), model.pop("staging")), Stage.SHADOW)
    assert found
    assert (found.artifact_id, found.model_sha256) == ("golden_regime_v1", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: model["history"][0].pop("ts_utc"), r"history\[0\] lacks ts_utc"),
        (lambda model: model["history"][0].pop("to_stage"), r"history\[0\] lacks to_stage"),
        (lambda model: model["history"][0].pop("pointer"), r"history\[0\] lacks pointer"),
        (lambda model: model["history"][0].update(to_stage="retired"), "unknown to_stage"),
        (lambda model: model["history"][0].update(ts_utc="2026-02-15T10:00:00+00:00"), "ts_utc does not end in Z"),
        (lambda model: model.update(history=[EVENT] * 51), "at most 50 events"),
        (lambda model: model.update(history={}), "at most 50 events"),
        (lambda model: model.update(history=["event"]), r"history\[0\] is no object"),
        (lambda model: model["active"].update(git_sha="A" * 40), "git_sha is neither null nor 40"),
        (lambda model: model["active"].update(git_sha="a" * 39), "git_sha is neither null nor 40"),
        (lambda model: model["active"].update(artifact_dir="/etc"), "artifact_dir is absolute or climbs out"),
        (lambda model: model["active"].update(artifact_dir="a/../../b"), "artifact_dir is absolute or climbs out"),
        (lambda model: model["active"].pop("artifact_dir"), "lacks artifact_dir"),
        (lambda model: model["active"].update(promoted_at_utc="2026-02-15"), "promoted_at_utc does not end in Z"),
        (lambda model: model["active"].pop("promoted_at_utc"), "active lacks promoted_at_utc"),
        (lambda model: model["active"].update(git_sha=None), "active lacks git_sha"),
        (lambda model: model["active"].pop("dataset_id"), "active lacks dataset_id"),
        (lambda model: model.update(active="regime"), "active is no object"),
    ],
)
def test_each_rule_of_the_engine_refuses_the_whole_file(change: Change, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read(change)


def test_exactly_fifty_events_and_a_null_commit_in_history_are_accepted() -> None:
    event = EVENT | {"pointer": POINTER | {"git_sha": None}}
    assert read(lambda model: model.update(history=[event] * 50))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"schema_version": "v1"}',
        b'{"schema_version": "v1", "models": []}',
        b'{"schema_version": "v1", "models": {"m": 3}}',
        b'{"schema_version": "v2", "models": {}}',
        b'{"schema_version": "v1", "models": {"Regime-1": {}}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_registry_is_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(Invalid, match="The engine refuses the registry"):
        deployment(raw, "regime_classifier", Stage.ACTIVE)
