"""A registry as the deployed engine keeps it: works as it stands, and our changes keep its order, layout and words."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import pytest
from support.clones import OPERATOR, make_clones
from support.engine_loader import complaints
from support.fields import ROLLBACK, Field
from support.gatehouse import FRESH, LIVE, MODEL, OLD, POLICY, SOAKED, artifact_files, pointer_to

from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

BASE = "ml/registry"
"""The engine resolves a pointer's folder from the registry's own folder."""


def moved(artifact_id: str) -> dict[str, str | bytes]:
    return {f"{BASE}/{path}": raw for path, raw in artifact_files(artifact_id).items()}


def as_engine(artifact_id: str, promoted: str | None = None) -> dict[str, Any]:
    values = json.loads(pointer_to(artifact_id).model_dump_json(exclude_none=True))
    return values | ({"promoted_at_utc": promoted} if promoted else {}) | {"deployed_by": "argo ✓"}


def engine_event(artifact_id: str, day: int, come: str | None, to: str) -> dict[str, Any]:
    at = f"2026-10-{day:02}T10:00:00Z"
    told = {
        "ts_utc": at,
        "from_stage": come,
        "to_stage": to,
        "actor": OPERATOR,
        "source": "tool",
        "reason": "as planned",
    }
    return told | {"notes": "", "pointer": as_engine(artifact_id, at), "registry_git_sha": None}


def registry() -> bytes:
    """Newest first, no ``staging``, a model with a shadow pointer and no history, four spaces, no final newline."""
    model = {
        "shadow": as_engine(SOAKED, "2026-10-07T10:00:00Z"),
        "active": as_engine(LIVE, "2026-10-05T10:00:00Z"),
        "history": [
            engine_event(SOAKED, 7, None, "shadow"),
            engine_event(LIVE, 5, "shadow", "active"),
            engine_event(OLD, 2, "shadow", "active"),
        ],
    }
    golden = {"shadow": {"artifact_dir": "artifacts/onnx/" + OLD, "artifact_id": "golden_regime_v1"}, "history": []}
    whole = {"schema_version": "v1", "owner": "Büro", "models": {"golden": golden, MODEL: model}}
    return json.dumps(whole, indent=4, ensure_ascii=False).encode()


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Field:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    files: dict[str, str | bytes] = {REGISTRY_PATH: registry(), POLICY_PATH: POLICY + f'[artifacts]\nbase = "{BASE}"\n'}
    for name in (OLD, LIVE, SOAKED):
        files |= moved(name)
    return Field(make_clones(tmp_path, files), tmp_path, capfd)


def written(field: Field, commit: str) -> bytes:
    return field.operator.git("show", f"{commit}:{REGISTRY_PATH}").encode()


def removed(field: Field, commit: str) -> list[str]:
    """The lines of the old registry that are gone in a commit's."""
    old, new = (raw.decode().splitlines() for raw in (registry(), written(field, commit)))
    return [line[2:].strip() for line in difflib.ndiff(old, new) if line.startswith("- ")]


def model_in(field: Field, commit: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(field, commit))["models"][MODEL]
    return found


def test_it_is_shown_and_each_oddity_named(field: Field) -> None:
    _, found = field.document("status")
    assert found["models"][MODEL]["active"]["artifact_id"] == LIVE
    assert found["models"][MODEL]["staging"] is None
    assert found["models"]["golden"]["shadow"]["artifact_id"] == "golden_regime_v1"
    assert "is not in the commit" not in str(found["problems"])
    _, checked = field.document("check")
    verified = {each["artifact_id"]: each["verdict"] for each in checked["artifacts"]}
    assert verified[LIVE] == verified[SOAKED] == "PASS"
    assert checked["findings"], "a registry of this kind is odd in several ways"


def test_a_rollback_prepends_its_event_and_takes_no_other_line_away(field: Field) -> None:
    done = field.done(*ROLLBACK)
    model = model_in(field, done["commit"])
    assert model["active"]["artifact_id"] == OLD
    assert model["history"][0]["action"] == "rollback"
    assert model["history"][1:] == json.loads(registry())["models"][MODEL]["history"]
    raw = written(field, done["commit"])
    assert "Büro".encode() in raw
    assert [each for each in complaints(raw) if each.startswith(MODEL)] == []
    event = [line for line in removed(field, done["commit"]) if "2026-10" not in line and "regime_v" not in line]
    assert all(word in "".join(registry().decode().split()) for word in ("".join(line.split()) for line in event))
    code, closed = field.gate(done["branch"])
    assert (code, closed) == (0, {})
    assert field.done("land", done["branch"])["commit"] == field.clones.tip()


def test_a_staging_adds_the_missing_key_below_the_engines_own_base(field: Field) -> None:
    for path, content in moved(FRESH).items():
        field.operator.write(path, content)
    done = field.done("stage", f"{BASE}/artifacts/onnx/{FRESH}", "--model", MODEL, "--reason", "a new one")
    model = model_in(field, done["commit"])
    assert model["staging"]["artifact_dir"] == f"artifacts/onnx/{FRESH}"
    assert model["history"][0]["to_stage"] == "staging"
    assert field.operator.git("show", f"{done['commit']}:{BASE}/artifacts/onnx/{FRESH}/manifest.json")
    assert field.gate(done["branch"]) == (0, {})
    field.done("land", done["branch"])
    back = field.done("withdraw", MODEL, "--stage", "staging", "--reason", "not now")
    assert field.gate(back["branch"]) == (0, {})
    again = model_in(field, back["commit"])
    assert [each["to_stage"] for each in again["history"][:2]] == ["staging", "staging"]
    assert again["staging"] is None


def test_an_artifact_beside_the_engines_base_is_not_staged(field: Field) -> None:
    for path, content in artifact_files(FRESH).items():
        field.operator.write(path, content)
    said = field.refused("stage", f"artifacts/onnx/{FRESH}", "--model", MODEL, "--reason", "a new one")
    assert f"is not below {BASE}" in said
