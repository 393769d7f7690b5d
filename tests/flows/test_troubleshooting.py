"""``doctor MODEL``: the runbook's three troubleshooting questions, each with what was looked at and found."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clones import make_clones
from support.gatehouse import LIVE, MODEL, OLD, POLICY, SOAKED, artifact_files, life

from console.verbs import run
from ml.artifacts import runtime as runtime_module
from ml.registry.codec import Document, parse
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH


def told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    document: Document,
    *artifacts: str,
) -> tuple[int, str]:
    """What the doctor says about the model of a base with this registry and these artifacts."""
    files: dict[str, str | bytes] = {REGISTRY_PATH: document.raw, POLICY_PATH: POLICY}
    for name in artifacts:
        files |= artifact_files(name)
    clones = make_clones(tmp_path, files)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(clones.operator.path)
    code = run(["doctor", MODEL])
    return code, capsys.readouterr().out


@pytest.fixture
def lived() -> Document:
    """A model with an earlier active, an active and a soaking artifact."""
    return life(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5))


def test_each_question_gets_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lived: Document
) -> None:
    code, said = told(tmp_path, monkeypatch, capsys, lived, OLD, LIVE, SOAKED)
    assert code == 3, "no engine reports and no Prometheus tells, so it is not known"
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "[NO_DATA] active deployment no engine reports what it serves" in lines
    assert f"[PASS] artifact_dir artifacts/onnx/{LIVE} exists." in lines
    assert f"[PASS] verify {LIVE} verifies; it is not the artifact." in lines
    assert "[NO_DATA] live p99 No Prometheus is configured." in lines
    for grown in ("size", "parameters", "nodes"):
        assert any(line.startswith(f"[PASS] {grown} {LIVE} after {OLD}: ") for line in lines), said
    assert any(f"latency {LIVE} after {OLD}: p50 " in line for line in lines), said
    assert any(line.startswith("[PASS] decisions Two models: on the same inputs they decide diff") for line in lines)


def test_what_is_missing_is_named_for_each_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lived: Document
) -> None:
    code, said = told(tmp_path, monkeypatch, capsys, lived, LIVE)
    assert code == 1
    assert f"artifacts/onnx/{SOAKED} does not exist below the configured artifact base." in said
    assert "latency spike" in said
    assert f"artifacts/onnx/{OLD} is not in the base, so it cannot be compared." in said
    assert f"artifacts/onnx/{SOAKED} is not in the base, so it cannot be compared." in said


def test_a_model_that_was_never_promoted_has_no_such_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unused = {"staging": None, "shadow": None, "active": None, "history": []}
    document = parse(json.dumps({"schema_version": "v1", "models": {MODEL: unused}}).encode())
    code, said = told(tmp_path, monkeypatch, capsys, document)
    assert code == 3
    assert "Nothing is active or in shadow" in said
    assert "no earlier active artifact" in said
    assert "no two models that could differ" in said


def test_the_runtime_itself_is_asked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lived: Document
) -> None:
    told(tmp_path, monkeypatch, capsys, lived)
    run(["doctor"])
    assert "runtime        onnxruntime agrees with golden_regime_v1: 64 vectors agree" in capsys.readouterr().out
    monkeypatch.setattr(runtime_module, "GOLDEN_SHA256", "0" * 64)
    run(["doctor"])
    out = capsys.readouterr().out
    assert "[FAIL]    runtime        onnxruntime and golden_regime_v1 disagree" in out
    assert "until then nothing goes to shadow" in out
