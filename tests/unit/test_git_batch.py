"""Objects through one process give the same answers as git's own plumbing, and its failures are said."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.adapters import processes
from ml.adapters.git import open_repository
from ml.adapters.git_objects import BatchObjects
from ml.errors import Invalid, TimedOut, Unavailable
from ml.ports import Conversation
from ml.promotion import repository as values


class Shelf:
    """A repository in which a test makes trees and commits by plumbing."""

    def __init__(self, path: Path, form: str = "sha1") -> None:
        self.path = path
        self.git("init", "-q", f"--object-format={form}", "-b", "main")
        self.blobs = [self.blob(b"%d\n" % number) for number in range(4)]

    def git(self, *args: str, stdin: bytes = b"") -> str:
        told = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *args]
        return subprocess.run(told, cwd=self.path, input=stdin, capture_output=True, check=True).stdout.decode().strip()

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def tree(self, *lines: str) -> str:
        return self.git(
            "mktree", "-z", "--missing", stdin="".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")
        )

    def commit(self, tree: str, *parents: str) -> str:
        named = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", *named, "-m", "x", tree)

    def any_tree(self, dice: random.Random, depth: int = 0) -> str:
        names = dice.sample(["a", "a.b", "a-b", "a0", "ä", "\udcff", "with space", "new\nline"], dice.randint(1, 5))
        lines = []
        for name in names:
            if depth < 3 and dice.random() < 0.4:
                lines.append(f"040000 tree {self.any_tree(dice, depth + 1)}\t{name}")
            else:
                mode = dice.choice(["100644", "100755", "120000", "160000"])
                blob = dice.choice(self.blobs)
                lines.append(
                    f"160000 commit {'1' * len(blob)}\t{name}" if mode == "160000" else f"{mode} blob {blob}\t{name}"
                )
        return self.tree(*lines)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_trees_and_differences_are_those_of_git(tmp_path: Path, form: str) -> None:
    shelf, dice = Shelf(tmp_path, form), random.Random(7)
    trees = [shelf.any_tree(dice) for _ in range(8)]
    pairs = [(one, other) for one in trees for other in trees]
    plain = open_repository(tmp_path).objects
    with plain.held() as held:
        assert [sorted(each, key=repr) for each in held.differences(pairs)] == [
            sorted(each, key=repr) for each in plain.differences(pairs)
        ]
        commits = [shelf.commit(tree) for tree in trees]
        for commit in commits:
            assert sorted(held.tree(commit), key=repr) == sorted(plain.tree(commit), key=repr)
            for path in ("a", "a/a", "ä", "nothing", "a/nothing/x"):
                assert sorted(held.tree(commit, path), key=repr) == sorted(plain.tree(commit, path), key=repr)
                assert held.read(commit, path) == plain.read(commit, path)
                assert held.blob_id(commit, path) == plain.blob_id(commit, path)
        assert sorted(held.changes(*commits[:2]), key=repr) == sorted(plain.changes(*commits[:2]), key=repr)


def test_new_folders_are_those_that_git_lists(shelf: Shelf) -> None:
    """Through merges, moves and restored folders, nothing that the base lacks is left out."""
    dice = random.Random(11)
    base = shelf.commit(shelf.any_tree(dice))
    line = [base]
    for _ in range(12):
        parents = [line[-1], *([dice.choice(line[1:])] if len(line) > 3 and dice.random() < 0.4 else [])]
        line.append(shelf.commit(shelf.any_tree(dice), *dict.fromkeys(parents)))
    repository = open_repository(shelf.path)
    inside, outside = repository.history.span(base, line[-1])
    known = {commit.sha: commit.tree for commit in (*inside, *outside)}
    found = {sha for sha, _ in repository.objects.new_trees([(known[c.parents[0]], c.tree) for c in inside])}
    listed = shelf.git("rev-list", "--objects", "--no-object-names", line[-1], f"^{base}").split()
    assert {sha for sha in listed if shelf.git("cat-file", "-t", sha) == "tree"} <= found


def test_a_span_is_the_range_with_its_edge_and_the_base(shelf: Shelf) -> None:
    tree = shelf.tree(f"100644 blob {shelf.blobs[0]}\ta")
    old = shelf.commit(tree)
    base = shelf.git("commit-tree", "-p", old, "-m", "base", tree)
    side = shelf.git("commit-tree", "-p", old, "-m", "side", tree)
    head = shelf.git("commit-tree", "-p", base, "-p", side, "-m", "head", tree)
    history = open_repository(shelf.path).history
    inside, outside = history.span(base, head)
    assert [each.sha for each in inside] == [each.sha for each in history.between(base, head)] == [side, head]
    assert {each.sha for each in outside} == {old, base}
    inside, outside = history.span(base, side)
    assert ([each.sha for each in inside], {each.sha for each in outside}) == ([side], {old, base})


def test_an_object_is_asked_for_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = shelf.commit(shelf.tree(f"100644 blob {shelf.blobs[1]}\ta"))
    said: list[bytes] = []
    real = processes.ProcessConversation.say
    monkeypatch.setattr(
        processes.ProcessConversation, "say", lambda self, words: (said.append(words), real(self, words))[1]
    )
    with open_repository(shelf.path).objects.held() as held:
        assert held.read(commit, "a") == held.read(commit, "a") == held.blob(shelf.blobs[1]) == b"1\n"
        assert held.read(commit, "b") is held.read(commit, "b") is None
        assert len(said) == 3, "what is missing is looked for in its folder, once"
        assert held.blob("HEAD") is None, "only whole ids name blobs"


def test_a_damaged_object_is_said(shelf: Shelf) -> None:
    blob = shelf.blob(b"precious" * 100)
    commit = shelf.commit(shelf.tree(f"100644 blob {blob}\ta"))
    loose = shelf.path / ".git/objects" / blob[:2] / blob[2:]
    loose.chmod(0o644)
    loose.write_bytes(loose.read_bytes()[:20])
    with open_repository(shelf.path).objects.held() as held, pytest.raises(Invalid, match="is damaged"):
        held.read(commit, "a")
    tree = shelf.tree(f"100644 blob {shelf.blobs[0]}\tb")
    lone = shelf.commit(tree)
    (shelf.path / ".git/objects" / tree[:2] / tree[2:]).unlink()
    with open_repository(shelf.path).objects.held() as held, pytest.raises((Invalid, Unavailable)):
        held.tree(lone)


@pytest.mark.parametrize("path", ["a", "folder/a", "folder/nothing"])
def test_a_lost_object_is_not_taken_for_a_file_that_is_not_there(shelf: Shelf, path: str) -> None:
    """A gate that took a lost policy for none would ask nobody for a role."""
    blob = shelf.blob(b"rules")
    folder = shelf.tree(f"100644 blob {blob}\ta")
    commit = shelf.commit(shelf.tree(f"100644 blob {blob}\ta", f"040000 tree {folder}\tfolder"))
    lost = blob if path.endswith("a") else folder
    (shelf.path / ".git/objects" / lost[:2] / lost[2:]).unlink()
    with open_repository(shelf.path).objects.held() as held:
        assert held.read(commit, "b") is None
        with pytest.raises(Unavailable, match="does not have the commit"):
            held.read("0" * 39 + "1", "a")
        for ask in (held.read, held.blob_id):
            with pytest.raises((Invalid, Unavailable), match=lost[:12]):
                ask(commit, path)


def test_folders_that_hold_each_other_again_and_again_are_refused(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some kilobytes of a push that name 10^12 files: neither time nor memory may follow."""
    monkeypatch.setattr("ml.adapters.git_objects._MOST_STEPS", 10_000)
    tree = shelf.tree(*(f"100644 blob {shelf.blobs[0]}\t{name}" for name in range(10)))
    for _ in range(11):
        tree = shelf.tree(*(f"040000 tree {tree}\t{name}" for name in range(10)))
    base = shelf.commit(shelf.tree(f"100644 blob {shelf.blobs[0]}\tx"))
    head = shelf.commit(tree, base)
    with open_repository(shelf.path).objects.held() as held:
        for ask in (lambda: held.changes(base, head), lambda: held.tree(head)):
            with pytest.raises(Invalid, match="more files and folders to look at"):
                ask()
        assert held.read(base, "x") == b"0\n"


