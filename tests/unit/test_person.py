"""One identity in every record: git's first, the login beside it, read without git where git says the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from console.kill import run_kill
from console.switch import Person, login


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("USER", "ops")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "home").mkdir()
    place = tmp_path / "repo"
    subprocess.run(["git", "init", "-q", place], check=True)
    return place


PLAIN = "[user]\n\tname = Ann\n\temail = ann@example.com\n"
ODD = {
    "an include": ("[include]\n\tpath = other\n", PLAIN),
    "an include on one line": ("[include] path = other\n", PLAIN),
    "includeIf": ('[includeIf "gitdir:**"]\n\tpath = other\n', PLAIN),
    "a section with its key on one line": ("[user] email = ann@example.com\n", ""),
    "a quotation": ('[user]\n\temail = "ann@example.com"\n', ""),
    "a comment behind": ("[user]\n\temail = ann@example.com # work\n", ""),
    "a continued line": ("[user]\n\temail = ann@exa\\\nmple.com\n", ""),
    "a key without a value": ("[user]\n\temail = ann@example.com\n\tuseConfigOnly\n", ""),
    "capitals": ("[USER]\n\tEmail = ann@example.com\n", ""),
    "twice": ("[user]\n\temail = old@example.com\n[core]\n[user]\n\temail = ann@example.com\n", ""),
    "a subsection of the same name": (PLAIN + '[user "other"]\n\temail = bob@example.com\n', ""),
    "Windows line ends": (PLAIN.replace("\n", "\r\n"), ""),
}


@pytest.mark.parametrize(("config", "other"), ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("where", ["global", "local"])
def test_the_identity_is_the_one_that_git_tells(repo: Path, config: str, other: str, where: str) -> None:
    home = repo.parent / "home"
    file = home / ".gitconfig" if where == "global" else repo / ".git" / "config"
    (file.parent / "other").write_text(other)
    with file.open("a") as handle:
        handle.write(config)
    told = subprocess.run(["git", "-C", repo, "config", "user.email"], check=True, capture_output=True, text=True)
    assert Person(repo).full() == f"{told.stdout.strip()} ({login()})"


def test_the_repository_counts_more_than_the_home(repo: Path) -> None:
    (repo.parent / "home" / ".gitconfig").write_text(PLAIN)
    with (repo / ".git" / "config").open("a") as handle:
        handle.write(PLAIN.replace("ann", "bob"))
    assert Person(repo).full().startswith("bob@example.com (ops@")


def test_a_linked_worktree_is_asked_through_git(repo: Path) -> None:
    with (repo / ".git" / "config").open("a") as handle:
        handle.write(PLAIN)
    subprocess.run(["git", "-C", repo, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run(["git", "-C", repo, "worktree", "add", "-q", repo.parent / "tree"], check=True, capture_output=True)
    assert Person(repo.parent / "tree").full().startswith("ann@example.com (")


@pytest.mark.parametrize("email", ["", "nobody", "a<b@c>", "a\x1b[2J@b"])
def test_what_names_nobody_leaves_the_login(repo: Path, email: str) -> None:
    with (repo / ".git" / "config").open("a") as handle:
        handle.write(f"[user]\n\temail = {email}\n")
    person = Person(repo)
    assert person.at_once() == login()
    assert person.full() == login()


def test_file_and_audit_log_name_the_same_person(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (repo / ".git" / "config").open("a") as handle:
        handle.write(PLAIN)
    assert run_kill(["--repo", str(repo), "kill", "on", "--no-wait", "--json"]) == 0
    both = f"ann@example.com ({login()})"
    assert f"\n# by {both}\n" in (repo / "var" / "kill_switch.env").read_text()
    assert json.loads(capsys.readouterr().out)["by"] == both
    (log,) = repo.parent.glob("state/mlconsole/*/audit.jsonl")
    assert json.loads(log.read_text().splitlines()[0])["by"] == both
