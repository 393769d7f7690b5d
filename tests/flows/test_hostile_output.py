"""No verb lets a byte from a setting, a policy, a registry or an argument act on the terminal or forge a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clones import Clones, make_clones
from support.gatehouse import LIVE, MODEL, OLD, POLICY, SOAKED, artifact_files, life

from console.settings import CHOICES, SECRETS, SECTIONS, Actuator
from console.verbs import _MODULE_OF, run
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH

FORGED = "FORGED [PASS] all is well"
HOSTILE = f"x\x1b]0;owned\x07\x9b31m\u202e\u200b\u2028\x7f\r\n{FORGED}"
ADDRESS = "http://127.0.0.1:9/"

_OURS = tuple(f"{section}.{field}" for section, kind in SECTIONS.items() for field in kind._fields)


def toml(value: object) -> str:
    """A value as TOML, whatever characters it holds."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # TOML knows the escapes of JSON but one: DEL stands for itself in JSON, and may not stand in TOML.
    return json.dumps(value).replace("\x7f", "\\u007f")


def hostile_value(name: str) -> object:
    """A value for a setting that its parser accepts, with everything in it that a terminal acts on."""
    section, _, field = name.partition(".")
    default = SECTIONS[section]._field_defaults[field]
    if name == "kill_switch.actuator":
        headers = {HOSTILE: HOSTILE, "Authorization": {"file": HOSTILE}, "Cookie": {"env": HOSTILE}}
        http = {"type": "http", "url": ADDRESS + HOSTILE, "headers": headers, "deadline_seconds": 0.2}
        return [http, {"type": "command", "argv": ["false", HOSTILE]}, {"type": "command", "argv": [HOSTILE]}]
    if name in CHOICES:
        return default
    if field.endswith("url"):
        return ADDRESS + HOSTILE
    if isinstance(default, str):
        return HOSTILE
    return {HOSTILE: HOSTILE} if isinstance(default, dict) else default


def configuration(*names: str) -> str:
    """A user's file in which these settings are hostile."""
    sections: dict[str, list[str]] = {}
    for name in names:
        section, _, field = name.partition(".")
        if name not in SECRETS and (value := hostile_value(name)) != SECTIONS[section]._field_defaults[field]:
            sections.setdefault(section, []).append(f"{field} = {toml(value)}")
    sections.setdefault("kill_switch", []).append("confirm_seconds = 0.2")
    sections.setdefault("prometheus", []).append("timeout_seconds = 0.5")
    return "".join(f"[{section}]\n" + "\n".join(rows) + "\n" for section, rows in sections.items())


