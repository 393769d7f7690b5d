"""The snapshot behind ``status --short``: believed only while nothing that it rests on has changed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import NOW, board, healthy_model, model_view

import console.snapshot
from console.prompt import run_short
from console.settings import Prometheus, Registry, Settings
from console.short import short
from console.snapshot import FILE, commit_at, fresh, keep
from ml.board import Board, SourceState
from ml.verdict import Verdict

CLOCK = NOW.timestamp()


def git(root: Path, *words: str) -> str:
    ended = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True, timeout=60)
    return ended.stdout.strip()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A repository with a commit that ``origin/main`` points to."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(root)
    return Settings(root)


def commit(root: Path) -> str:
    """A new commit, which the remote's branch points to as well."""
    git(root, "-c", "user.email=a@b", "-c", "user.name=A", "commit", "-q", "--allow-empty", "-m", "One")
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    return git(root, "rev-parse", "HEAD")


def seen(settings: Settings, **changes: object) -> Board:
    """A board of this moment at the commit that is there."""
    made = board(healthy_model("a"), model_view("b"), as_of=NOW, **changes)
    return replace(made, registry=replace(made.registry, commit=git(settings.root, "rev-parse", "HEAD")))


@pytest.fixture
def kept(settings: Settings) -> Path:
    """The file of a snapshot that is there."""
    keep(settings, seen(settings))
    return settings.state / FILE


def test_it_says_what_status_says_and_how_old_that_is(settings: Settings, kept: Path) -> None:
    found = fresh(settings, CLOCK + 3)
    assert found is not None
    assert (found.verdict, found.kill, found.age_s) == (Verdict.FAIL, "off", 3.0)
    assert " ".join(f"{name}:{word}" for name, word in found.models) == short(seen(settings)).partition(" | ")[2]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.iterdir()] == [FILE]


@pytest.mark.parametrize("age_s", [-1.0, 10.1, 3600.0, float("nan")])
def test_older_than_two_polls_or_of_the_future_is_judged_anew(settings: Settings, kept: Path, age_s: float) -> None:
    assert fresh(settings, CLOCK + 9.9) is not None
    assert fresh(settings, CLOCK + age_s) is None


@pytest.mark.parametrize("passed_s", [-1.0, 10.1, 3600.0])
def test_a_clock_that_was_set_back_makes_nothing_young(
    settings: Settings, kept: Path, monkeypatch: pytest.MonkeyPatch, passed_s: float
) -> None:
    """The wall clock says 3 s. By the machine's uptime more has passed, or the machine was started again."""
    uptime = time.monotonic()
    assert fresh(settings, CLOCK + 3) is not None
    monkeypatch.setattr("console.snapshot.time.monotonic", lambda: uptime + passed_s)
    assert fresh(settings, CLOCK + 3) is None


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def nested(path: Path) -> None:
    path.write_bytes(console.snapshot._digest(b"[" * 100_000).encode() + b"\n" + b"[" * 100_000)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def for_all(path: Path) -> None:
    path.chmod(0o666)


def strange(**changes: object) -> Callable[[Path], None]:
    """A body that differs, rightly sealed."""

    def change(path: Path) -> None:
        body = json.loads(path.read_bytes().partition(b"\n")[2]) | changes
        path.write_bytes(console.snapshot._sealed(body))

    return change


@pytest.mark.parametrize(
    "harm",
    [
        torn,
        nested,
        link,
        fifo,
        for_all,
        Path.unlink,
        strange(version="0.0.9"),
        strange(format=0),
        strange(commit="0" * 40),
        strange(verdict="GREEN"),
        strange(models=[["a"]]),
        strange(models=7),
        strange(as_of="soon"),
        strange(as_of=None),
        strange(uptime=None),
        strange(kill_file="1 2 3"),
    ],
)
def test_what_is_torn_strange_or_of_another_version_is_judged_anew(
    settings: Settings, kept: Path, harm: Callable[[Path], None]
) -> None:
    harm(kept)
    assert fresh(settings, CLOCK + 3) is None


def test_a_file_of_somebody_else_is_judged_anew(
    settings: Settings, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: kept.stat().st_uid + 1)
    assert fresh(settings, CLOCK + 3) is None


