"""Malformed trees as raw bytes; git's own trees pass, each fault gets a sentence."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ml.adapters.git import open_repository
from ml.promotion.gate.landing import malformed

SHA = "ab" * 20


def entry(name: str | bytes, mode: str = "100644") -> bytes:
    raw = name if isinstance(name, bytes) else name.encode()
    return f"{mode} ".encode() + raw + b"\0" + bytes.fromhex(SHA)


def fault(*entries: bytes) -> str:
    return malformed([(SHA, b"".join(entries))], 20)


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (entry(".gitattributes"), entry(".github", "40000"), entry(".gitignore"), entry("a")),
        (entry("a.b"), entry("a", "40000"), entry("a0")),
        (entry("digit~1"), entry("git"), entry("git~10")),
        (entry("link", "120000"), entry("module", "160000"), entry("run", "100755"), entry("was", "100664")),
        (entry("grüße"), entry("ünder"), entry(b"\xff\xfe")),
    ],
)
def test_what_git_writes(entries: tuple[bytes, ...]) -> None:
    assert fault(*entries) == ""


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ((entry("a"), entry("a")), "twice"),
        ((entry("a"), entry("a.b"), entry("a", "40000")), "the name a twice"),
        ((entry("b"), entry("a")), "out of order"),
        ((entry("a", "40000"), entry("a.b")), "out of order"),
        ((entry(".", "40000"),), "leads elsewhere"),
        ((entry("..", "40000"),), "leads elsewhere"),
        ((entry(""),), "leads elsewhere"),
        ((entry("a/b"),), "leads elsewhere"),
        *(((entry(name, "40000"),), "leads elsewhere") for name in (".git", ".GIT", ".git ", ".git.", "GIT~1")),
        *(((entry(name, "40000"),), "leads elsewhere") for name in (".g\u200cit", ".git::$INDEX_ALLOCATION")),
        ((entry("x\\.git\\hooks"),), "leads elsewhere"),
        ((entry("a", "040000"),), "with the mode 040000"),
        ((entry("a", "100600"),), "with the mode 100600"),
        ((entry("a")[:-1],), "read to its end"),
        ((b"100644 a",), "read to its end"),
        ((b"nonsense",), "read to its end"),
    ],
)
def test_each_fault_has_a_sentence(entries: tuple[bytes, ...], says: str) -> None:
    assert says in fault(*entries)


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_the_trees_of_a_repository_are_read_raw(tmp_path: Path, form: str) -> None:
    def git(*args: str, stdin: bytes = b"") -> str:
        told = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *args]
        return subprocess.run(told, cwd=tmp_path, input=stdin, capture_output=True, check=True).stdout.decode().strip()

    git("init", "-q", f"--object-format={form}", "-b", "main")
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/file").write_text("1")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    base = git("rev-parse", "HEAD")
    (tmp_path / "deep/er/file").write_text("2")
    git("commit", "-q", "-a", "-m", "two")
    head = git("rev-parse", "HEAD")
    objects = open_repository(tmp_path).objects
    one, two = (git("rev-parse", f"{commit}^{{tree}}") for commit in (base, head))
    found = list(objects.new_trees([(one, two)]))
    expected = {git("rev-parse", f"{head}:{path}") for path in ("", "deep", "deep/er")}
    assert {sha for sha, _ in found} == expected
    assert malformed(found, len(head) // 2) == ""
    blob = git("rev-parse", "HEAD:deep/er/file")
    raw = b"100644 a\0" + bytes.fromhex(blob)
    tree = git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=raw + raw)
    assert "holds the name a twice" in malformed(objects.new_trees([(two, tree)]), len(head) // 2)
