"""Artifacts in Git LFS: what is staged, what is resolved, and what the gate believes; with the real git-lfs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.artifacts import ROOT
from support.clones import Folder
from support.fields import HERE, ROLLBACK, Field, make_field
from support.gatehouse import FRESH, LIVE, OLD, artifact_files
from support.lfs_server import lfs_server

from ml.adapters.git import open_repository
from ml.adapters.git_hooks import install_gate
from ml.adapters.processes import run
from ml.promotion.lfs import LfsPointer, pointer_to

TRACKED = {".gitattributes": "*.onnx filter=lfs diff=lfs merge=lfs -text\n"}
ALLOWED = "[artifacts]\nlfs = true\n"
MODEL_FILE = f"{HERE}/model.onnx"
CONTENT = bytes(artifact_files(FRESH)[MODEL_FILE])  # type: ignore[arg-type]
POINTER = pointer_to(CONTENT)


def with_lfs(folder: Folder) -> Folder:
    folder.git("lfs", "install", "--local", "--skip-repo")
    return folder


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Field:
    """Raw artifacts in the past, ``*.onnx`` tracked by LFS since, and a policy that allows pointers."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = make_field(tmp_path, capfd, policy=ALLOWED)
    with_lfs(made.operator)
    tracked_from_now_on(made)
    return made


def tracked_from_now_on(field: Field) -> None:
    """Add the attributes without touching the artifacts that are there."""
    field.operator.write(".gitattributes", TRACKED[".gitattributes"])
    field.operator.git("add", ".gitattributes")
    field.operator.git("commit", "-q", "-m", "track models")
    field.operator.git("push", "-q", "origin", "main")


def renormalized(field: Field) -> None:
    """Every model of the past becomes a pointer, as `git lfs migrate` or `git add --renormalize` leaves it."""
    field.operator.git("add", "--renormalize", ".")
    field.operator.git("commit", "-q", "-m", "pointers")
    field.operator.git("lfs", "push", "--all", "origin")
    field.operator.git("push", "-q", "origin", "main")


def kept_by(repository: Path) -> Path:
    return repository / "lfs" / POINTER.place


def test_a_staged_model_is_a_pointer_whose_file_every_clone_gets(field: Field) -> None:
    done = field.done(*field.stage())
    raw = field.clones.remote.git("cat-file", "blob", f"{done['commit']}:{MODEL_FILE}")
    assert raw + "\n" == POINTER.content.decode()
    assert raw == field.operator.git("lfs", "pointer", f"--file={MODEL_FILE}").strip()
    assert kept_by(field.clones.remote.path).read_bytes() == CONTENT
    assert field.gate(done["branch"]) == (0, {})
    field.done("land", done["branch"])
    later = Folder(field.home / "later", field.home)
    Folder(field.home, field.home).git(
        "-c",
        "filter.lfs.smudge=git-lfs smudge -- %f",
        "-c",
        "filter.lfs.required=true",
        "-c",
        "filter.lfs.process=git-lfs filter-process",
        "clone",
        "-q",
        field.clones.remote.path,
        later.path,
    )
    with_lfs(later)
    assert (later.path / MODEL_FILE).read_bytes() == CONTENT
    assert later.git("status", "--porcelain", "--", HERE) == ""
    assert field.document("check")[1]["verdict"] == "PASS"


def test_without_the_policys_word_a_model_for_lfs_is_not_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    field = make_field(tmp_path, capfd)
    with_lfs(field.operator)
    tracked_from_now_on(field)
    said = field.refused(*field.stage())
    assert "is for Git LFS (filter=lfs), and the policy allows no pointers" in said
    assert "lfs = true" in said


def test_without_git_lfs_nothing_is_staged(field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, before = field.stage(), field.operator.git("for-each-ref")
    only = tmp_path / "programs"
    only.mkdir()
    (only / "git").symlink_to(str(shutil.which("git")))
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(only))
        code, out, err = field.say(*words)
    assert code == 5, out
    assert "git-lfs is not installed" in err
    assert "apt-get install git-lfs" in err
    assert field.operator.git("for-each-ref") == before


