"""The examples of docs/operations.md are configuration that the console takes."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.trusting import configure

from console.config import load
from console.kill_form import kill_format
from console.switch import kill_switch
from ml.emergency.killfile import KillFile
from ml.serving.engine import parse_options
from ml.stage import Stage

GUIDE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
FORMATS = re.findall(
    r"```toml\n(.*?)```", (Path(__file__).parents[3] / "docs" / "kill-formats.md").read_text(), re.DOTALL
)
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guide_covers_systemd_compose_kubernetes_http_and_many_hosts() -> None:
    found = re.findall(
        r'argv = \["(?:sudo", "-n", "|sh", "-c", ")?(\w+)|^type = "(http)"', "\n".join(BLOCKS), re.MULTILINE
    )
    assert [command or kind for command, kind in found] == ["systemctl", "docker", "kubectl", "http", "ssh"]


@pytest.mark.parametrize("block", BLOCKS, ids=["systemd", "compose", "kubernetes", "http", "hosts"])
def test_an_example_is_accepted_and_makes_an_actuator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str
) -> None:
    repo, environ = tmp_path / "repo", {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    (repo / ".git").mkdir(parents=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    configure(repo, block, environ)
    settings = load(repo=str(repo), environ=environ)
    hosts = max(1, sum(len(each.hosts) for each in settings.kill_switch.actuator))
    # The file, the configured actuator or one for each host, and the engines themselves.
    assert len(kill_switch(settings).by_hand(engage=True)) == 2 + hosts


def test_the_systemd_unit_reads_the_kill_file_and_starts_an_engine_that_this_engine_is() -> None:
    """`systemd-analyze verify` takes the same unit; it is not everywhere, so that a test cannot rely on it."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(block("ini"))
    service = unit["Service"]
    (kill_switch_file,) = re.findall(r'^file = "(/.*)"$', BLOCKS[0], re.MULTILINE)
    assert service["EnvironmentFile"] == f"-{kill_switch_file}"
    program, module, name, *arguments = shlex.split(service["ExecStart"])
    assert (Path(program).name, module, name) == ("python", "-m", "ml.serving")
    options = parse_options(arguments)
    assert options.env_at_start
    assert options.stage is Stage.ACTIVE


def test_the_compose_service_is_the_one_that_is_created_anew() -> None:
    """A restart would keep the old environment; only another container reads ``env_file`` again."""
    service = re.search(r"services:\n  ([\w-]+):", block("yaml"))
    path = re.search(r"path: (\S+)", block("yaml"))
    made = tomllib.loads(BLOCKS[1])["kill_switch"]
    (actuator,) = made["actuator"]
    assert service
    assert path
    assert actuator["argv"][-1] == service[1]
    assert "--force-recreate" in actuator["argv"]
    assert path[1] == made["file"]


def test_the_kubernetes_line_is_shell_and_passes_the_switch_on(tmp_path: Path) -> None:
    """A kubectl that notes what it is told stands in for the cluster's own."""
    (actuator,) = tomllib.loads(BLOCKS[2])["kill_switch"]["actuator"]
    stand_in = tmp_path / "kubectl"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    stand_in.chmod(0o755)
    told = []
    for engage in (True, False):
        environment = {"PATH": f"{tmp_path}:{os.defpath}", "ML_KILL_SWITCH": str(int(engage))}
        subprocess.run(actuator["argv"], env=environment, check=True, timeout=20)
        told += (tmp_path / "told").read_text().splitlines()
        (tmp_path / "told").unlink()
    assert [line for line in told if "set env" in line] == [
        "--request-timeout=10s --namespace trading set env deployment/ml-engine ML_KILL_SWITCH=1",
        "--request-timeout=10s --namespace trading set env deployment/ml-engine ML_KILL_SWITCH=0",
    ]
    assert sum("rollout status" in line for line in told) == 2


def test_every_reader_of_env_files_takes_the_file_that_is_written() -> None:
    """systemd, compose and kubectl skip comments that begin a line, and know no quotes that we would need."""
    shown = re.search(r"```\n(# engaged.*?)```", GUIDE, re.DOTALL)
    assert shown
    lines = shown[1].splitlines()
    assert all(line.startswith("# ") for line in lines[:-1])
    assert re.fullmatch(r"[A-Z_]+=[01]", lines[-1])


def block(language: str) -> str:
    """The guide's first example in a language."""
    found = re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found
    return found[1]


def test_the_file_shown_is_the_file_written(tmp_path: Path) -> None:
    shown = re.search(r"```\n(# engaged.*?)```", GUIDE, re.DOTALL)
    assert shown
    moment = datetime(2026, 2, 17, 14, 2, 11, 250_000, tzinfo=UTC)
    KillFile(tmp_path / "kill.env").engage(moment, "operator@example.com", "EMERGENCY: p99 latency spike")
    assert (tmp_path / "kill.env").read_text() == shown[1]


@pytest.mark.parametrize("block", FORMATS, ids=["json", "toml", "text", "http"])
def test_an_example_of_a_format_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str) -> None:
    repo, environ = tmp_path / "repo", {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    (repo / ".git").mkdir(parents=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    configure(repo, block, environ)
    settings = load(repo=str(repo), environ=environ)
    form = kill_format(settings.kill_switch)
    shown = kill_switch(settings).by_hand(engage=True)
    if form is None:
        assert shown[1].startswith("curl -X PUT ")
        assert """ -d '{"enabled": false, "source": "mlconsole"}' """ in shown[1]
    else:
        assert form.written(engage=True).strip('"') in shown[0]
        assert form.key in ((), ("trading", "ml", "disabled"), ("venue", "eu.west", "mode"))
