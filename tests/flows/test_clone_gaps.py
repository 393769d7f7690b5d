"""What a clone lacks is a problem with its remedy in status, JSON and doctor, and no verdict rests on it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.clones import Clones, Folder, make_clones
from support.gatehouse import LIVE, MODEL, OLD, POLICY, SOAKED, artifact_files, life

from console.config import load
from console.invocation import Invocation
from console.verbs import run
from console.wiring import context
from ml.adapters.git import open_repository
from ml.promotion.clone import Lack
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH
from ml.session.landings import Landings
from ml.session.registries import Registries
from ml.stage import Stage

Ask = Callable[..., tuple[int, dict[str, Any]]]
MONTH_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)


@pytest.fixture
def clones(tmp_path: Path) -> Clones:
    files: dict[str, str | bytes] = {REGISTRY_PATH: life(MONTH_AGO).raw, POLICY_PATH: POLICY}
    for name in (OLD, LIVE, SOAKED):
        files |= artifact_files(name)
    made = make_clones(tmp_path, files)
    made.operator.commit("an unrelated change", {"README": "x"})
    made.operator.git("push", "-q", "origin", "main")
    return made


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def asked(folder: Folder, *argv: str) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        code = run(["--repo", str(folder.path), *argv, "--json"])
        return code, json.loads(capfd.readouterr().out)

    return asked


def shallow(clones: Clones) -> Folder:
    return clones.another("shallow", "--depth=1")


def vanished(clones: Clones) -> Folder:
    clones.operator.git("push", "-q", "origin", "main:refs/heads/other")
    clones.operator.git("fetch", "-q")
    clones.operator.git("update-ref", "-d", "refs/remotes/origin/main")
    return clones.operator


def never_fetched(clones: Clones) -> Folder:
    clones.operator.git("update-ref", "-d", "refs/remotes/origin/main")
    clones.operator.git("update-ref", "-d", "refs/remotes/origin/HEAD")
    return clones.operator


def remote_removed(clones: Clones) -> Folder:
    clones.operator.git("remote", "rename", "origin", "upstream")
    return clones.operator


def configured_remote_gone(clones: Clones) -> Folder:
    clones.operator.git("remote", "remove", "origin")
    clones.operator.write("console.toml", '[registry]\nref = "origin/main"\n')
    return clones.operator


def partial(clones: Clones) -> Folder:
    clones.remote.git("config", "uploadpack.allowFilter", "true")
    return clones.another("partial", "--filter=blob:none")


def worktree(clones: Clones) -> Folder:
    path = clones.operator.path.parent / "linked"
    clones.operator.git("worktree", "add", "-q", "--detach", path)
    return Folder(path, clones.operator.home)


GAPS = {
    shallow: (Lack.SHALLOW, "git fetch --unshallow"),
    vanished: (Lack.VANISHED, "git fetch origin"),
    never_fetched: (Lack.NEVER_FETCHED, "git fetch origin"),
    remote_removed: (Lack.VANISHED, "git remote add origin"),
    configured_remote_gone: (Lack.VANISHED, "git remote add origin"),
    partial: (Lack.PARTIAL, "--refetch"),
    worktree: (Lack.WORKTREE, "kill_switch.file"),
}


@pytest.mark.parametrize("make", GAPS, ids=lambda make: make.__name__)
def test_a_gap_is_a_problem_with_its_remedy(
    clones: Clones, ask: Ask, capfd: pytest.CaptureFixture[str], make: Callable[[Clones], Folder]
) -> None:
    folder, (lack, remedy) = make(clones), GAPS[make]
    if lack is not Lack.WORKTREE:
        assert lack in {gap.lack for gap in open_repository(folder.path).clone.gaps("origin/main", configured=True)}
    _, found = ask(folder, "status")
    (problem,) = (each for each in found["problems"] if each["where"] == "clone")
    assert remedy in problem["remedy"]
    _, found = ask(folder, "doctor")
    (finding,) = (each for each in found["findings"] if each["check"]["name"] == "clone")
    assert finding["check"]["verdict"] == "FAIL"
    assert remedy in finding["remedy"]
    capfd.readouterr()
    run(["--repo", str(folder.path), "status"])
    assert remedy in capfd.readouterr().out


def test_an_ordinary_clone_lacks_nothing(clones: Clones, ask: Ask) -> None:
    assert open_repository(clones.operator.path).clone.gaps("origin/main") == ()
    assert [each for each in ask(clones.operator, "status")[1]["problems"] if each["where"] == "clone"] == []


def test_a_repository_that_never_had_a_remote_lacks_nothing(clones: Clones, ask: Ask) -> None:
    clones.operator.git("remote", "remove", "origin")
    assert [each for each in ask(clones.operator, "status")[1]["problems"] if each["where"] == "clone"] == []


def test_missing_commits_are_told(clones: Clones) -> None:
    folder = clones.operator
    first = folder.git("rev-list", "--max-parents=0", "HEAD")
    (folder.path / ".git" / "objects" / first[:2] / first[2:]).unlink()
    for graph in (folder.path / ".git" / "objects" / "info").glob("commit-graph*"):
        graph.unlink()
    assert [gap.lack for gap in open_repository(folder.path).clone.gaps("origin/main")] == [Lack.NO_HISTORY]


@pytest.mark.parametrize("make", [shallow, vanished, never_fetched], ids=lambda make: make.__name__)
def test_no_soak_is_dated_by_what_a_clone_lacks(
    clones: Clones, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[[Clones], Folder]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = make(clones)
    landed = _landing(folder)
    assert landed.unknown
    assert "git fetch" in landed.unknown
    folder.git("fetch", "-q", *(["--unshallow"] if make is shallow else []), "origin")
    mended = _landing(folder)
    assert not mended.unknown
    assert mended.at == _landing(clones.another("whole")).at


def test_a_shallow_clone_that_holds_the_landing_dates_it(
    clones: Clones, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    raw = json.loads((clones.operator.path / REGISTRY_PATH).read_text())
    shadow = raw["models"][MODEL]["shadow"]
    raw["models"][MODEL]["shadow"] = None
    clones.operator.commit("withdrawn", {REGISTRY_PATH: json.dumps(raw)})
    raw["models"][MODEL]["shadow"] = shadow
    clones.operator.commit("again", {REGISTRY_PATH: json.dumps(raw)})
    clones.operator.git("push", "-q", "origin", "main")
    assert not _landing(clones.another("shallow", "--depth=2")).unknown


def _landing(folder: Folder) -> Any:
    made = context(load(repo=str(folder.path)))
    registries = Registries(made)
    base = registries.now()
    return Landings(made).soaking(base)[MODEL, Stage.SHADOW]


def test_the_gate_says_that_the_clone_is_shallow(clones: Clones, ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    code, done = ask(clones.operator, "rollback", MODEL, "--reason", "it breaches")
    assert code == 0
    folder = shallow(clones)
    folder.git("fetch", "-q", "--depth=1", "origin", "+refs/heads/*:refs/remotes/origin/*")
    capfd.readouterr()
    code = run(["--repo", str(folder.path), "gate", "--base", "origin/main", "--head", f"origin/{done['branch']}"])
    told = capfd.readouterr()
    assert code == 3
    assert "This clone is shallow" in told.err
    assert "git fetch --unshallow" in told.err
    assert not re.search("does not build on", told.out + told.err)


def test_a_fetch_that_never_worked_is_told(clones: Clones, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    clones.operator.git("remote", "set-url", "origin", str(tmp_path / "gone"))
    session = Invocation(repo=str(clones.operator.path)).session
    session.boards.fetch()
    (problem,) = (each for each in session.boards.poll().problems if each.where == "remote")
    assert problem.severe
    assert "No fetch of this session has worked" in problem.what
    assert "git fetch" in problem.remedy
