"""The command line on real repositories: documents, exit codes, and that bad input writes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.clones import OPERATOR, make_clones
from support.gatehouse import (
    FRESH,
    LIVE,
    MODEL,
    OLD,
    POLICY,
    SOAKED,
    artifact_files,
    life,
    much_later,
    pointer_to,
)
from support.shell import Shell
from support.trusting import configure

from console.config import load
from console.switch import AUDIT_NAME
from ml.registry.changes import rollback, stage, withdraw
from ml.registry.codec import empty_document
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH, archive_path
from ml.stage import Stage

CHECKS = '[checks]\nunit_tests = ["python3", "-c", "print(\'2 passed\')"]\n'


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """A clone whose model has an old and a live artifact, one that soaks and one in staging."""
    files: dict[str, str | bytes] = {
        REGISTRY_PATH: life(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5), staged=True).raw,
        POLICY_PATH: POLICY + CHECKS,
    }
    for name in (OLD, LIVE, SOAKED, FRESH):
        files |= artifact_files(name)
    clones = make_clones(tmp_path, files)
    monkeypatch.chdir(clones.operator.path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Shell(clones, capfd)


def test_status_shows_the_registry_without_a_prometheus_and_knows_that_it_knows_nothing(shell: Shell) -> None:
    code, found = shell.document("status")
    assert code == 3
    assert found["models"][MODEL]["active"]["artifact_id"] == LIVE
    assert {reading["verdict"] for reading in found["models"][MODEL]["readings"]} == {"ERROR"}
    assert found["registry"]["commit"] == shell.clones.tip()
    assert any("prometheus.url" in problem["what"] for problem in found["problems"])


def test_every_artifact_of_the_registry_is_checked(shell: Shell) -> None:
    code, found = shell.document("check")
    assert code == 0
    assert {item["artifact_id"] for item in found["artifacts"]} == {LIVE, SOAKED, FRESH}


def test_one_pushed_attribute_that_alters_every_model_is_no_green_check(shell: Shell) -> None:
    other = shell.clones.another("other")
    other.commit("Line ends", {".gitattributes": "*.onnx text eol=crlf\n"})
    other.git("push", "-q")
    shell.clones.operator.git("fetch", "-q")
    code, found = shell.document("check")
    assert (code, found["verdict"]) == (1, "FAIL")
    altered = [item for item in found["findings"] if item["code"] == "bytes-change-at-checkout"]
    assert len(altered) == 4
    _, board = shell.document("status")
    told = [problem for model in board["models"].values() for problem in model.get("problems", ())] + board["problems"]
    assert any("A checkout does not give" in problem["what"] for problem in told)


def test_a_staged_artifact_goes_to_shadow_and_lands(shell: Shell) -> None:
    before = shell.clones.operator.trace()
    code, done = shell.document("promote", MODEL, "--to", "shadow", "--reason", "Staging validation passed")
    assert code == 0
    assert done["pushed"]
    assert shell.clones.tip(done["branch"]) == done["commit"]
    assert shell.clones.operator.trace() == before
    code, landed = shell.document("land", done["branch"])
    assert code == 0
    assert shell.clones.tip() == landed["commit"] == done["commit"]
    assert shell.document("status")[1]["models"][MODEL]["shadow"]["artifact_id"] == FRESH
    assert shell.clones.operator.trace() == before


def test_a_dry_run_shows_the_plan_and_writes_nothing(shell: Shell) -> None:
    refs = shell.refs()
    code, found = shell.document("promote", MODEL, "--to", "shadow", "--reason", "to see", "--dry-run")
    assert code == 0
    assert FRESH in found["plan"]["diff"]
    assert found["commit"] is None
    assert shell.refs() == refs


def test_nothing_becomes_active_without_measurements(shell: Shell) -> None:
    refs = shell.refs()
    code, _, err = shell.run("promote", MODEL, "--to", "active", "--reason", "please", "--ack", "anything")
    assert code != 0
    assert "Prometheus" in err
    assert shell.refs() == refs


def test_what_took_effect_is_not_denied_because_it_could_not_be_recorded(shell: Shell) -> None:
    operator = shell.clones.operator
    (full := load().state / AUDIT_NAME).mkdir(parents=True)
    _, done = shell.document("withdraw", MODEL, "--stage", "staging", "--reason", "Found wanting", "--no-push")
    assert "audit line could not be written" in done["why"]
    operator.git("config", "user.email", "")
    assert shell.run("push", done["branch"])[0] == 5
    assert shell.clones.tip(done["branch"]) == ""
    operator.git("config", "user.email", OPERATOR)
    code, sent = shell.document("push", done["branch"])
    assert (code, sent["pushed"], "audit line could not be written" in sent["why"]) == (0, True, True)
    code, landed = shell.document("land", done["branch"])
    assert (code, shell.clones.tip()) == (0, done["commit"])
    assert "audit line could not be written" in landed["problem"]
    full.rmdir()


def test_several_models_go_back_at_once_and_one_that_cannot_keeps_none_of_the_others(shell: Shell) -> None:
    code, done = shell.document("rollback", MODEL, "no_such_model", "--reason", "EMERGENCY: the feed is wrong")
    assert code == 5
    rolled = done["rollbacks"][MODEL]
    assert rolled["pushed"]
    assert shell.clones.tip(rolled["branch"]) == rolled["commit"]
    assert "no model 'no_such_model'" in done["rollbacks"]["no_such_model"]["error"]["cause"]
    code, out, err = shell.run("rollback", MODEL, "no_such_model", "--to", OLD)
    assert (code, out) == (2, "")
    assert "one model" in err


def test_rollback_needs_neither_prometheus_nor_ack_and_lands(shell: Shell) -> None:
    code, done = shell.document("rollback", MODEL)
    assert (code, done["pushed"]) == (0, True)
    assert done["plan"]["target"]["artifact_id"] == OLD
    assert "EMERGENCY" in done["plan"]["message"]
    assert shell.run("land", done["branch"])[0] == 0
    code, found = shell.document("status")
    assert found["models"][MODEL]["active"]["artifact_id"] == OLD
    assert found["models"][MODEL]["condemned"] == [LIVE]


def test_what_a_rollback_left_long_ago_is_condemned_still(shell: Shell) -> None:
    """The rollback stands only in the archive; the checklist reads that too."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    by: dict[str, Any] = {"by": OPERATOR, "reason": "as planned"}
    doc, archive = much_later(rollback(life(at), MODEL, OLD, at=at, **by).document, at)
    doc = withdraw(doc, MODEL, Stage.SHADOW, at=at + timedelta(minutes=1), archive=archive, **by).document
    change = stage(doc, MODEL, pointer_to(LIVE), at=at + timedelta(minutes=2), archive=archive, **by)
    assert b'"rollback"' not in change.raw
    assert b'"rollback"' in (change.archive or b"")
    shell.clones.operator.commit("Later", {REGISTRY_PATH: change.raw, archive_path(MODEL): change.archive or b""})
    shell.clones.operator.git("push", "-q", "origin", "HEAD:main")
    assert shell.document("status")[1]["models"][MODEL]["condemned"] == [LIVE]
    code, found = shell.document("promote", MODEL, "--to", "shadow", "--reason", "again", "--dry-run")
    assert code == 1
    assert {gate["name"]: gate["verdict"] for gate in found["gates"]}["condemned"] == "FAIL"


