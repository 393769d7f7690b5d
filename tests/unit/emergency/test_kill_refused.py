"""A kill that cannot be thrown says so, to people and to scripts, and what to do by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.kill import run_kill


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def mistaken(tmp_path: Path) -> Path:
    """A repository whose configuration has a mistake, so that nobody knows which file the engines read."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "console.toml").write_text('[kill_swich]\nfile = "var/kill_switch.env"\n')
    return tmp_path


def test_a_mistake_in_the_configuration_is_not_taken_for_a_kill(
    mistaken: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_kill(["--repo", str(mistaken), "kill", "on", "--json"]) == 2
    said = capfd.readouterr()
    assert "kill_switch" in json.loads(said.out)["error"]["remedy"]
    assert "KILL NOT THROWN. By hand: write ML_KILL_SWITCH=1 into the env file" in said.err
    assert not (mistaken / "var").exists()


@pytest.mark.parametrize(
    "mistake", ['[prometheus]\nurll = "x"\n', "[registry]\nref = 1\n", '[notify]\nstyle = "irc"\n']
)
def test_a_mistake_elsewhere_keeps_no_kill_from_being_thrown(
    mistake: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "console.toml").write_text(f'[kill_switch]\nfile = "var/own.env"\n{mistake}')
    assert run_kill(["--repo", str(tmp_path), "kill", "on", "--json"]) == 4
    said = capfd.readouterr()
    assert (tmp_path / "var/own.env").read_text().endswith("\nML_KILL_SWITCH=1\n")
    assert json.loads(said.out)["state"] == "WRITTEN"
    assert "console.toml" in said.err
    assert "NOT THROWN" not in said.err
    assert run_kill(["--repo", str(tmp_path), "kill", "off", "--confirm", "RELEASE", "--reason", "x"]) == 2


@pytest.mark.parametrize(
    "content", ['[kill_switch]\nfil = "var/own.env"\n', "[kill_switch]\nfile = 1\n", "[kill_switch\n"]
)
def test_a_mistake_that_hides_the_file_is_no_kill(
    content: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "console.toml").write_text(content)
    assert run_kill(["--repo", str(tmp_path), "kill", "on"]) == 2
    assert "KILL NOT THROWN" in capfd.readouterr().err
    assert not (tmp_path / "var").exists()


def test_what_fails_after_the_kill_does_not_deny_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "console.toml").write_text(
        '[kill_switch]\nconfirm_seconds = 0.1\n[prometheus]\nurl = "http://127.0.0.1:1"\npassword_file = "none"\n'
    )
    code = run_kill(["--repo", str(tmp_path), "kill", "on"])
    said = capfd.readouterr()
    assert (tmp_path / "var/kill_switch.env").read_text().endswith("\nML_KILL_SWITCH=1\n")
    assert code in (2, 3, 4)
    assert "WRITTEN file" in said.err
    assert "NOT THROWN" not in said.err + said.out


def test_what_is_no_kill_is_not_called_one(mistaken: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_kill(["--repo", str(mistaken), "kill", "status"]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert "KILL NOT THROWN" not in said.err