def test_a_branch_that_stayed_local_brings_its_file_when_it_is_pushed(field: Field) -> None:
    done = field.done(*field.stage("--no-push"))
    assert not kept_by(field.clones.remote.path).exists()
    assert kept_by(field.operator.path / ".git").read_bytes() == CONTENT
    assert field.done("push", done["branch"])["pushed"]
    assert kept_by(field.clones.remote.path).read_bytes() == CONTENT


def test_pointers_of_the_past_are_resolved_from_the_local_store(field: Field) -> None:
    renormalized(field)
    done = field.done(*ROLLBACK)
    assert OLD in done["branch"]
    assert field.gate(done["branch"]) == (0, {})
    linked = field.operator.path.parent / "linked"
    field.operator.git("worktree", "add", "-q", "--detach", linked)
    assert field.document("check", at=Folder(linked, field.home))[1]["verdict"] == "PASS"


def test_a_store_elsewhere_is_found_by_its_setting(field: Field, tmp_path: Path) -> None:
    renormalized(field)
    (field.operator.path / ".git" / "lfs").rename(tmp_path / "big-disk")
    said = field.refused(*ROLLBACK)
    assert "No earlier active artifact verifies" in said
    field.operator.git("config", "lfs.storage", str(tmp_path / "big-disk"))
    assert field.done(*ROLLBACK)["pushed"]


def test_a_pointer_that_a_checkout_leaves_is_never_resolved(field: Field) -> None:
    """The attribute is gone and the pointers stayed: engines would load the pointers."""
    renormalized(field)
    field.operator.write(".gitattributes", "*.onnx -text\n")
    field.operator.git("commit", "-q", "-m", "no lfs any more", ".gitattributes")
    field.operator.git("push", "-q", "origin", "main")
    assert "No earlier active artifact verifies" in field.refused(*ROLLBACK)


def test_a_missing_or_damaged_object_is_never_taken_for_the_file(field: Field) -> None:
    renormalized(field)
    store = field.operator.path / ".git" / "lfs"
    for name in (OLD, LIVE):
        content = bytes(artifact_files(name)[f"artifacts/onnx/{name}/model.onnx"])  # type: ignore[arg-type]
        path = store / pointer_to(content).place
        path.chmod(0o644)
        path.write_bytes(b"x" * len(content))
    assert "No earlier active artifact verifies" in field.refused(*ROLLBACK)
    code, found = field.document("check")
    assert code == 1
    assert "git lfs pull" in str(found)


def bent(field: Field, files: dict[str, bytes]) -> str:
    """A pushed staging whose one commit its author made again with other bytes, in the same words."""
    done = field.done(*field.stage())
    repository = open_repository(field.operator.path)
    commit = repository.history.commit(done["commit"])
    paths = [change.path for change in repository.objects.changes(commit.parents[0], commit.sha)]
    content = {path: repository.objects.read(commit.sha, path) or b"" for path in paths} | files
    made = repository.writer.commit(
        commit.parents[0], sorted(content.items()), commit.message, commit.author, commit.at
    )
    branch = f"{done['branch']}-bent"
    field.operator.git("push", "-q", "--no-verify", "origin", f"{made}:refs/heads/{branch}")
    return branch


def forgotten(field: Field) -> str:
    """The object is deleted from the server after the push."""
    branch = str(field.done(*field.stage())["branch"])
    kept_by(field.clones.remote.path).unlink()
    return branch


def damaged(field: Field) -> str:
    branch = str(field.done(*field.stage())["branch"])
    kept_by(field.clones.remote.path).chmod(0o644)
    kept_by(field.clones.remote.path).write_bytes(b"y" * len(CONTENT))
    return branch


def another_models(field: Field) -> str:
    """The pointer leads to another file, which the server has."""
    renormalized(field)
    other = bytes(artifact_files(OLD)[f"artifacts/onnx/{OLD}/model.onnx"])  # type: ignore[arg-type]
    return bent(field, {MODEL_FILE: pointer_to(other).content})


def raw(field: Field) -> str:
    """The bypassed filter: the bytes themselves where a pointer belongs."""
    return bent(field, {MODEL_FILE: CONTENT})


