"""A rollback never stops for paperwork: the pointer is found wherever the repository still has it, and lands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import GOOD, OTHER
from support.clones import Clones, make_clones
from support.gatehouse import MODEL, POLICY

from console.verbs import run
from ml.adapters.git import open_repository
from ml.promotion.origins import Search
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH, archive_path

OLD, NOW = GOOD.name, OTHER.name
HOME = "artifacts/onnx"
GIT_SHA = "6" * 40


def runbook_event(day: int, artifact: str, from_stage: str | None = "shadow") -> dict[str, Any]:
    """In the runbook's own words: no pointer."""
    return {
        "timestamp_utc": f"2026-11-{day:02}T10:00:00Z",
        "action": "promote",
        "from_stage": from_stage,
        "to_stage": "active",
        "artifact_id": artifact,
        "by": "operator@example.com",
        "reason": "validated",
    }


def full(source: Path, **more: object) -> dict[str, Any]:
    return {
        "artifact_id": source.name,
        "artifact_dir": f"{HOME}/{source.name}",
        "model_sha256": hashlib.sha256((source / "model.onnx").read_bytes()).hexdigest(),
        "git_sha": GIT_SHA,
        "dataset_id": "production_data_v4",
        "created_at_utc": "2026-10-01T00:00:00Z",
        "promoted_at_utc": "2026-11-01T10:00:00Z",
        **more,
    }


def registry(active: Mapping[str, Any], *events: Mapping[str, Any]) -> str:
    model = {"staging": None, "shadow": None, "active": active, "history": list(events)}
    return json.dumps({"schema_version": "v1", "models": {MODEL: model}}, indent=2) + "\n"


def files(source: Path, *, documents: str = "full") -> dict[str, str | bytes]:
    """An artifact's files; ``documents``: its manifest and report as ours, ``v1`` without facts, ``report`` only."""
    found: dict[str, str | bytes] = {
        f"{HOME}/{source.name}/{path.name}": path.read_bytes() for path in source.iterdir()
    }
    if documents == "full":
        return found
    digest = full(source)["model_sha256"]
    report = json.dumps({"model_sha256": digest, "dataset_id": "reported_data", "git_sha": "7" * 40})
    manifest = {"schema_version": "v1", "model_file": "model.onnx", "created_at": "2026-10-01"}
    listed = {"model.onnx": digest}
    return {
        f"{HOME}/{source.name}/model.onnx": (source / "model.onnx").read_bytes(),
        f"{HOME}/{source.name}/manifest.json": json.dumps({**manifest, "sha256": listed}),
        **({f"{HOME}/{source.name}/train_report.json": report} if documents == "report" else {}),
    }