def test_after_an_answer_that_was_not_read_to_its_end_nothing_is_believed(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = b"%s blob 5\nrules\n" % shelf.blobs[0].encode()
    commit = shelf.commit(shelf.tree(f"100644 blob {shelf.blob(forged * 200_000)}\ta"))
    monkeypatch.setattr("ml.adapters.git_objects.READ_LIMIT", 1 << 20)
    with open_repository(shelf.path).objects.held() as held:
        with pytest.raises(Invalid, match="has more than 1 MiB"):
            held.read(commit, "a")
        with pytest.raises(Unavailable, match="not read to its end"):
            held.read(commit, "b")


def test_a_name_that_no_disk_takes_is_said(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    commit = shelf.commit(shelf.tree(f"100644 blob {shelf.blobs[0]}\t{'n' * 300}"))
    with pytest.raises(Unavailable, match="cannot be written to this disk: File name too long"):
        open_repository(shelf.path).objects.export(commit, tmp_path / "out")


def test_a_graft_shows_no_other_parents(shelf: Shelf) -> None:
    tree = shelf.tree(f"100644 blob {shelf.blobs[0]}\ta")
    base = shelf.commit(tree)
    between = shelf.git("commit-tree", "-p", base, "-m", "between", tree)
    head = shelf.git("commit-tree", "-p", between, "-m", "head", tree)
    (shelf.path / ".git/info").mkdir(exist_ok=True)
    (shelf.path / ".git/info/grafts").write_text(f"{head} {base}\n")
    inside, _ = open_repository(shelf.path).history.span(base, head)
    assert [each.sha for each in inside] == [between, head]


def test_limits_are_stated(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = shelf.blob(b"x" * (3 << 20))
    commit = shelf.commit(shelf.tree(f"100644 blob {large}\tmodel", f"100644 blob {large}\tsame"))
    for module in ("ml.adapters.git_objects", "ml.adapters.git_objects"):
        monkeypatch.setattr(f"{module}.READ_LIMIT", 2 << 20)
    objects = open_repository(shelf.path).objects
    with objects.held() as held, pytest.raises(Invalid, match="has more than 2 MiB"):
        held.read(commit, "model")
    with pytest.raises(Invalid, match="model has more than 2 MiB"):
        objects.read(commit, "model")
    (tmp_path / "out").mkdir()
    assert objects.export(commit, tmp_path / "out") == 2, "files are streamed, whatever may be read at once"
    monkeypatch.setattr("ml.adapters.git_objects.EXPORT_LIMIT", 5 << 20)
    (tmp_path / "less").mkdir()
    with pytest.raises(Invalid, match="more than 5 MiB together"):
        objects.export(commit, tmp_path / "less")


@pytest.fixture
def chatty() -> Iterator[list[Conversation]]:
    started: list[Conversation] = []
    yield started
    for each in started:
        each.close()


def conversation(started: list[Conversation], program: str, deadline_s: float = 20.0) -> Conversation:
    started.append(processes.ProcessConversation([sys.executable, "-c", program], deadline_s=deadline_s))
    return started[-1]


def test_a_program_that_says_nothing_is_given_up(chatty: list[Conversation]) -> None:
    silent = conversation(chatty, "import time; time.sleep(60)", deadline_s=0.2)
    with pytest.raises(TimedOut, match=r"said nothing for 0\.2 s"):
        silent.line()


def test_a_program_that_ends_is_quoted(chatty: list[Conversation]) -> None:
    ending = conversation(chatty, "import sys; sys.exit('no more')")
    with pytest.raises(Unavailable, match="ended before it had answered: no more"):
        ending.line()
    short = conversation(chatty, "print('abc', end='')")
    with pytest.raises(Unavailable, match="ended before"):
        list(short.take(4))


def test_neither_side_waits_for_the_other(chatty: list[Conversation]) -> None:
    """A program that answers more than a pipe holds, while it is still being asked."""
    echo = conversation(chatty, "import sys\nfor line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()")
    words = b"x" * 60_000 + b"\n"
    for _ in range(8):
        echo.say(words)
    assert b"".join(echo.take(8 * len(words))) == words * 8


def test_the_group_ends_with_the_conversation(chatty: list[Conversation]) -> None:
    program = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    talk = conversation(chatty, program)
    pid = int(talk.line())
    talk.close()
    assert not Path(f"/proc/{pid}").exists()


def test_a_folder_nested_too_deeply_is_refused(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.adapters.git_objects._DEEPEST", 3)
    tree = shelf.tree(f"100644 blob {shelf.blobs[0]}\tx")
    for _ in range(6):
        tree = shelf.tree(f"040000 tree {tree}\td")
    with open_repository(shelf.path).objects.held() as held, pytest.raises(Invalid, match="nested deeper than 3"):
        held.tree(shelf.commit(tree))


def test_a_held_reader_is_a_reader(shelf: Shelf) -> None:
    with open_repository(shelf.path).objects.held() as held:
        assert isinstance(held, BatchObjects)
        with held.held() as same:
            assert same is held
    assert values.EXPORT_LIMIT > values.READ_LIMIT