WORKING = tuple(name for name in _OURS if not name.startswith("registry."))
"""All but those without which no registry is found."""


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Clones:
    """A registry whose models, policy and reasons are hostile too, as far as their parsers allow."""
    home = tmp_path_factory.mktemp("hostile")
    begun = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    policy = POLICY.replace("[roles]\n", f'[roles]\ndevelopers = [{toml(HOSTILE)}, "*"]\n')
    freeze = f'[[freeze]]\nfrom = "2026-01-01T00:00:00"\nto = "2026-01-02T00:00:00"\nreason = {toml(HOSTILE)}\n'
    checks = f'[checks]\nunit_tests = ["printf", {toml(HOSTILE)}]\n'
    files: dict[str, str | bytes] = {REGISTRY_PATH: life(begun, staged=True).raw, POLICY_PATH: policy + checks + freeze}
    for name in (OLD, LIVE, SOAKED):
        files |= artifact_files(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        made = make_clones(home, files)
    made.operator.git("branch", "-q", "promote/x")
    return made


ARGUMENTS: dict[str, list[list[str]]] = {
    "status": [[], ["--short"]],
    "verify": [["artifacts/onnx/" + LIVE]],
    "compare": [[LIVE, OLD]],
    "log": [[], ["--verify"]],
    "history": [[MODEL]],
    "soak": [[MODEL]],
    "stage": [["artifacts/onnx/" + LIVE, "--model", HOSTILE, "--reason", HOSTILE, "--dry-run"]],
    "promote": [
        [MODEL, "--to", "shadow", "--reason", HOSTILE, "--dry-run"],
        [MODEL, "--to", "active", "--reason", "x"],
    ],
    "withdraw": [[MODEL, "--stage", "shadow", "--reason", HOSTILE, "--dry-run"]],
    "change": [["list"], ["list", "--all"], ["show", HOSTILE], ["show", "promote/x"], ["close", HOSTILE]],
    "rollback": [[MODEL, "--reason", HOSTILE, "--dry-run"], [MODEL, HOSTILE, "--dry-run"]],
    "gate": [["--base", "origin/main", "--head", HOSTILE], ["--base", "origin/main", "--head", "promote/x"]],
    "init": [["--dry-run"]],
    "kill": [["on"], ["on", "--no-wait"], ["status"], ["off", "--confirm", "RELEASE", "--reason", HOSTILE]],
    "watch": [[MODEL], [MODEL, "--claim"]],
    "incident": [[], ["--since", HOSTILE]],
    "config": [["show"], ["validate"], ["init"]],
    "doctor": [[], [MODEL]],
    "evidence": [["verify", REGISTRY_PATH], ["verify", HOSTILE]],
    "trust": [["--show"], ["--yes"], ["--revoke"]],
    "build": [[REGISTRY_PATH, "--out", HOSTILE, "--dataset-id", HOSTILE]],
    "completion": [["bash"]],
    "serve": [["--host", HOSTILE], ["--public-url", HOSTILE]],
    "demo": [["--dir", "full\x1b]0;x\x07\u202e"]],
    "drill": [["--dir", "full\x1b]0;x\x07\u202e"]],
}
"""What each verb is called with besides; one that is not here is called without anything and with a hostile word."""


@pytest.fixture
def place(clones: Clones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test's own: state, configuration; the clone is the module's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(clones.operator.path)
    full = clones.operator.path / "full\x1b]0;x\x07\u202e"
    full.mkdir(exist_ok=True)
    (full / "file").touch()
    (tmp_path / "config" / "mlconsole").mkdir(parents=True)
    return tmp_path / "config" / "mlconsole" / "config.toml"


def harmless(said: str, argv: list[str]) -> None:
    """Assert that a terminal only shows this, and that no value began a line of its own."""
    acting = {char for char in said if char != "\n" and not char.isprintable()}
    assert not acting, f"{argv}: {sorted(map(ascii, acting))} in {said!r}"
    assert not [line for line in said.splitlines() if line.startswith("FORGED")], f"{argv}: {said!r}"


def say(argv: list[str], capfd: pytest.CaptureFixture[str]) -> int:
    """Run a verb in both forms and look at all that it prints."""
    for form in ([], ["--json"]):
        capfd.readouterr()
        code = run([*argv, *form])
        said = capfd.readouterr()
        harmless(said.out.replace("\t", "") if argv[0] == "completion" else said.out, [*argv, *form])
        harmless(said.err, [*argv, *form])
        if form and said.out.strip() and argv[0] != "completion":
            json.loads(said.out)
    return code


@pytest.mark.parametrize("name", sorted(_MODULE_OF))
def test_every_verb_with_every_setting_hostile(name: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for settings in (WORKING, _OURS):
        place.write_text(configuration(*settings))
        for arguments in (*ARGUMENTS.get(name, [[]]), *([] if name in ("serve", "demo", "drill") else [[HOSTILE]])):
            say([name, *arguments], capfd)


@pytest.mark.parametrize("setting", [name for name in _OURS if name not in SECRETS])
def test_every_setting_hostile_alone_and_wrong(setting: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Alone, so that a refusal of one does not hide another; wrong, because a refusal repeats what it refuses."""
    section, _, field = setting.partition(".")
    place.write_text(configuration(setting))
    for argv in (["config", "show"], ["status"], ["info"], ["kill", "status"]):
        say(argv, capfd)
    for value in ({HOSTILE: 1}, [HOSTILE, 1], HOSTILE):
        place.write_text(f"[{section}]\n{field} = {toml(value)}\n")
        say(["config", "validate"], capfd)


@pytest.mark.parametrize("field", Actuator._fields)
def test_every_part_of_an_actuator_hostile(field: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for value in (HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}, {HOSTILE: {HOSTILE: HOSTILE}}):
        actuator = {"type": "http", "url": ADDRESS, "deadline_seconds": 0.2, field: value}
        rows = "\n".join(f"{key} = {toml(item)}" for key, item in actuator.items())
        place.write_text(f"[[kill_switch.actuator]]\n{rows}\n")
        for argv in (["config", "show"], ["kill", "on", "--no-wait"], ["doctor"]):
            say(argv, capfd)


@pytest.mark.parametrize("text", [f"[{toml(HOSTILE)}]\n", f"[registry]\n{toml(HOSTILE)} = 1\n", f"a = {HOSTILE}\n"])
def test_names_and_syntax_that_nobody_knows(text: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place.write_text(text)
    assert say(["config", "validate"], capfd) == 2
    assert say(["kill", "on"], capfd) in (2, 4)  # 4: the mistake is in another section than the switch's


@pytest.mark.parametrize("name", ["MLCONSOLE_X\x1b]0;x\x07", "MLCONSOLE_PROMETHEUS_POLL_SECONDS", "MLCONSOLE_CONFIG"])
def test_the_environment_is_from_outside_too(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not place.exists()
    monkeypatch.setenv(name, HOSTILE)
    assert say(["config", "validate"], capfd) == 2


def test_a_verb_that_nobody_knows_and_a_place_that_is_none(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert not place.exists()
    assert say([HOSTILE], capfd) == 2
    assert say(["--repo", "/\x1b]0;x\x07", "status"], capfd) == 2
    assert say(["--config", HOSTILE, "status"], capfd) == 2


def test_a_traceback_shows_and_does_not_act(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place.write_text("[environment]\nname = 1\n")
    argv = [sys.executable, "-m", "console", "--debug", "--config", "none\x1b]0;x\x07\u202e", "status"]
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(argv, capture_output=True, timeout=60, check=False, env=os.environ | {"PYTHONPATH": root})
    assert b"Traceback" in ended.stderr
    harmless(ended.stderr.decode(), argv)