def test_the_policy_says_where_artifacts_are_and_console_toml_does_not_overrule_it(shell: Shell) -> None:
    operator = shell.clones.operator
    fresh = {f"engine/{path}": content for path, content in artifact_files(FRESH).items()}
    empty = {REGISTRY_PATH: empty_document().raw, POLICY_PATH: POLICY + '[artifacts]\nbase = "engine"\n'}
    operator.commit("Deployed otherwise", empty)
    operator.git("push", "-q", "origin", "HEAD:main")
    for path, content in {**fresh, "console.toml": '[registry]\nartifact_base = "elsewhere"\n'}.items():
        operator.write(path, content)
    code, _, err = shell.run("stage", f"artifacts/onnx/{FRESH}", "--model", MODEL, "--reason", "beside it")
    assert (code, "is not below engine" in err) == (5, True)
    code, done = shell.document("stage", f"engine/artifacts/onnx/{FRESH}", "--model", MODEL, "--reason", "new")
    assert (code, shell.run("land", done["branch"])[0]) == (0, 0)
    landed = json.loads(operator.git("show", f"{shell.clones.tip()}:{REGISTRY_PATH}"))
    assert landed["models"][MODEL]["staging"]["artifact_dir"] == f"artifacts/onnx/{FRESH}"
    assert shell.document("check")[0] == 0


