"""A kill that cannot be thrown says so, to people and to scripts, and what to do by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.trusting import configure

from console.kill import run_kill


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    (root / ".git").mkdir(parents=True)
    return root


def own_file(repo: Path, text: str) -> None:
    """The user's own configuration, which needs no trust."""
    file = repo.parent / "config" / "mlconsole" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)


@pytest.fixture
def mistaken(repo: Path) -> Path:
    """A user's file that has a mistake, so that nobody knows which file the engines read."""
    own_file(repo, '[kill_swich]\nfile = "var/kill_switch.env"\n')
    return repo


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
    mistake: str, repo: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own_file(repo, f'[kill_switch]\nfile = "var/own.env"\n{mistake}')
    assert run_kill(["--repo", str(repo), "kill", "on", "--json"]) == 4
    said = capfd.readouterr()
    assert (repo / "var/own.env").read_text().endswith("\nML_KILL_SWITCH=1\n")
    assert json.loads(said.out)["state"] == "WRITTEN"
    assert "config.toml" in said.err
    assert "NOT THROWN" not in said.err
    assert run_kill(["--repo", str(repo), "kill", "off", "--confirm", "RELEASE", "--reason", "x"]) == 2


@pytest.mark.parametrize(
    "content", ['[kill_switch]\nfil = "var/own.env"\n', "[kill_switch]\nfile = 1\n", "[kill_switch\n"]
)
def test_a_mistake_that_hides_the_file_is_no_kill(content: str, repo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own_file(repo, content)
    assert run_kill(["--repo", str(repo), "kill", "on"]) == 2
    assert "KILL NOT THROWN" in capfd.readouterr().err
    assert not (repo / "var").exists()


def test_what_fails_after_the_kill_does_not_deny_it(repo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure(
        repo,
        '[kill_switch]\nconfirm_seconds = 0.1\n[prometheus]\nurl = "http://127.0.0.1:1"\npassword_file = "none"\n',
    )
    code = run_kill(["--repo", str(repo), "kill", "on"])
    said = capfd.readouterr()
    assert (repo / "var/kill_switch.env").read_text().endswith("\nML_KILL_SWITCH=1\n")
    assert code in (2, 3, 4)
    assert "WRITTEN file" in said.err
    assert "NOT THROWN" not in said.err + said.out


def test_what_is_no_kill_is_not_called_one(mistaken: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_kill(["--repo", str(mistaken), "kill", "status"]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert "KILL NOT THROWN" not in said.err