@dataclass
class Desk:
    clones: Clones
    capfd: pytest.CaptureFixture[str]

    def document(self, *argv: str) -> tuple[int, dict[str, Any]]:
        self.capfd.readouterr()
        code = run([*argv, "--json"])
        return code, json.loads(self.capfd.readouterr().out)

    def rolled_back(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Roll back and land; the change's document, and the pointer that is active afterwards."""
        code, done = self.document("rollback", MODEL, "--reason", "it breaches")
        assert code == 0, done
        assert done["pushed"]
        code, landed = self.document("land", done["branch"])
        assert code == 0, landed
        raw = self.clones.remote.git("show", f"main:{REGISTRY_PATH}")
        active: dict[str, Any] = json.loads(raw)["models"][MODEL]["active"]
        assert active["artifact_id"] == OLD
        return done, active


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Desk:
    clones = make_clones(tmp_path, {POLICY_PATH: POLICY})
    monkeypatch.chdir(clones.operator.path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Desk(clones, capfd)


def commit(desk: Desk, message: str, content: Mapping[str, str | bytes]) -> str:
    sha = desk.clones.operator.commit(message, dict(content))
    desk.clones.operator.git("push", "-q", "origin", "main")
    return sha


def origins(done: Mapping[str, Any]) -> dict[str, str]:
    return {each["field"]: each["source"] for each in done["plan"]["pointer_origins"]}


EVENTS = (runbook_event(1, OLD), runbook_event(8, NOW))


def test_an_earlier_commits_registry_knows_it(desk: Desk) -> None:
    known = commit(desk, "first", files(GOOD, documents="v1") | {REGISTRY_PATH: registry(full(GOOD), EVENTS[0])})
    commit(desk, "second", files(OTHER) | {REGISTRY_PATH: registry(full(OTHER), *EVENTS)})
    done, active = desk.rolled_back()
    assert (active["git_sha"], active["dataset_id"]) == (GIT_SHA, "production_data_v4")
    assert origins(done)["git_sha"] == origins(done)["dataset_id"] == "registry"
    assert {each["commit"] for each in done["plan"]["pointer_origins"]} == {known}
    assert f"the registry of commit {known[:12]}, in which it was active" in done["plan"]["body"]


def test_an_earlier_registry_knows_the_folder_too(desk: Desk) -> None:
    moved = {name.replace(HOME, "models"): content for name, content in files(GOOD, documents="v1").items()}
    pointer = full(GOOD, artifact_dir=f"models/{OLD}")
    commit(desk, "first", moved | {REGISTRY_PATH: registry(pointer, EVENTS[0])})
    commit(desk, "second", files(OTHER) | {REGISTRY_PATH: registry(full(OTHER), *EVENTS)})
    _, active = desk.rolled_back()
    assert active["artifact_dir"] == f"models/{OLD}"


def test_the_manifest_knows_it(desk: Desk) -> None:
    commit(desk, "first", files(GOOD) | files(OTHER) | {REGISTRY_PATH: registry(full(OTHER), *EVENTS)})
    done, active = desk.rolled_back()
    manifest = json.loads((GOOD / "manifest.json").read_text())
    assert active["dataset_id"] == manifest["dataset_id"]
    assert origins(done)["dataset_id"] == "manifest"


def test_the_train_report_knows_it(desk: Desk) -> None:
    content = files(GOOD, documents="report") | files(OTHER)
    commit(desk, "first", content | {REGISTRY_PATH: registry(full(OTHER), *EVENTS)})
    done, active = desk.rolled_back()
    assert (active["git_sha"], active["dataset_id"]) == ("7" * 40, "reported_data")
    assert origins(done)["git_sha"] == "train_report"


def test_the_commit_that_added_it_stands_in_and_what_nobody_knows_is_said(desk: Desk) -> None:
    added = commit(desk, "the artifact", files(GOOD, documents="v1"))
    commit(desk, "later", files(OTHER) | {REGISTRY_PATH: registry(full(OTHER), *EVENTS)})
    done, active = desk.rolled_back()
    assert (active["git_sha"], active["dataset_id"]) == (added, "unknown")
    assert origins(done) == {
        "feature_order_hash": "manifest",
        "model_sha256": "manifest",
        "git_sha": "commit",
        "created_at_utc": "commit",
        "dataset_id": "nowhere",
    }
    assert "written as unknown" in done["plan"]["body"]


def test_the_archive_knows_it(desk: Desk) -> None:
    archived = {**runbook_event(1, OLD), "pointer": full(GOOD)}
    content = files(GOOD, documents="v1") | files(OTHER)
    content |= {archive_path(MODEL): json.dumps(archived) + "\n", REGISTRY_PATH: registry(full(OTHER), EVENTS[1])}
    commit(desk, "first", content)
    done, active = desk.rolled_back()
    assert active["git_sha"] == GIT_SHA
    assert origins(done) == {}
    assert "## The pointer" not in done["plan"]["body"]


def test_a_stagings_pointer_is_never_asked(desk: Desk) -> None:
    """Anybody may stage: an earlier registry that had it in staging or shadow proves nothing."""
    commit(desk, "the artifact", files(GOOD, documents="v1"))
    staged = json.loads(registry(full(OTHER), *EVENTS))
    staged["models"][MODEL]["staging"] = full(GOOD, dataset_id="a stranger's word")
    commit(desk, "staged", files(OTHER) | {REGISTRY_PATH: json.dumps(staged)})
    commit(desk, "withdrawn", {REGISTRY_PATH: registry(full(OTHER), *EVENTS)})
    _, active = desk.rolled_back()
    assert active["dataset_id"] == "unknown"


def test_tampered_bytes_refuse_it_although_the_manifest_agrees_with_them(desk: Desk) -> None:
    commit(desk, "first", files(GOOD) | files(OTHER) | {REGISTRY_PATH: registry(full(GOOD), EVENTS[0])})
    foreign = {name.replace(NOW, OLD): content for name, content in files(OTHER).items()}
    commit(desk, "second", foreign | {REGISTRY_PATH: registry(full(OTHER), *EVENTS)})
    code, done = desk.document("rollback", MODEL, "--reason", "it breaches")
    assert code == 1
    (candidate,) = done["candidates"]
    assert candidate["verdict"] == "FAIL"
    assert "the registry names" in candidate["why"]


def test_missing_bytes_refuse_it(desk: Desk) -> None:
    commit(desk, "first", files(OTHER) | {REGISTRY_PATH: registry(full(OTHER), *EVENTS)})
    code, done = desk.document("rollback", MODEL, "--reason", "it breaches")
    assert code == 1
    assert done["candidates"][0]["verdict"] != "PASS"


def test_a_report_that_names_another_model_is_told_and_refuses_nothing(desk: Desk) -> None:
    content = files(GOOD, documents="report") | files(OTHER)
    report = json.dumps({"model_sha256": "0" * 64, "dataset_id": "reported_data"})
    content |= {f"{HOME}/{OLD}/train_report.json": report, REGISTRY_PATH: registry(full(OTHER), *EVENTS)}
    commit(desk, "first", content)
    desk.rolled_back()


def test_a_judge_proves_the_same_pointer_and_no_other_digest(desk: Desk) -> None:
    """The gate searches anew, in what the base holds."""
    commit(desk, "first", files(GOOD) | files(OTHER) | {REGISTRY_PATH: registry(full(GOOD), EVENTS[0])})
    foreign = {name.replace(NOW, OLD): content for name, content in files(OTHER).items()}
    base = commit(desk, "second", foreign | {REGISTRY_PATH: registry(full(OTHER), *EVENTS)})
    search = Search(open_repository(desk.clones.operator.path), base, REGISTRY_PATH, ".")
    wanted = {key: value for key, value in full(GOOD).items() if key not in ("promoted_at_utc", "artifact_id")}
    folder = f"{HOME}/{OLD}"
    assert search.proven(MODEL, OLD, folder, wanted) == wanted
    strange = wanted | {"model_sha256": full(OTHER)["model_sha256"], "dataset_id": "a stranger's word"}
    assert search.proven(MODEL, OLD, folder, strange).keys() == wanted.keys() - {"model_sha256", "dataset_id"}
    unknown = {"dataset_id": "unknown", "git_sha": "0" * 40}
    assert search.proven(MODEL, OLD, folder, unknown) == unknown