def test_a_gate_without_two_revisions_has_nothing_to_judge(shell: Shell) -> None:
    code, _, err = shell.run("gate", "--head", "HEAD")
    assert (code, "--base REV" in err) == (2, True)


def test_a_broken_policy_holds_up_promotions_and_no_rollback(shell: Shell) -> None:
    shell.clones.operator.commit("A slip", {POLICY_PATH: "[sock]\nhours = 1\n"})
    shell.clones.operator.git("push", "-q", "origin", "HEAD:main")
    code, _, err = shell.run("promote", MODEL, "--to", "shadow", "--reason", "new")
    assert (code, "the key sock is unknown" in err) == (2, True)
    code, done = shell.document("rollback", MODEL, "--reason", "latency")
    assert (code, done["pushed"]) == (0, True)
    assert shell.run("land", done["branch"])[0] == 0
    landed = json.loads(shell.clones.operator.git("show", f"{shell.clones.tip()}:{REGISTRY_PATH}"))
    assert landed["models"][MODEL]["active"]["artifact_id"] == OLD


def test_rolling_back_to_what_is_active_is_a_clear_no_op(shell: Shell) -> None:
    refs = shell.refs()
    code, found = shell.document("rollback", MODEL, "--to", LIVE)
    assert code == 0
    assert "active already" in found["why"]
    assert shell.refs() == refs


def test_withdraw_clears_a_stage(shell: Shell) -> None:
    code, done = shell.document("withdraw", MODEL, "--stage", "shadow", "--reason", "superseded")
    assert code == 0
    assert shell.run("land", done["branch"])[0] == 0
    assert shell.document("status")[1]["models"][MODEL]["shadow"] is None


def test_stage_commits_the_artifact_with_its_pointer(shell: Shell) -> None:
    name = "regime_v2026_02_17_001"
    for path, content in artifact_files(name).items():
        shell.clones.operator.write(path, content)
    code, done = shell.document("stage", f"artifacts/onnx/{name}", "--model", "regime_night", "--reason", "new")
    assert code == 0
    assert shell.run("land", done["branch"])[0] == 0
    listed = shell.clones.remote.git("ls-tree", "-r", "--name-only", "main", f"artifacts/onnx/{name}")
    assert f"artifacts/onnx/{name}/model.onnx" in listed
    assert shell.document("status")[1]["models"]["regime_night"]["staging"]["artifact_id"] == name


def test_an_unreachable_remote_leaves_the_branch_here_and_push_sends_it_later(shell: Shell) -> None:
    away = shell.clones.remote.path.with_name("away.git")
    shell.clones.remote.path.rename(away)
    code, done = shell.document("rollback", MODEL, "--reason", "network is down too")
    assert code == 0
    assert not done["pushed"]
    assert "push" in done["why"]
    away.rename(shell.clones.remote.path)
    code, sent = shell.document("push", done["branch"])
    assert code == 0, sent
    assert sent["pushed"]
    assert shell.clones.tip(done["branch"]) == done["commit"]


