"""Ways in which changes and attacks arrive: commits with any parents and any tree, as forges and strangers do."""

from __future__ import annotations

from collections.abc import Sequence

from support.clones import OPERATOR
from support.gatehouse import Gatehouse


def commit_object(
    house: Gatehouse, tree_of: str, parents: Sequence[str], *, by: str = OPERATOR, message: str = "Merge\n"
) -> str:
    """A commit with the tree of another one and any parents, dated by the house."""
    git = house.clones.operator.git
    tree = git("rev-parse", f"{tree_of}^{{tree}}")
    person = f"{by.partition('@')[0]} <{by}> {int(house.now.timestamp())} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {person}", f"committer {person}"]
    text = "\n".join([*lines, "", message])
    return git("hash-object", "-t", "commit", "-w", "--stdin", stdin=text)


def merged(house: Gatehouse, onto: str, branch: str) -> str:
    """The merge commit that a forge makes of a branch, by git's own merge of the trees."""
    operator = house.clones.operator
    operator.git("checkout", "-q", "-f", "--detach", onto)
    operator.git("clean", "-qfd")
    operator.git("merge", "-q", "--no-ff", "--no-edit", "-m", "Merge pull request #1", branch)
    return commit_object(house, operator.git("rev-parse", "HEAD"), (onto, branch), message="Merge pull request #1\n")


def squashed(house: Gatehouse, onto: str, branch: str) -> str:
    """What a forge makes of a branch when it squashes: one commit by its author, committed by the forge."""
    operator = house.clones.operator
    together = merged(house, onto, branch)
    author = operator.git("log", "-1", "--format=%ae", branch)
    message = operator.git("log", "-1", "--format=%B", branch)
    return commit_object(house, together, (onto,), by=author, message=message + "\n")


def rebased(house: Gatehouse, onto: str, branch: str) -> str:
    """A branch of one commit, picked onto another base by git itself."""
    operator = house.clones.operator
    operator.git("checkout", "-q", "-f", "--detach", onto)
    operator.git("clean", "-qfd")
    operator.git("cherry-pick", "--allow-empty", branch)
    author, message = (operator.git("log", "-1", f"--format={each}", branch) for each in ("%ae", "%B"))
    return commit_object(house, operator.git("rev-parse", "HEAD"), (onto,), by=author, message=f"{message}\n")


def with_entry(house: Gatehouse, base: str, mode: str, blob: str, path: str, *, by: str) -> str:
    """A commit in which a path has any mode and object, as a symlink or a submodule has."""
    operator = house.clones.operator
    operator.git("read-tree", base)
    for below in operator.git("ls-files", "--", path).splitlines():
        operator.git("rm", "-q", "-f", "--cached", "--", below)
    operator.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}")
    tree = operator.git("write-tree")
    plain = commit_object(house, base, (base,), by=by)
    text = operator.git("cat-file", "commit", plain)
    first, _, rest = text.partition("\n")
    assert first.startswith("tree ")
    return operator.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=f"tree {tree}\n{rest}\n")