def a_bare_pointer(field: Field) -> str:
    """A pointer in the place of a file that no attribute sends through LFS."""
    report = f"{HERE}/train_report.json"
    content = bytes(artifact_files(FRESH)[report])  # type: ignore[arg-type]
    return bent(field, {report: pointer_to(content).content})


def a_dialect(field: Field) -> str:
    """A pointer with an extension, whose file is not what its digest says."""
    return bent(field, {MODEL_FILE: POINTER.content.replace(b"oid", b"ext-0-x sha256:" + b"0" * 64 + b"\noid")})


def an_enormous_one(field: Field) -> str:
    """A pointer to a file that nobody could hold, which must not set how long the gate waits."""
    return bent(field, {MODEL_FILE: LfsPointer(POINTER.oid, 10**18).content})


def enormous_together(field: Field) -> str:
    """Two pointers to files that one disk may hold, and that no artifact may have together."""
    half = LfsPointer(POINTER.oid, 2_000_000_000).content
    return bent(field, {MODEL_FILE: half, f"{HERE}/more.onnx": half})


@pytest.mark.parametrize(
    ("way", "says"),
    [
        (enormous_together, "have more than 3,221,225,472 bytes together"),
        (forgotten, "the file of the Git LFS pointer model.onnx is not on the server"),
        (damaged, "the file of the Git LFS pointer model.onnx is not on the server"),
        (another_models, "digest"),
        (raw, "is for Git LFS (filter=lfs), and the commit holds its bytes and no pointer"),
        (a_bare_pointer, "without the attribute filter=lfs"),
        (an_enormous_one, "has more than 3,221,225,472 bytes"),
        (a_dialect, "and the commit holds its bytes and no pointer"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_gate_refuses_a_pointer_that_does_not_stand_for_the_file(
    field: Field, way: Callable[[Field], str], says: str
) -> None:
    code, closed = field.gate(way(field))
    assert code == 1
    assert list(closed) == ["artifact"]
    assert says in closed["artifact"]


def test_the_gate_refuses_a_pointer_where_the_base_allows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    field = make_field(tmp_path, capfd)
    code, closed = field.gate(bent(field, {MODEL_FILE: POINTER.content}))
    assert (code, list(closed)) == (1, ["artifact"])
    assert "is a Git LFS pointer, and the base's policy allows none (artifacts.lfs)" in closed["artifact"]


def test_the_servers_own_hook_looks_into_its_own_store(field: Field) -> None:
    install_gate(field.clones.remote.path, run=run, python=Path(sys.executable), base="main", path=ROOT)
    done = field.done(*field.stage("--no-push"))
    ref = f"{done['commit']}:refs/heads/{done['branch']}"
    said = field.operator.git("push", "-q", "--no-verify", "origin", ref, fails=True)
    assert "the file of the Git LFS pointer model.onnx is not on the server" in said
    assert field.done("push", done["branch"])["pushed"]
    assert field.done("land", done["branch"])["commit"] == field.clones.tip()


def test_files_go_to_the_lfs_server_that_is_configured_and_come_from_there(field: Field) -> None:
    with lfs_server() as server:
        field.operator.git("config", "lfs.url", server.url)
        done = field.done(*field.stage())
        assert server.objects == {POINTER.oid: CONTENT}
        assert not kept_by(field.clones.remote.path).exists()
        shutil.rmtree(field.operator.path / ".git" / "lfs")
        assert field.gate(done["branch"]) == (0, {}), "the gate needs nothing of this clone"
        assert "download" in server.asked
        server.objects.clear()
        code, closed = field.gate(done["branch"])
        assert (code, list(closed)) == (1, ["artifact"])
        assert "is not on the server" in closed["artifact"]


def test_an_lfs_server_out_of_reach_keeps_the_branch_local(field: Field) -> None:
    field.operator.git("config", "lfs.url", "http://127.0.0.1:9/nothing")
    field.operator.git("config", "lfs.transfer.maxretries", "1")
    code, done = field.document(*field.stage())
    assert not done["pushed"]
    assert field.clones.tip(done["branch"]) == ""
    assert code in (0, 3)
    assert field.operator.git("rev-parse", done["branch"]) == done["commit"]