def test_what_a_rollback_tells_is_what_was_committed(shell: Shell) -> None:
    _, planned = shell.document("rollback", MODEL, "--reason", "p99 doubled", "--dry-run")
    assert "p99 doubled" in planned["plan"]["message"]
    _, done = shell.document("rollback", MODEL, "--reason", "p99 doubled")
    committed = shell.clones.operator.git("log", "-1", "--format=%B", done["branch"])
    assert committed.strip() == done["plan"]["message"].strip()
    assert "p99 doubled" in committed


def test_the_gate_judges_a_branch_as_a_server_would(shell: Shell) -> None:
    _, done = shell.document("rollback", MODEL)
    code, found = shell.document("gate", "--base", "origin/main", "--head", done["branch"])
    assert (code, found["verdict"]) == (0, "PASS")
    forged = shell.clones.another("forger")
    text = (forged.path / REGISTRY_PATH).read_text().replace(f'"active": {{\n        "artifact_id": "{LIVE}"', "")
    forged.commit("No event", {REGISTRY_PATH: text.replace(LIVE, OLD, 1)})
    shell.clones.operator.git("fetch", "-q", forged.path, "main:refs/heads/forged")
    code, found = shell.document("gate", "--base", "origin/main", "--head", "forged")
    assert (code, found["verdict"]) == (1, "FAIL")


def test_evidence_of_a_change_verifies_offline(shell: Shell, tmp_path: Path) -> None:
    _, done = shell.document("promote", MODEL, "--to", "shadow", "--reason", "Staging validation passed")
    path = next(path for path in done["plan"]["files"] if path.endswith("evidence.json"))
    copy = tmp_path / "evidence.json"
    copy.write_text(shell.clones.remote.git("show", f"{done['commit']}:{path}") + "\n")
    code, found = shell.document("evidence", "verify", str(copy))
    assert (code, found["verdict"]) == (0, "PASS")
    copy.write_text(copy.read_text().replace("Staging", "staging", 1).replace("verify", "verifx", 1))
    code, out, _ = shell.run("evidence", "verify", str(copy))
    assert code == 1
    assert "FAIL" in out


def test_history_log_and_audit_chain(shell: Shell) -> None:
    shell.document("rollback", MODEL, "--reason", "drill")
    code, found = shell.document("history", MODEL)
    assert code == 0
    assert found["events"][0]["artifact_id"] == FRESH
    assert "rollback" in shell.run("log")[1]
    assert shell.run("log", "--verify")[0] == 0


# --- bad input: a sentence, the right exit code, and nothing is written -------------------------------------------
def assert_refused(shell: Shell, code: int, words: str, *argv: str) -> None:
    refs, tree = shell.refs(), shell.clones.operator.trace()
    found, out, err = shell.run(*argv)
    assert found == code, err
    assert words in err
    assert "Traceback" not in err
    assert (shell.refs(), shell.clones.operator.trace()) == (refs, tree)
    assert out == ""


