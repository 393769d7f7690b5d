"""Models of every contract on real repositories: trained or built, verified, staged, judged by the server's gate."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import edit_json, external
from support.clones import make_clones
from support.contracts import model_of, plan_of
from support.gatehouse import FRESH, LIVE, MODEL, OLD, POLICY, SOAKED, artifact_files, life
from support.shell import Shell

from console.verbs import run
from ml.artifacts.proposal import toml
from ml.contract import FREE, Contract, Input, Kind, Output
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH
from ml.training.run import Order, train_artifact

CHECKS = '[checks]\nunit_tests = ["python3", "-c", "print(\'2 passed\')"]\n'
SPACING = "spacing_v2026_02_17_001"
CHURN = "churn_v2026_02_17_001"
FOREIGN = Contract(
    inputs=(Input("customer", "FP64", (FREE, 8)),),
    outputs=(
        Output(name="chances", datatype="FP32", shape=(FREE, 2), kind=Kind.PROBABILITIES, classes=("stays", "leaves")),
    ),
    features=tuple(f"column_{at}" for at in range(8)),
    ranges=tuple((f"column_{at}", -50.0, 50.0) for at in range(8)),
)


def stage_artifact(shell: Shell, artifact: str, model: str) -> tuple[int, dict[str, Any]]:
    """Stage an artifact of the working tree."""
    return shell.document("stage", f"artifacts/onnx/{artifact}", "--model", model, "--reason", "new")


def judged(shell: Shell, branch: str) -> tuple[int, dict[str, str]]:
    """The server's gate over a branch: exit code, and the sentence of each line."""
    code, found = shell.document("gate", "--base", "origin/main", "--head", branch)
    return code, {gate["name"]: gate["why"] for gate in found["gates"]}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """A clone with regime models, and rules that state a contract for the model ``churn``."""
    files: dict[str, str | bytes] = {
        REGISTRY_PATH: life(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5), staged=True).raw,
        POLICY_PATH: f"{POLICY}{CHECKS}\n{toml(FOREIGN, 'model.churn.contract')}",
    }
    for name in (OLD, LIVE, SOAKED, FRESH):
        files |= artifact_files(name)
    clones = make_clones(tmp_path, files)
    monkeypatch.chdir(clones.operator.path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Shell(clones, capfd)


def trained(shell: Shell) -> Path:
    """A spacing model, as the trainer's ``--model-type spacing`` makes it."""
    out = shell.path / "artifacts" / "onnx" / SPACING
    order = Order(out_dir=out, dataset_id="d", seed=1, n_samples=800, model_type="spacing")
    train_artifact(order, git_sha="a" * 40, now=datetime.now(UTC))
    return out


def foreign(shell: Shell, name: str = CHURN, *options: str) -> tuple[int, str, str]:
    """An artifact of the foreign model, as ``build`` makes it of a bare file."""
    (shell.path / "theirs.onnx").write_bytes(model_of(plan_of(FOREIGN)))
    return shell.run("build", "theirs.onnx", "--out", f"artifacts/onnx/{name}", "--dataset-id", "d", *options)


def test_a_spacing_model_goes_from_training_to_staging_on_the_server(shell: Shell) -> None:
    trained(shell)
    code, found = shell.document("verify", f"artifacts/onnx/{SPACING}")
    assert (code, found["verdict"]) == (0, "PASS")
    code, done = stage_artifact(shell, SPACING, "spacing_grid")
    assert code == 0, done
    code, lines = judged(shell, done["branch"])
    assert code == 0, lines
    assert shell.run("land", done["branch"])[0] == 0
    status = shell.document("status")[1]["models"]["spacing_grid"]
    assert status["staging"]["artifact_id"] == SPACING
    code, landed = shell.document("check")
    assert code == 0
    assert SPACING in {item["artifact_id"] for item in landed["artifacts"]}


def test_an_artifact_of_another_family_is_refused_at_staging_by_its_line(shell: Shell) -> None:
    trained(shell)
    before = shell.refs()
    for artifact, model, line in (
        (FRESH, "spacing_grid", "outputs.spacing_multiplier"),
        (SPACING, MODEL, "outputs.regime_probs"),
    ):
        code, _, err = shell.run("stage", f"artifacts/onnx/{artifact}", "--model", model, "--reason", "new")
        assert code == 1
        assert f"{line}: model.onnx gives" in err
    assert shell.refs() == before


def test_a_foreign_model_is_built_verified_and_staged_by_the_rules_alone(shell: Shell) -> None:
    code, out, err = foreign(shell)
    assert code == 0, err
    manifest = json.loads((shell.path / "artifacts" / "onnx" / CHURN / "manifest.json").read_text())
    assert manifest["feature_order"] == list(FOREIGN.features)
    assert "chances (probabilities)" in out
    code, done = stage_artifact(shell, CHURN, "churn")
    assert code == 0, done
    code, lines = judged(shell, done["branch"])
    assert code == 0, lines
    pointer = done["plan"]["target"]
    assert pointer["artifact_id"] == CHURN


def test_a_manifest_that_states_another_contract_than_the_rules_is_refused(shell: Shell) -> None:
    assert foreign(shell)[0] == 0
    manifest = shell.path / "artifacts" / "onnx" / CHURN / "manifest.json"
    stated = json.loads(manifest.read_text())["contract"]
    stated["outputs"][0]["classes"] = ["leaves", "stays"]
    edit_json(manifest, contract=stated)
    code, found = shell.document("verify", f"artifacts/onnx/{CHURN}")
    (check,) = [one for one in found["checks"] if one["name"] == "contract"]
    assert (code, check["verdict"], check["code"]) == (1, "FAIL", "contract-differs")
    assert check["facts"]["line"] == "outputs.chances.classes"
    code, _, err = shell.run("stage", f"artifacts/onnx/{CHURN}", "--model", "churn", "--reason", "new")
    assert code == 1
    assert "outputs.chances.classes" in err


def test_the_second_artifact_of_a_model_without_rules_keeps_the_first_ones_contract(shell: Shell) -> None:
    first, second = "sizes_v2026_02_17_001", "sizes_v2026_02_18_001"
    code, _, err = foreign(shell, first)
    assert code == 1, "nothing says what sizes_… is, so the runbook's contract holds"
    assert "inputs.*.datatype: model.onnx takes customer" in err
    assert "`mlconsole contract infer` proposes its contract" in err
    for name, stated in ((first, FOREIGN), (second, _renamed(FOREIGN))):
        assert foreign(shell, name, "--model", "churn")[0] == 0
        edit_json(shell.path / "artifacts" / "onnx" / name / "manifest.json", contract=stated.document())
    code, done = stage_artifact(shell, first, "sizes")
    assert code == 0, done
    assert shell.run("land", done["branch"])[0] == 0
    code, _, err = shell.run("stage", f"artifacts/onnx/{second}", "--model", "sizes", "--reason", "new")
    assert code == 1
    assert "outputs.chances.classes" in err


def test_a_model_whose_artifacts_state_no_contract_keeps_the_runbooks(shell: Shell) -> None:
    """No manifest, and no name of an artifact, makes a model of another kind of it; only the policy does."""
    registry = (shell.path / REGISTRY_PATH).read_text().replace(f'"{MODEL}"', '"sizes"')
    shell.clones.operator.commit("Another name", {REGISTRY_PATH: registry})
    shell.clones.operator.git("push", "-q")
    artifact = "sizes_v2026_02_17_001"
    assert foreign(shell, artifact, "--model", "churn")[0] == 0
    edit_json(shell.path / "artifacts" / "onnx" / artifact / "manifest.json", contract=FOREIGN.document())
    before = shell.refs()
    code, _, err = shell.run("stage", f"artifacts/onnx/{artifact}", "--model", "sizes", "--reason", "new")
    assert code == 1
    assert "feature_order is not the 15 features" in err
    assert shell.refs() == before


def _renamed(contract: Contract) -> Contract:
    (output,) = contract.outputs
    other = Output(
        name=output.name, datatype=output.datatype, shape=output.shape, kind=output.kind, classes=("low", "high")
    )
    return Contract(inputs=contract.inputs, outputs=(other,), features=contract.features, ranges=contract.ranges)


def test_lines_left_open_are_vacuous_by_name_until_the_rules_accept_them(shell: Shell) -> None:
    assert foreign(shell)[0] == 0
    policy = shell.path / POLICY_PATH
    bare = Contract(inputs=FOREIGN.inputs, outputs=FOREIGN.outputs, features=FOREIGN.features)
    accepted = '\n[model.churn.contract.left_open]\nranges = "Scaled features; the trainer keeps none."\n'
    for text, verdict, code in ((toml(bare, "model.churn.contract"), "VACUOUS", 1), (accepted, "WAIVED", 0)):
        known = policy.read_text() if verdict == "WAIVED" else f"{POLICY}{CHECKS}\n"
        shell.clones.operator.commit("Rules", {POLICY_PATH: known + text})
        shell.clones.operator.git("push", "-q")
        ended, found = shell.document("verify", f"artifacts/onnx/{CHURN}")
        (check,) = [one for one in found["checks"] if one["name"] == "contract"]
        assert (ended, check["verdict"], check["facts"]["lines"]) == (code, verdict, "ranges")
    code, shown = shell.document("contract", "show", "churn")
    assert (code, shown["verdict"], shown["open"]) == (0, "WAIVED", ["ranges"])


def test_a_contract_is_shown_where_it_comes_from(shell: Shell) -> None:
    code, found = shell.document("contract", "show", "churn")
    assert (code, found["source"], found["contract"]) == (0, "model", FOREIGN.document())
    code, found = shell.document("contract", "show", "spacing_grid")
    assert (code, found["source"], found["contract"]["outputs"][0]["name"]) == (0, "family", "spacing_multiplier")
    code, found = shell.document("contract", "show", "unheard_of")
    assert (code, found["verdict"], found["contract"]) == (3, "NO_DATA", None)


def test_a_contract_is_inferred_without_a_repository_and_names_what_it_cannot_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    monkeypatch.chdir(bare)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (bare / "theirs.onnx").write_bytes(model_of(plan_of(FOREIGN)))
    code = run(["contract", "infer", "theirs.onnx", "--model", "churn", "--json"])
    found = json.loads(capfd.readouterr().out)
    assert (code, found["verdict"]) == (0, "VACUOUS")
    assert found["open"] == ["features", "ranges", "outputs.chances.classes"]
    assert found["contract"]["outputs"][0]["kind"] == "probabilities"
    assert found["guesses"] == [
        "outputs.chances.kind: its answers to drawn questions were not negative and summed to 1"
    ]
    code = run(["contract", "infer", "theirs.onnx", "--model", "churn"])
    text = capfd.readouterr().out
    assert tomllib.loads(text)["model"]["churn"]["contract"] == found["contract"]


def test_external_weights_and_files_that_are_no_model_are_inferred_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model, weights = external("weights.bin")
    (tmp_path / "split.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "weights.bin").write_bytes(weights)
    (tmp_path / "text.onnx").write_text("no model")
    assert run(["contract", "infer", "split.onnx"]) == 0
    assert "regime_probs" in capfd.readouterr().out
    assert run(["contract", "infer", "text.onnx"]) == 1
    assert "no ONNX model" in capfd.readouterr().err
