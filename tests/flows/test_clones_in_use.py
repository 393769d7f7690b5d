"""Clones and repositories of every kind in use: a change is made from each of them, or refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clones import Folder
from support.fields import HERE, ROLLBACK, Field, make_field
from support.gatehouse import LIVE, OLD, SOAKED, artifact_files

from ml.adapters.git import open_repository
from ml.errors import Unavailable

OVER_FILES = ("-c", "protocol.file.allow=always")


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Field:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return make_field(tmp_path, capfd)


def missing(folder: Folder) -> set[str]:
    """The objects that a partial clone has not fetched yet."""
    return {
        line[1:]
        for line in folder.git("rev-list", "--objects", "--all", "--missing=print").splitlines()
        if line[0] == "?"
    }


def test_a_partial_clone_fetches_only_the_files_that_a_change_is_about(field: Field) -> None:
    code = {f"src/module_{number}.py": f"x = {number}\n" for number in range(40)}
    field.operator.commit("code", dict(code))
    field.operator.git("push", "-q", "origin", "main")
    field.clones.remote.git("config", "uploadpack.allowFilter", "true")
    partial = field.clones.another("partial", "--filter=blob:none", "--no-checkout")
    sources = {partial.git("rev-parse", f"origin/main:{path}") for path in code}
    assert sources <= missing(partial)
    assert field.document("status", at=partial)[1]["models"]
    done = field.done(*ROLLBACK, at=partial)
    assert (done["pushed"], field.clones.tip(done["branch"])) == (True, done["commit"])
    assert sources <= missing(partial), "reading the registry and writing a change need no source file"
    assert field.gate(done["branch"]) == (0, {})


def test_a_shallow_clone_publishes_a_change_that_a_whole_one_judges_and_lands(field: Field) -> None:
    field.operator.commit("something", {"README": "x"})
    field.operator.git("push", "-q", "origin", "main")
    shallow = field.clones.another("shallow", "--depth=1", email="operator@example.com")
    done = field.done(*ROLLBACK, at=shallow)
    assert field.clones.tip(done["branch"]) == done["commit"]
    before = field.clones.tip()
    code, _, err = field.say("land", done["branch"], at=shallow)
    assert (code, field.clones.tip()) == (3, before)
    assert "git fetch --unshallow" in err
    assert field.done("land", done["branch"])["commit"] == field.clones.tip()


def test_a_linked_worktree_of_another_branch_makes_the_same_change(field: Field) -> None:
    path = field.home / "linked"
    field.operator.git("worktree", "add", "-q", "-b", "feature", path)
    linked = Folder(path, field.home)
    linked.write("README", "half done")
    linked.git("add", "-A")
    before = linked.trace(), field.operator.trace()
    done = field.done(*field.stage(at=linked), at=linked)
    for name in artifact_files(linked_name()):
        (path / name).unlink()
    (path / HERE).rmdir()
    assert (linked.trace(), field.operator.trace()) == before
    assert field.gate(done["branch"]) == (0, {})


def linked_name() -> str:
    return HERE.rpartition("/")[2]


# --- the base branch under another name -----------------------------------------------------------------------------


def renamed(field: Field, name: str) -> None:
    field.clones.remote.git("branch", "-m", "main", name)
    field.clones.remote.git("symbolic-ref", "HEAD", f"refs/heads/{name}")


@pytest.mark.parametrize("name", ["master", "trunk", "release/2026"])
def test_a_fresh_clone_follows_the_remotes_default_branch(field: Field, name: str) -> None:
    renamed(field, name)
    fresh = field.clones.another("fresh", email="operator@example.com")
    _, found = field.document("status", at=fresh)
    assert found["registry"]["ref"] == f"origin/{name}"
    assert [each for each in found["problems"] if each["where"] == "clone"] == []
    done = field.done(*ROLLBACK, at=fresh)
    assert field.done("land", done["branch"], at=fresh)["commit"] == field.clones.tip(name)


def test_a_branch_that_somebody_configured_is_never_replaced(field: Field) -> None:
    renamed(field, "trunk")
    fresh = field.clones.another("fresh")
    fresh.write("console.toml", '[registry]\nref = "origin/main"\n')
    assert "There is no branch origin/main here" in field.refused(*ROLLBACK, at=fresh)
    with pytest.raises(Unavailable):
        open_repository(fresh.path).refs.base("origin/main")


def test_an_old_clone_is_told_how_to_follow_a_rename(field: Field) -> None:
    renamed(field, "trunk")
    said = field.refused(*ROLLBACK)
    assert "origin has no branch main" in said
    assert "git remote set-head origin -a" in said
    field.operator.git("fetch", "-q", "--prune", "origin")
    field.operator.git("remote", "set-head", "origin", "-a")
    assert field.done(*ROLLBACK)["pushed"]


# --- submodules -----------------------------------------------------------------------------------------------------


def test_an_artifact_is_never_committed_over_a_submodule(field: Field) -> None:
    other = Folder(field.home / "models", field.home)
    Folder(field.home, field.home).git("init", "-q", "-b", "main", other.path)
    other.git("config", "user.email", "x@example.com")
    other.git("config", "user.name", "X")
    held = {
        path.removeprefix("artifacts/"): raw
        for name in (OLD, LIVE, SOAKED)
        for path, raw in artifact_files(name).items()
    }
    other.commit("models", held)
    field.operator.git("rm", "-rq", "artifacts")
    field.operator.git(*OVER_FILES, "submodule", "add", "-q", other.path, "artifacts")
    field.operator.git("commit", "-qm", "models are a submodule")
    field.operator.git("push", "-q", "origin", "main")
    said = field.refused(*field.stage())
    assert "artifacts is a submodule in the repository" in said
    _, found = field.document("status")
    assert any("in a submodule, where no commit of ours proves it" in each["what"] for each in found["problems"])


def test_a_link_or_a_file_in_the_place_of_the_folder_is_kept(field: Field) -> None:
    field.operator.git("rm", "-rq", "artifacts/onnx")
    (field.operator.path / "artifacts").mkdir(exist_ok=True)
    (field.operator.path / "artifacts/onnx").symlink_to("../elsewhere")
    field.operator.git("add", "-A")
    field.operator.git("commit", "-qm", "a link")
    field.operator.git("push", "-q", "origin", "main")
    (field.operator.path / "artifacts/onnx").unlink()
    assert "artifacts/onnx is no folder in the repository" in field.refused(*field.stage())


def test_a_registry_in_a_submodule_is_worked_on_inside_of_it(field: Field) -> None:
    above = Folder(field.home / "platform", field.home)
    Folder(field.home, field.home).git("init", "-q", "-b", "main", above.path)
    above.git("config", "user.email", "x@example.com")
    above.git("config", "user.name", "X")
    above.git(*OVER_FILES, "submodule", "add", "-q", field.clones.remote.path, "models")
    above.git("commit", "-qm", "with models")
    inside = Folder(above.path / "models", field.home)
    inside.git("config", "user.email", "operator@example.com")
    inside.git("config", "user.name", "Operator")
    done = field.done(*ROLLBACK, at=inside)
    assert field.clones.tip(done["branch"]) == done["commit"]
    assert (inside.git("status", "--porcelain"), above.git("status", "--porcelain")) == ("", "")
    code, _, err = field.say("rollback", "regime_classifier", "--reason", "x", at=above)
    assert code == 2
    assert "has no registry at ml/registry/models.json" in err
