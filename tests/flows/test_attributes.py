"""Attributes and settings that make git change bytes: such an artifact is not staged, and the gate refuses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clones import Folder, make_clones
from support.fields import HERE, Field, make_field
from support.gatehouse import FRESH, artifact_files
from test_git_lfs import bent

from ml.adapters.git import open_repository

MODEL_FILE = f"{HERE}/model.onnx"
PLAIN = "A plain repository\n"


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Field:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return make_field(tmp_path, capfd)


def attributes(field: Field, text: str, path: str = ".gitattributes") -> None:
    """A line that is on the base already."""
    field.operator.write(path, text)
    field.operator.git("add", "-f", path)
    field.operator.git("commit", "-q", "-m", "attributes")
    field.operator.git("push", "-q", "origin", "main")


CHANGING = {
    "a-filter": ("*.onnx filter=compress", ".gitattributes", "the filter compress"),
    "annex": ("* filter=annex", ".gitattributes", "the filter annex"),
    "crypt-on-reports": ("*.json filter=git-crypt diff=git-crypt", ".gitattributes", "the filter git-crypt"),
    "text": ("*.onnx text", ".gitattributes", "takes it for text"),
    "crlf": ("* text=auto eol=crlf", ".gitattributes", "other line ends"),
    "old-crlf": ("*.json crlf\n*.json eol=crlf", ".gitattributes", "other line ends"),
    "ident": ("artifacts/** ident", ".gitattributes", "object ids"),
    "encoding": ("*.json working-tree-encoding=UTF-16", ".gitattributes", "another encoding"),
    "nested": ("*.onnx text", "artifacts/onnx/.gitattributes", "takes it for text"),
    "a-macro": ("[attr]ours filter=ours\nartifacts/** ours", ".gitattributes", "the filter ours"),
}


@pytest.mark.parametrize("name", CHANGING)
def test_an_attribute_of_the_base_that_changes_bytes_stops_a_staging_with_its_remedy(field: Field, name: str) -> None:
    line, path, says = CHANGING[name]
    attributes(field, f"{line}\n", path)
    said = field.refused(*field.stage())
    assert says in said
    assert "-text -ident -filter" in said


def test_an_attribute_of_this_clone_alone_counts_too(field: Field, tmp_path: Path) -> None:
    info = field.operator.path / ".git" / "info" / "attributes"
    info.parent.mkdir(exist_ok=True)
    info.write_text("*.onnx filter=mine\n")
    assert "the filter mine" in field.refused(*field.stage())
    info.unlink()
    (tmp_path / "mine").write_text("*.json working-tree-encoding=UTF-16\n")
    field.operator.git("config", "core.attributesFile", str(tmp_path / "mine"))
    assert "another encoding" in field.refused(*field.stage())


def test_line_ends_that_this_clone_would_write_stop_a_staging(field: Field) -> None:
    field.operator.git("config", "core.autocrlf", "true")
    said = field.refused(*field.stage())
    assert "would change the line ends" in said
    assert "core.autocrlf" in said
    attributes(field, "artifacts/** -text\n")
    assert field.done(*field.stage())["pushed"]


def test_a_file_whose_line_ends_git_would_normalize_is_not_staged(field: Field) -> None:
    attributes(field, "*.json text\n")
    words = field.stage()
    manifest = field.operator.path / HERE / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"\n", b"\r\n"))
    assert "would change the line ends" in field.refused(*words)


@pytest.mark.parametrize(
    "line",
    ["* text=auto", "*.json text eol=lf", "*.onnx binary", "*.onnx -text", "*.py filter=black", "*.onnx !filter"],
)
def test_attributes_that_change_nothing_here_hold_nothing_up(field: Field, line: str) -> None:
    attributes(field, f"{line}\n")
    done = field.done(*field.stage())
    for path, content in artifact_files(FRESH).items():
        blob = field.operator.git("rev-parse", f"{done['commit']}:{path}")
        assert blob == field.operator.git("hash-object", "--no-filters", path)
        assert content
    assert field.gate(done["branch"]) == (0, {})


def test_an_uncommitted_attribute_of_the_working_tree_decides_nothing(field: Field) -> None:
    words = field.stage()
    field.operator.write(".gitattributes", "*.onnx filter=compress\n")
    assert field.done(*words)["pushed"]


def test_no_filter_of_the_configuration_is_started(field: Field, tmp_path: Path) -> None:
    for kind in ("clean", "smudge", "process"):
        field.operator.git("config", f"filter.evil.{kind}", f"touch {tmp_path}/it-ran; cat")
    attributes(field, "*.txt filter=evil\n")
    info = field.operator.path / ".git" / "info" / "attributes"
    info.parent.mkdir(exist_ok=True)
    info.write_text("*.json filter=evil\n*.onnx text=auto\n")
    assert "the filter evil" in field.refused(*field.stage())
    assert not (tmp_path / "it-ran").exists()


def test_the_gate_refuses_an_artifact_that_brings_its_own_attributes(field: Field) -> None:
    code, closed = field.gate(bent(field, {f"{HERE}/.gitattributes": b"*.onnx text\n"}))
    assert code == 1
    assert "takes it for text" in closed["artifact"]


def test_the_gate_refuses_a_staging_below_attributes_that_change_bytes(field: Field) -> None:
    """A branch that was written by another tool, or before the attribute was there."""
    attributes(field, "*.onnx -filter\n")
    done = field.done(*field.stage())
    other = Folder(field.home / "judge", field.home)
    Folder(field.home, field.home).git("clone", "-q", field.clones.remote.path, other.path)
    info = other.path / ".git" / "info" / "attributes"
    info.parent.mkdir(exist_ok=True)
    info.write_text("*.onnx filter=compress\n")
    code, closed = field.gate(done["branch"], at=other)
    assert code == 1
    assert "the filter compress" in closed["artifact"]


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_conversions_are_those_of_the_commit_wherever_they_are_asked_for(tmp_path: Path, object_format: str) -> None:
    files: dict[str, str | bytes] = {
        "README.md": PLAIN,
        ".gitattributes": "*.txt text eol=crlf\n*.json text=auto\n",
        "deep/.gitattributes": "*.txt -text\n",
    }
    clones = make_clones(tmp_path, files, object_format)
    clones.operator.write(".gitattributes", "* -text\n")
    clones.operator.write("inside/file", "x")
    asked = [
        ("a.txt", b"a\nb\n"),
        ("deep/a.txt", b"a\nb\n"),
        ("b.bin", b"\0\r\n"),
        ("c.json", b"a\r\nb\r\n"),
        ("d.json", b"a\nb\n"),
        ("e.json", b"a\0b\r\n"),
    ]
    for path in (clones.operator.path, clones.operator.path / "inside", clones.remote.path):
        repository = open_repository(path)
        before = clones.operator.git("count-objects"), clones.remote.git("count-objects")
        assert repository.clone.converts(repository.refs.resolve("main") or "", asked) == ("a.txt", "c.json")
        assert (clones.operator.git("count-objects"), clones.remote.git("count-objects")) == before