def test_a_new_commit_judges_anew(settings: Settings, kept: Path) -> None:
    commit(settings.root)
    assert fresh(settings, CLOCK + 3) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"prometheus": Prometheus(url="http://127.0.0.1:9")},
        {"prometheus": Prometheus(headers={"X-Scope-OrgID": "b"})},
        {"registry": Registry(path="elsewhere.json")},
    ],
)
def test_another_configuration_judges_anew(settings: Settings, kept: Path, changed: dict[str, object]) -> None:
    assert fresh(settings._replace(**changed), CLOCK + 3) is None  # type: ignore[arg-type]


def test_a_kill_since_then_judges_anew(settings: Settings, kept: Path) -> None:
    file = settings.resolve(settings.kill_switch.file)
    file.parent.mkdir()
    file.write_text("ML_KILL_SWITCH=1\n")
    assert fresh(settings, CLOCK + 3) is None


def test_no_secret_is_in_it_and_none_changes_it(settings: Settings, kept: Path) -> None:
    secret = settings._replace(prometheus=Prometheus(bearer_token="hunter2", password="hunter3"))
    keep(secret, seen(settings))
    assert b"hunter" not in kept.read_bytes()
    assert fresh(settings, CLOCK + 3) is not None


def test_a_board_on_which_a_soak_was_not_judged_is_not_kept(settings: Settings) -> None:
    waiting = seen(settings)
    unjudged = replace(waiting, models=(*waiting.models, replace(model_view("c"), soak=None, gates=())))
    keep(settings, unjudged)
    assert not (settings.state / FILE).exists()
    keep(settings, replace(unjudged, prometheus=replace(unjudged.prometheus, state=SourceState.STALE)))
    assert (settings.state / FILE).exists()


def test_what_the_disk_refuses_is_no_error(settings: Settings) -> None:
    settings.state.parent.mkdir(parents=True)
    settings.state.write_text("in the way")
    keep(settings, seen(settings))


class TestWhichCommit:
    def test_as_git_finds_it_loose_and_packed(self, settings: Settings) -> None:
        head = git(settings.root, "rev-parse", "HEAD")
        assert commit_at(settings.root, "origin/main") == head
        git(settings.root, "pack-refs", "--all")
        assert commit_at(settings.root, "origin/main") == head
        newer = commit(settings.root)
        assert commit_at(settings.root, "origin/main") == newer

    def test_in_a_worktree_a_bare_clone_and_without_a_remote(self, settings: Settings, tmp_path: Path) -> None:
        head = git(settings.root, "rev-parse", "HEAD")
        git(settings.root, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
        assert commit_at(tmp_path / "tree", "origin/main") == head
        git(tmp_path, "clone", "-q", "--bare", str(settings.root), "bare.git")
        assert commit_at(tmp_path / "bare.git", "origin/main") == head
        assert commit_at(settings.root, "main") == head

    @pytest.mark.parametrize("ref", ["origin/other", "../main", "/etc/passwd", ""])
    def test_nothing_where_there_is_none(self, settings: Settings, ref: str) -> None:
        assert commit_at(settings.root, ref) == ""

    def test_a_symbolic_ref_is_for_git_to_read(self, settings: Settings) -> None:
        git(settings.root, "symbolic-ref", "refs/remotes/origin/main", "refs/heads/main")
        assert commit_at(settings.root, "origin/main") == ""


class TestShortPath:
    def test_it_prints_one_line_with_its_age_and_ends_in_the_code_of_the_verdict(
        self, settings: Settings, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("time.time", lambda: CLOCK + 4)
        assert run_short(["--repo", str(settings.root), "status", "--short"]) == 1
        assert capsys.readouterr().out == f"{short(seen(settings))} | 4s ago\n"

    def test_hostile_words_stay_words(
        self, settings: Settings, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("time.time", (NOW + timedelta(seconds=1)).timestamp)
        strange(models=[["\x1b]0;evil\x07", "ok"]])(kept)
        assert run_short(["status", "--short", f"--repo={settings.root}"]) == 1
        assert "\x1b" not in capsys.readouterr().out

    @pytest.mark.parametrize(
        "argv",
        [["status", "--short"], ["status", "--short", "--json"], ["status", "--short", "--watch"], ["--short"]],
    )
    def test_everything_else_is_for_the_whole_command_line(
        self, settings: Settings, argv: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run_short([*argv, "--repo", str(settings.root)]) is None
        assert capsys.readouterr().out == ""
