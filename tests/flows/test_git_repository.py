"""The git adapter on real repositories: reads what is committed, writes only refs and objects, says what failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import git as gitpython
import pytest
from support.clones import Clones, Folder, make_clones

from ml.adapters.git import open_repository
from ml.errors import Conflict, ConsoleError, Invalid, Refused, Unavailable, Usage
from ml.promotion.repository import Person, Repository

WHEN = datetime(2026, 2, 16, 10, 0, tzinfo=UTC)
AUTHOR = Person("Operator", "operator@example.com")
BRANCH = "refs/heads/promote/m/x-to-shadow-20260216T100000Z"
FILES = (("ml/registry/models.json", b'{"new": 1}\n'), ("ml/registry/evidence/x/\xe9.json".encode().decode(), b"{}"))


def written(repository: Repository, base: str = "refs/remotes/origin/main") -> str:
    commit = repository.writer.commit(repository.refs.resolve(base) or "", FILES, "Promote\n\nModel: m\n", AUTHOR, WHEN)
    repository.refs.create(BRANCH, commit)
    return commit


def test_reads_a_commit_as_an_independent_reader_does(clones: Clones) -> None:
    sha = clones.operator.commit("Second\n\nModel: m\nAck: yes", {"a/b c.txt": "é\n", "tool": "x"})
    repository = open_repository(clones.operator.path)
    witness = gitpython.Repo(clones.operator.path).commit(sha)

    info = repository.history.commit(sha)

    assert (info.sha, info.message.strip()) == (witness.hexsha, str(witness.message).strip())
    assert info.parents == tuple(parent.hexsha for parent in witness.parents)
    assert (info.author.email, info.at) == (witness.author.email, witness.committed_datetime)
    assert info.trailer("Model") == witness.trailers_dict["Model"][0] == "m"
    assert repository.objects.read(sha, "a/b c.txt") == "é\n".encode()
    assert repository.objects.blob_id(sha, "tool") == witness.tree["tool"].hexsha
    blobs = {blob.path for blob in witness.tree.traverse() if blob.type == "blob"}
    assert {entry.path for entry in repository.objects.tree(sha)} == blobs
    changed = [(change.path, change.added) for change in repository.objects.changes(info.parents[0], sha)]
    assert changed == [("a/b c.txt", True), ("tool", True)]


def test_absent_things_are_none_and_not_errors(clones: Clones) -> None:
    repository = open_repository(clones.operator.path)
    assert repository.refs.resolve("nowhere") is None
    assert repository.objects.read("main", "no/such/file") is None
    assert repository.objects.blob_id("main", "no/such/file") == ""
    assert repository.objects.read("main", "ml") is None
    assert repository.remotes.tip("origin", "refs/heads/none") is None


def test_no_repository_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="no git repository"):
        open_repository(tmp_path).history.touching("main", "x", 1)


@pytest.mark.parametrize("bad", ["-x", "", "--upload-pack=evil", "a\nb"])
def test_values_that_git_would_take_for_options_are_refused(clones: Clones, bad: str) -> None:
    repository = open_repository(clones.operator.path)
    for use in (repository.refs.resolve, repository.history.commit, repository.objects.tree):
        with pytest.raises(Refused):
            use(bad)
    with pytest.raises(Refused):
        repository.remotes.push(bad, "refs/heads/x", "main")
    with pytest.raises(Refused):
        repository.objects.read("main", bad)


def test_a_written_commit_holds_the_base_tree_and_the_new_files(clones: Clones) -> None:
    repository = open_repository(clones.operator.path)
    base = clones.tip()

    commit = written(repository)

    witness = gitpython.Repo(clones.operator.path).commit(commit)
    assert [parent.hexsha for parent in witness.parents] == [base]
    assert (witness.author.email, witness.authored_datetime) == (AUTHOR.email, WHEN)
    assert {blob.path: blob.data_stream.read() for blob in witness.tree.traverse() if blob.type == "blob"} == {
        "README.md": b"hello\n",
        **dict(FILES),
    }


def bare(clones: Clones) -> Folder:
    return clones.another("bare.git", "--bare")


def shallow(clones: Clones) -> Folder:
    return clones.another("shallow", "--depth=1")


def dirty(clones: Clones) -> Folder:
    clones.operator.write("README.md", "changed\n")
    clones.operator.write("untracked", "x")
    return clones.operator


def staged(clones: Clones) -> Folder:
    clones.operator.write("staged", "x")
    clones.operator.git("add", "staged")
    return clones.operator


def detached(clones: Clones) -> Folder:
    clones.operator.git("checkout", "-q", "--detach")
    return clones.operator


def unborn(clones: Clones) -> Folder:
    clones.operator.git("checkout", "-q", "--orphan", "nothing-yet")
    return clones.operator


def mid_merge(clones: Clones) -> Folder:
    clones.operator.git("checkout", "-q", "-b", "theirs")
    clones.operator.commit("theirs", {"README.md": "theirs\n"})
    clones.operator.git("checkout", "-q", "main")
    clones.operator.commit("ours", {"README.md": "ours\n"})
    clones.operator.git("merge", "theirs", fails=True)
    return clones.operator


def worktree(clones: Clones) -> Folder:
    clones.operator.git("worktree", "add", "-q", "../tree")
    return Folder(clones.operator.home / "tree", clones.operator.home)


def hostile_settings(clones: Clones) -> Folder:
    trap = clones.operator.home / "trap"
    trap.mkdir()
    program = trap / "run"
    program.write_text(f"#!/bin/sh\ntouch {trap}/sprung\n")
    program.chmod(0o755)
    for hook in ("pre-push", "reference-transaction", "post-index-change"):
        (trap / hook).symlink_to(program)
    clones.operator.git("config", "core.hooksPath", trap)
    clones.operator.git("config", "core.fsmonitor", program)
    return clones.operator


@pytest.mark.parametrize(
    "state", [bare, shallow, dirty, staged, detached, unborn, mid_merge, worktree, hostile_settings]
)
def test_writes_in_any_state_of_a_clone_and_touches_nothing_of_it(
    clones: Clones, state: Callable[[Clones], Folder]
) -> None:
    clones.operator.commit("Third", {"x": "1"})
    clones.operator.git("push", "-q")
    folder = state(clones)
    repository = open_repository(folder.path)
    repository.remotes.fetch("origin", "main")
    before = folder.trace()

    commit = written(repository)
    result = repository.remotes.push("origin", BRANCH, commit)

    assert result.accepted
    assert repository.remotes.tip("origin", BRANCH) == commit == clones.tip(BRANCH.removeprefix("refs/heads/"))
    assert folder.trace() == before
    assert not (clones.operator.home / "trap" / "sprung").exists()
    assert not list((clones.operator.path / ".git").rglob("write-*"))


def test_sha256_repositories_are_read_written_and_pushed(tmp_path: Path) -> None:
    clones = make_clones(tmp_path, object_format="sha256")
    repository = open_repository(clones.operator.path)
    commit = written(repository)
    assert len(commit) == 64
    assert repository.remotes.push("origin", BRANCH, commit).accepted
    assert repository.objects.read(commit, FILES[0][0]) == FILES[0][1]


def test_a_branch_is_created_once(clones: Clones) -> None:
    repository = open_repository(clones.operator.path)
    written(repository)
    with pytest.raises(Conflict, match="nothing was overwritten"):
        repository.refs.create(BRANCH, clones.tip())


def test_nobody_commits_without_a_name(clones: Clones) -> None:
    clones.operator.git("config", "--unset", "user.email")
    with pytest.raises(Refused, match="who you are"):
        open_repository(clones.operator.path).writer.identity()


def test_a_push_is_never_forced(clones: Clones) -> None:
    repository = open_repository(clones.operator.path)
    clones.operator.git("config", "push.default", "current")
    clones.operator.git("config", "remote.origin.push", "+refs/heads/*:refs/heads/*")
    other = clones.another("other")
    other.commit("theirs", {"y": "1"})
    other.git("push", "-q")
    theirs = clones.tip()

    result = repository.remotes.push("origin", "refs/heads/main", clones.operator.commit("ours", {"z": "1"}))

    assert not result.accepted
    assert clones.tip() == theirs


def test_the_base_is_the_remote_branch_else_the_local_one(clones: Clones) -> None:
    repository = open_repository(clones.operator.path)
    found = repository.refs.base("origin/main")
    assert (found.ref, found.remote, found.branch, found.commit) == ("origin/main", "origin", "main", clones.tip())
    clones.operator.git("remote", "remove", "origin")
    found = repository.refs.base("origin/main")
    assert (found.ref, found.remote, found.branch) == ("main", "", "main")
    with pytest.raises(Unavailable, match="no branch"):
        repository.refs.base("origin/elsewhere")


def test_change_branches_are_listed_with_where_they_are(clones: Clones) -> None:
    repository = open_repository(clones.operator.path)
    clones.operator.git("branch", "feature/x")
    commit = written(repository)
    (branch,) = repository.refs.branches(unmerged_into=clones.tip())
    assert (branch.name, branch.commit.sha, branch.pushed) == (BRANCH.removeprefix("refs/heads/"), commit, False)
    repository.remotes.push("origin", BRANCH, commit)
    repository.remotes.fetch("origin", "main")
    assert [branch.pushed for branch in repository.refs.branches()] == [True]
    assert repository.refs.branches(unmerged_into=commit) == ()


def test_approvals_are_fetched_and_never_overwritten(clones: Clones) -> None:
    repository, other = open_repository(clones.operator.path), clones.another("other")
    first, second = clones.operator.commit("one"), other.commit("two")
    for ref, sha in (("refs/approvals/x/ours", first), ("refs/approvals/x/both", first)):
        clones.operator.git("update-ref", ref, sha)
    other.git("push", "-q", "origin", f"{second}:refs/approvals/x/theirs", f"{second}:refs/approvals/x/both")
    repository.remotes.fetch("origin", "main")
    assert dict(repository.refs.below("refs/approvals/x/")) == {
        "refs/approvals/x/both": first,
        "refs/approvals/x/ours": first,
        "refs/approvals/x/theirs": second,
    }


def test_export_writes_what_is_committed_whatever_attributes_say(clones: Clones, tmp_path: Path) -> None:
    clones.operator.write("tool.sh", "#!/bin/sh\n")
    (clones.operator.path / "tool.sh").chmod(0o755)
    (clones.operator.path / "link").symlink_to("tool.sh")
    commit = clones.operator.commit(
        "x", {".gitattributes": "hidden export-ignore\n", "hidden": b"\x00\xff\n", "d/e": ""}
    )
    target = tmp_path / "exported"
    target.mkdir()

    open_repository(clones.operator.path).objects.export(commit, target)

    assert (target / "hidden").read_bytes() == b"\x00\xff\n"
    assert (target / "d/e").read_bytes() == b""
    assert (target / "link").readlink() == Path("tool.sh")
    assert (target / "tool.sh").stat().st_mode & 0o100


def test_a_damaged_object_is_named_and_nothing_is_read(clones: Clones) -> None:
    blob = clones.operator.git("rev-parse", "HEAD:README.md")
    stored = clones.operator.path / ".git/objects" / blob[:2] / blob[2:]
    stored.chmod(0o644)
    stored.write_bytes(b"rubbish")
    with pytest.raises(ConsoleError) as caught:
        open_repository(clones.operator.path).objects.read("main", "README.md")
    assert isinstance(caught.value, Invalid)


def test_a_clone_is_described_for_people(clones: Clones) -> None:
    told = {
        "ordinary clone, on main, remotes: origin": clones.operator,
        "bare clone, on main, remotes: origin": bare(clones),
        "shallow clone, on main, remotes: origin": shallow(clones),
        "linked worktree clone, on tree, remotes: origin": worktree(clones),
    }
    assert [str(open_repository(folder.path).clone.describe()) for folder in told.values()] == list(told)
    mid_merge(clones)
    assert "merge under way" in str(open_repository(clones.operator.path).clone.describe())
    clones.operator.git("merge", "--abort")
    detached(clones)
    assert "HEAD detached" in str(open_repository(clones.operator.path).clone.describe())
    with pytest.raises(Usage):
        open_repository(clones.operator.home / "nowhere").clone.describe()


def test_a_tag_never_stands_for_a_branch(clones: Clones) -> None:
    """git itself would take the tag, which anybody with push access can make."""
    operator = clones.operator
    other = operator.commit("Another state", {"x.txt": "x"})
    operator.git("reset", "-q", "--hard", "origin/main")
    repository = open_repository(operator.path)
    tip = repository.refs.resolve("origin/main")
    for tag in ("origin/main", "main", "refs/heads/main", "HEAD", "gone", "refs/heads/gone", str(tip)[:10], str(tip)):
        operator.git("update-ref", f"refs/tags/{tag}", other)
    for name in ("origin/main", "main", "refs/heads/main", "HEAD", str(tip)[:10], str(tip), "main~0", "HEAD^0"):
        assert repository.refs.resolve(name) == tip, name
    assert repository.refs.resolve("gone") is None
    assert repository.refs.resolve("refs/heads/gone") is None
    assert repository.refs.resolve("refs/tags/gone") == other
