"""External weights are no part of the model file whose digest the registry names: the evidence pins them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.artifacts import artifact_of, external, repin, sound_weights
from support.clones import Clones, make_clones
from support.gatehouse import POLICY

from console.verbs import run
from ml.registry.codec import empty_document
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

NAME = "regime_v2026_03_01_001"
PLACE = f"artifacts/onnx/{NAME}"
CHECKS = '[checks]\nunit_tests = ["python3", "-c", "print(\'2 passed\')"]\n'


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    """A verb's exit code and its whole answer."""
    capsys.readouterr()
    code = run([*argv])
    said = capsys.readouterr()
    return code, said.out + said.err


def branch_of(said: str) -> str:
    """The branch that a verb with --json wrote."""
    return str(json.loads(said[said.index("{") : said.rindex("}") + 1])["branch"])


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Clones:
    """A base in which a model with external weights stands in staging, by our own verbs."""
    made = make_clones(tmp_path, {REGISTRY_PATH: empty_document().raw, POLICY_PATH: POLICY + CHECKS})
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(made.operator.path)
    model, weights = external("weights.bin")
    (tmp_path / "made").mkdir()
    directory = artifact_of(model, tmp_path / "made", {"weights.bin": weights})
    shutil.copytree(directory, made.operator.path / PLACE)
    code, said = answer(capsys, "stage", PLACE, "--model", "regime", "--reason", "new", "--json")
    assert code == 0, said
    code, said = answer(capsys, "land", branch_of(said))
    assert code == 0, said
    shutil.rmtree(made.operator.path / PLACE)
    return made


def test_weights_changed_after_they_were_staged_are_caught_even_with_a_manifest_that_fits(
    clones: Clones, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(capsys, "check")[0] == 0
    code, said = answer(capsys, "promote", "regime", "--to", "shadow", "--reason", "go", "--json")
    assert code == 0, said
    promotion = branch_of(said)
    intruder = clones.another("intruder")
    _, other = external("weights.bin", -sound_weights())
    base = intruder.git("rev-parse", "HEAD")
    (intruder.path / PLACE / "weights.bin").write_bytes(other)
    code, said = answer(capsys, "verify", str(intruder.path / PLACE))
    assert code == 1, said
    assert "weights.bin: the content is not what the manifest's digest says." in said

    repin(intruder.path / PLACE)
    assert answer(capsys, "verify", str(intruder.path / PLACE))[0] == 0, "by itself it is sound"
    spoiled = intruder.commit("Tune")
    intruder.git("push", "-q", "origin", "HEAD:main")  # by somebody whom no hook stopped
    clones.operator.git("fetch", "-q")

    code, said = answer(capsys, "gate", "--base", base, "--head", spoiled)
    assert code == 1, said
    assert f"{PLACE}/" in said
    assert "belongs to an artifact that the registry names" in said
    pinned = "manifest.json, weights.bin: not what the evidence pinned"
    intruder.git("cherry-pick", f"origin/{promotion}")
    intruder.git("push", "-q", "origin", "HEAD:refs/heads/anew")
    clones.operator.git("fetch", "-q")
    code, said = answer(capsys, "gate", "--base", spoiled, "--head", "origin/anew")
    assert code == 1, said
    assert pinned in said
    code, said = answer(capsys, "check")
    assert code == 1, said
    assert pinned in said
    code, said = answer(capsys, "promote", "regime", "--to", "shadow", "--reason", "go", "--again")
    assert code == 1, said
    assert pinned in said
