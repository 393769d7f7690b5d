"""The git repository as promotion needs it: frozen values, and a Protocol for each part (see `Repository`).

Commits, blobs and refs are named by full hexadecimal object ids, of 40 or 64 digits; paths are relative to the
repository root, with ``/``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ml.promotion.clone import Clone
from ml.promotion.lfs import LargeFiles

CHANGE_PREFIXES = ("stage/", "promote/", "rollback/", "withdraw/", "init/")
"""The prefix of change branches; other branches are not ours."""

APPROVALS = "refs/approvals/"
"""Where approvals live, as ``refs/approvals/<approved commit>/<the approval's own commit>``.

A slot that is named after its own content can be taken by nothing else. Consoles of the first edition named it after
the approver (`ml.promotion.gate.authority.approver_slot`).
"""

READ_LIMIT = 256 << 20
"""The largest file of git that is read into memory, in bytes: as large as a registry may be."""

EXPORT_LIMIT = 1 << 30
"""The most that an artifact's files may have together in git, in bytes. They are streamed, never held in memory."""

EVIDENCE_LIMIT = 64 << 20
"""The largest evidence document that the gate takes, in bytes."""

REGULAR_FILE = "100644"
SUBMODULE = "160000"
ABSENT = "000000"


@dataclass(frozen=True, slots=True)
class Person:
    """The author of a commit, as git knows them. ``email`` is the identity that roles are given to."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit: its parents, its tree, who and when (committer time), and its whole message."""

    sha: str
    parents: tuple[str, ...]
    tree: str
    author: Person
    committer: Person
    at: datetime
    message: str

    def trailer(self, key: str) -> str:
        """The value of the last trailer of that name, empty when there is none."""
        return trailers(self.message).get(key, "")


@dataclass(frozen=True, slots=True)
class PathChange:
    """One path that differs between two trees, with git's six-digit modes (``000000``: absent).

    ``new_blob`` is the object id of what the newer tree holds there, all zeros where it holds nothing.
    """

    path: str
    old_mode: str
    new_mode: str
    new_blob: str = ""

    @property
    def added(self) -> bool:
        """True if the path did not exist before."""
        return self.old_mode == ABSENT

    @property
    def deleted(self) -> bool:
        """True if the path is gone."""
        return self.new_mode == ABSENT


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a tree: git's mode and the blob's id."""

    path: str
    mode: str
    blob: str


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """A change branch: its tip, and whether the remote holds exactly that tip."""

    name: str
    commit: CommitInfo
    pushed: bool


@dataclass(frozen=True, slots=True)
class BaseRef:
    """The ref of the registry: its name, its commit, and the remote and branch behind it.

    ``remote`` is empty where the ref is a local branch of a repository without that remote.
    """

    ref: str
    commit: str
    remote: str
    branch: str


@dataclass(frozen=True, slots=True)
class Signature:
    """The result of checking a commit's SSH signature. ``principal`` and ``key`` are empty unless it is good.

    ``key`` is the fingerprint. ``why`` is one sentence, good or bad.
    """

    good: bool
    why: str
    principal: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class PushResult:
    """The remote's answer to a push. ``accepted`` is false only where the server refused in so many words.

    ``moved``: it refused because its branch is not where we expected, not because of our commit. ``wants`` is a trailer
    that it asks for, such as ``Signed-off-by``; empty where it names none that we know.
    """

    accepted: bool
    words: str = ""
    moved: bool = False
    wants: str = ""


def trailers(message: str) -> dict[str, str]:
    """The trailers (``Key: value``) of a commit message's last paragraph; a repeated key keeps its last value."""
    paragraph = message.rstrip("\n").rpartition("\n\n")[2]
    pairs = (line.partition(": ") for line in paragraph.splitlines())
    return {key: value.strip() for key, colon, value in pairs if colon and key and " " not in key}


