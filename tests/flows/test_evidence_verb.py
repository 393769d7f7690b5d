"""`mlconsole evidence verify FILE`: anybody, anywhere, months later, with nothing but the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fixed_metrics import NOW, POLICY, SUBJECT, FixedMetrics
from support.soaked import target_of

from console.verbs import run
from ml.promotion.evidence import build
from ml.slo.soak import judge_soak


@pytest.fixture
def capsule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Evidence of a soak that passed, in a folder that is no repository."""
    soak = judge_soak(FixedMetrics(), POLICY, SUBJECT, NOW)
    target = target_of(SUBJECT, NOW)
    built = build(target=target, policy=POLICY, gates=soak.report.gates, now=NOW, tool_version="1", soak=soak)
    file = tmp_path / "evidence.json"
    file.write_bytes(built.document)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MLCONSOLE_REPO", raising=False)
    return file


def test_what_is_whole_is_judged_again_and_agrees(capsule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evidence", "verify", str(capsule)]) == 0
    told = capsys.readouterr().out
    for name in ("seal", "soak", "gate p99", "gate error_rate", "gate alerts"):
        assert f"{name} " in told, told


def test_a_flipped_byte_is_named_and_the_answer_is_no(capsule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = bytearray(capsule.read_bytes())
    at = raw.index(b'"verdict":"PASS"', raw.index(b'"gates":')) + len(b'"verdict":"')
    raw[at : at + 4] = b"FAIL"
    capsule.write_bytes(raw)
    assert run(["evidence", "verify", str(capsule), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "FAIL"
    assert {"part gates", "gate p99"} & {check["name"] for check in found["checks"] if check["verdict"] == "FAIL"}