def test_outside_a_repository(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    code, _, err = shell.run("status")
    assert code == 2
    assert "not inside a git repository" in err


def test_a_repository_without_a_registry(shell: Shell) -> None:
    shell.clones.operator.git("rm", "-q", REGISTRY_PATH)
    shell.clones.operator.commit("No registry")
    shell.clones.operator.git("push", "-q")
    assert_refused(shell, 2, "has no registry", "history", MODEL)


def test_a_broken_registry_is_named_by_line_and_field_and_is_read_only(shell: Shell) -> None:
    text = (shell.clones.operator.path / REGISTRY_PATH).read_text()
    broken = text.replace('"schema_version": "v1"', '"schema_version": "v1", "schema_version": "v1"')
    shell.clones.operator.commit("Broken", {REGISTRY_PATH: broken})
    shell.clones.operator.git("push", "-q")
    assert_refused(shell, 1, "line 2", "rollback", MODEL)
    _, found = shell.document("status")
    assert "line 2" in found["registry"]["problem"]
    assert found["environment"]["read_only"]
    assert found["models"][MODEL]["active"]["artifact_id"] == LIVE


def test_an_unknown_configuration_key(shell: Shell) -> None:
    (shell.clones.operator.path / "console.toml").write_text('[prometheus]\nurrl = "x"\n')
    assert_refused(shell, 2, "urrl", "status")


def test_an_unreachable_prometheus_closes_gates_but_not_the_console(shell: Shell) -> None:
    configure(shell.clones.operator.path, '[prometheus]\nurl = "http://127.0.0.1:9"\ntimeout_seconds = 1\n')
    code, found = shell.document("status")
    assert code == 3
    assert found["prometheus"]["state"] == "ERROR"
    assert found["models"][MODEL]["active"]["artifact_id"] == LIVE
    code, found = shell.document("soak", MODEL)
    assert code == 3
    assert found["verdict"] == "ERROR"


def test_an_artifact_that_fails_verification(shell: Shell) -> None:
    name = "regime_v2026_02_17_002"
    for path, content in artifact_files(name).items():
        shell.clones.operator.write(path, content[:-1] if path.endswith("model.onnx") else content)
    assert_refused(
        shell, 1, "does not verify", "stage", f"artifacts/onnx/{name}", "--model", MODEL, "--reason", "broken"
    )


@pytest.mark.parametrize(
    ("code", "words", "argv"),
    [
        (5, "has no model", ("history", "nobody")),
        (5, "is no artifact to roll back to", ("rollback", MODEL, "--to", "regime_v2026_02_01_001")),
        (5, "has no model", ("promote", "nobody_else", "--to", "shadow", "--reason", "x")),
        (5, "needs a reason", ("withdraw", MODEL, "--stage", "staging", "--reason", " ")),
        (5, "read-only", ("--read-only", "rollback", MODEL)),
        (5, "no local change branch", ("push", "promote/nothing")),
        (2, "no revision", ("gate", "--base", "origin/main", "--head", "nowhere")),
        (2, "has no reason", ("promote", MODEL, "--to", "shadow", "--reason", "x", "--waive", "golden")),
        (5, "cannot be waived", ("promote", MODEL, "--to", "shadow", "--reason", "x", "--waive", "verify=please")),
    ],
)
def test_refusals_are_sentences(shell: Shell, code: int, words: str, argv: tuple[str, ...]) -> None:
    assert_refused(shell, code, words, *argv)


def test_an_error_is_a_document_too(shell: Shell) -> None:
    code, out, _ = shell.run("history", "nobody", "--json")
    assert code == 5
    assert json.loads(out)["error"]["exit_code"] == 5


def test_the_interface_without_a_terminal_names_status(shell: Shell) -> None:
    assert_refused(shell, 2, "mlconsole status")


def test_info_and_config_name_the_source_of_each_value(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLCONSOLE_PROMETHEUS_BEARER_TOKEN", "hush")
    code, found = shell.document("config", "show")
    assert code == 0
    assert found["settings"]["prometheus.bearer_token"] == {"value": "(secret)", "source": "environment"}
    assert "hush" not in shell.run("info")[1]
    assert shell.run("config", "validate")[0] == 0
    assert shell.run("config", "init")[0] == 0
    assert shell.run("config", "init")[0] == 5


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: Shell, kind: str) -> None:
    code, out, _ = shell.run("completion", kind)
    assert code == 0
    assert "mlconsole" in out


def test_bash_completes_verbs_and_their_choices_after_sourcing_the_script() -> None:
    script = """source <(mlconsole completion bash)
    COMP_WORDS=(mlconsole stat); COMP_CWORD=1; _mlconsole_completion mlconsole
    COMP_WORDS=(mlconsole kill o); COMP_CWORD=2; _mlconsole_completion mlconsole
    echo "${COMPREPLY[@]}"
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["status", "on", "off"]


def test_a_mistyped_verb_names_the_nearest(shell: Shell) -> None:
    code, _, err = shell.run("statu")
    assert code == 2
    assert "Did you mean status?" in err