class Objects(Protocol):
    """Reading of files and trees by the commits that hold them; never the working tree.

    A file that is not there and a file that is lost are two things. What a tree names and this repository cannot read
    raises Invalid, from every method.
    """

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's bytes in a commit, or ``None`` when it is not there.

        Raises:
            Invalid: the file is there, and its object is damaged or missing. Unavailable: the commit is not here.
        """
        ...

    def blob_id(self, commit: str, path: str) -> str:
        """The object id of a file in a commit, empty when it is not there."""
        ...

    def blob(self, blob: str) -> bytes | None:
        """The bytes of a blob by its object id, or ``None`` when this repository has no such blob."""
        ...

    def content(self, entry: TreeEntry) -> bytes:
        """The bytes of a tree's file; a submodule has none. Raises Invalid when its object is damaged or missing."""
        ...

    def tree(self, commit: str, path: str = "") -> tuple[TreeEntry, ...]:
        """All files at or under a path of a commit's tree."""
        ...

    def new_trees(self, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
        """Every folder of each pair's newer tree that differs from the older's at its place: its id and raw bytes.

        Where each commit is paired with its first parent, the oldest first, that is every tree that is new.
        """
        ...

    def changes(self, base: str, head: str) -> tuple[PathChange, ...]:
        """All paths that differ between two commits' trees; renames are a deletion and an addition."""
        ...

    def differences(self, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[PathChange, ...], ...]:
        """`changes` of many pairs of trees (by their ids) in one go, in the order of the pairs."""
        ...

    def export(self, commit: str, directory: Path, paths: Sequence[str] = ()) -> int:
        """Write a commit's files (or those under ``paths``) into an existing empty directory; returns how many.

        Raises Invalid where they are larger than `EXPORT_LIMIT` together.
        """
        ...

    def held(self) -> AbstractContextManager[Objects]:
        """The same reader by one process for many questions, which ends with the block. For one thread."""
        ...


class History(Protocol):
    """Reading of commits and of the lines that they form."""

    def commit(self, sha: str) -> CommitInfo:
        """One commit. Raises Unavailable when the repository does not have it."""
        ...

    def commits(self, shas: Sequence[str]) -> tuple[CommitInfo, ...]:
        """Several commits at once, in no particular order, each once. Raises as `commit`."""
        ...

    def between(self, base: str, head: str) -> tuple[CommitInfo, ...]:
        """Every commit that ``head`` reaches and ``base`` does not, each after all of its parents."""
        ...

    def span(self, base: str, head: str) -> tuple[tuple[CommitInfo, ...], tuple[CommitInfo, ...]]:
        """`between`, and besides those commits their parents outside, and ``base``, in no particular order."""
        ...

    def touching(self, commit: str, path: str, limit: int) -> tuple[CommitInfo, ...]:
        """The newest commits on a first-parent chain that changed a path, newest first."""
        ...

    def weight(self, commit: str, remote: str) -> int:
        """The bytes on disk that a commit needs and no branch of a remote, as last fetched, holds yet."""
        ...

    def independent(self, commits: Sequence[str]) -> tuple[str, ...]:
        """Those of some commits that none of the others reaches."""
        ...

    def is_ancestor(self, older: str, newer: str) -> bool:
        """True if ``older`` is ``newer`` or one of its ancestors."""
        ...

    def merge_base(self, one: str, other: str) -> str | None:
        """The newest commit that two revisions have in common, or ``None``."""
        ...


class Refs(Protocol):
    """Reading of branches and other refs."""

    def resolve(self, rev: str) -> str | None:
        """The commit that a revision names, or ``None``: a remote or local branch, an object id; never a tag's name."""
        ...

    def base(self, ref: str) -> BaseRef:
        """Find the base branch by a ref such as ``origin/main``, else the local branch of the same name.

        Raises: Unavailable when there is neither.
        """
        ...

    def branches(self, remote: str = "origin", *, unmerged_into: str = "", fork: str = "") -> tuple[BranchInfo, ...]:
        """All change branches, local and of remote and fork as last fetched, except those that a commit contains."""
        ...

    def below(self, *patterns: str) -> tuple[tuple[str, str], ...]:
        """All refs under some prefixes such as ``refs/approvals/``, as pairs of name and commit.

        A ``*`` in a pattern stands for anything but a slash.
        """
        ...

    def checked_out(self, branch: str) -> bool:
        """True if a working tree of this repository has the branch checked out."""
        ...


class RefWriter(Refs, Protocol):
    """Reading and moving of refs, each move by compare-and-swap."""

    def create(self, ref: str, commit: str) -> None:
        """Create a ref that must not exist yet. Raises Conflict when it does."""
        ...

    def move(self, ref: str, new: str, old: str) -> None:
        """Move a ref that must still be at ``old`` (empty: must not exist). Raises Conflict when it is not."""
        ...

    def delete(self, ref: str, old: str) -> None:
        """Delete a ref that must still be at ``old``. Raises Conflict when it is not."""
        ...


class Signatures(Protocol):
    """Checking of commits' SSH signatures."""

    def judge(self, commit: str, allowed_signers: bytes) -> Signature:
        """Judge a commit's SSH signature against a list of allowed signers."""
        ...


class CommitWriter(Protocol):
    """Writing of commits, without the working tree, the index or HEAD."""

    def signs_off(self) -> bool:
        """True if every new commit gets the author's ``Signed-off-by``."""
        ...

    def hooks_left_out(self) -> tuple[str, ...]:
        """The hooks of this clone that would write or judge a message, and that are not run."""
        ...

    def identity(self) -> Person:
        """Return the author of new commits. Raises Refused when git has none configured."""
        ...

    def signing_key(self) -> str:
        """The SSH key that commits are signed with here, as its type and text; empty where they are not."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """The serial queue of writes of this clone, across processes."""
        ...

    def commit(self, base: str, files: Sequence[tuple[str, bytes]], message: str, author: Person, at: datetime) -> str:
        """Make a commit on ``base`` with some files' new bytes, signed where git is configured to; returns its id."""
        ...

    def merge(
        self,
        base: str,
        other: str,
        entries: Sequence[PathChange],
        files: Sequence[tuple[str, bytes]],
        message: str,
        author: Person,
        at: datetime,
    ) -> str:
        """Merge ``other`` into ``base``: the base's tree, ``entries`` as their newer side has them, ``files`` anew."""
        ...

    def note(self, parent: str, message: str, author: Person, at: datetime) -> str:
        """Make an SSH-signed commit on ``parent`` that changes no file; returns its id. Raises Refused unsigned."""
        ...


class Remotes(Protocol):
    """Talk with the remotes of a repository."""

    def url(self, remote: str) -> str:
        """A remote's address, empty when there is no such remote."""
        ...

    def push(self, remote: str, ref: str, commit: str, deadline_s: float = 30.0) -> PushResult:
        """Offer one commit to one ref of the remote, never forced.

        Raises: Unavailable, TimedOut (out of reach, or its answer was lost).
        """
        ...

    def delete(self, remote: str, ref: str, commit: str, deadline_s: float = 30.0) -> PushResult:
        """Delete one ref of the remote, if it is at exactly this commit there. Raises as `push`."""
        ...

    def push_remote(self, base: str) -> str:
        """The remote that git pushes branches made from a base to; empty where it is told nothing."""
        ...

    def tip(self, remote: str, ref: str, deadline_s: float = 15.0, *, pushed: bool = False) -> str | None:
        """The commit that a ref of the remote is at now, ``None`` when it does not exist. Raises as `push`.

        ``pushed``: ask where pushes go, which may be another server.
        """
        ...

    def fetch(self, remote: str, base: str, deadline_s: float = 20.0, *, fork: str = "") -> None:
        """Bring the base branch, the change branches (a fork's too) and the approvals. Raises as `push`."""
        ...


class Reader(Protocol):
    """The parts of a repository that judging needs. Nothing of it writes."""

    @property
    def objects(self) -> Objects:
        """Files and trees."""
        ...

    @property
    def history(self) -> History:
        """Commits."""
        ...

    @property
    def refs(self) -> Refs:
        """Branches and other refs."""
        ...

    @property
    def signatures(self) -> Signatures:
        """Signatures of commits."""
        ...

    @property
    def clone(self) -> Clone:
        """The clone's kind, and what its checkouts do to files."""
        ...

    @property
    def lfs(self) -> LargeFiles:
        """Files in Git LFS."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository by its parts, a `Reader` among other things (`ml.adapters.git.open_repository`)."""

    objects: Objects
    history: History
    refs: RefWriter
    signatures: Signatures
    clone: Clone
    writer: CommitWriter
    remotes: Remotes
    lfs: LargeFiles
