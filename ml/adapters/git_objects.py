"""Reading a repository: revisions, files, commits, trees and differences, by plumbing and never by working tree."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ml.adapters.git_errors import failure
from ml.adapters.git_runner import OnRepository, plain
from ml.errors import Invalid
from ml.promotion.repository import CommitInfo, PathChange, Person, TreeEntry
from ml.text import visible

_FORMAT = "%x00".join(("%H", "%P", "%T", "%an", "%ae", "%cn", "%ce", "%ct", "%B"))
_FIELDS = _FORMAT.count("%x00") + 1
_LOG = ("log", "-z", f"--format={_FORMAT}", "--no-show-signature", "--no-mailmap", "--no-color", "--no-notes")
_EXPORT_LIMIT = 1 << 30


class ObjectReading(OnRepository):
    """What can be read with object names alone. Every method starts one git process unless it says otherwise."""

    def resolve(self, rev: str) -> str | None:
        """The commit that a revision (branch, tag, id) names, or ``None``."""
        ended = self._git.finished("rev-parse", "--verify", "--quiet", f"{plain(rev, 'a revision')}^{{commit}}")
        return ended.out.decode("ascii").strip() if ended.code == 0 else None

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's bytes in a commit, or ``None`` when it is not there."""
        head, content = self._looked_up("--batch", commit, path)
        if head is None:
            return None
        size = int(head[2])
        if len(content) < size:
            raise Invalid(f"git returned only a part of {visible(path)}.", "Run git fsck, and fetch or clone anew.")
        return content[:size]

    def blob_id(self, commit: str, path: str) -> str:
        """The object id of a file in a commit, empty when it is not there."""
        head, _ = self._looked_up("--batch-check", commit, path)
        return "" if head is None else head[0].decode("ascii")

    def _looked_up(self, how: str, commit: str, path: str) -> tuple[list[bytes] | None, bytes]:
        """What ``cat-file`` says of a file: id, type and size, or ``None``; and what follows on its output."""
        spec = f"{plain(commit, 'a commit')}:{plain(path, 'a path')}"
        ended = self._git.finished("cat-file", how, stdin=spec.encode() + b"\n")
        if ended.err or ended.code != 0:  # a damaged object is reported as missing, with the truth on stderr
            raise failure("cat-file", ended.err)
        first, _, rest = ended.out.partition(b"\n")
        words = first.split(b" ")
        return (words if len(words) == 3 and words[1] == b"blob" else None), rest

    def commit(self, sha: str) -> CommitInfo:
        """One commit. Raises Unavailable when the repository does not have it."""
        return self._commits("--no-walk", plain(sha, "a commit"))[0]

    def commits(self, shas: Sequence[str]) -> tuple[CommitInfo, ...]:
        """Several commits at once, in no particular order, each once."""
        return self._commits("--no-walk=unsorted", *(plain(sha, "a commit") for sha in shas)) if shas else ()

    def first_parents(self, base: str, head: str) -> tuple[CommitInfo, ...]:
        """The commits on ``head``'s first-parent chain that ``base`` does not reach, oldest first."""
        return self._commits(
            "--first-parent", "--reverse", "--topo-order", plain(head, "a commit"), f"^{plain(base, 'a commit')}"
        )

    def commits_touching(self, commit: str, path: str, limit: int) -> tuple[CommitInfo, ...]:
        """The newest commits on a first-parent chain that changed a path, newest first."""
        return self._commits("--first-parent", f"--max-count={limit}", plain(commit, "a commit"), "--", path)

    def _commits(self, *selection: str) -> tuple[CommitInfo, ...]:
        args = selection if "--" in selection else (*selection, "--")
        out = self._git(*_LOG, *args).decode("utf-8", "replace")
        fields = out.removesuffix("\0").split("\0") if out else []
        return tuple(_commit(fields[at : at + _FIELDS]) for at in range(0, len(fields), _FIELDS))

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether ``older`` is ``newer`` or one of its ancestors."""
        ended = self._git.finished("merge-base", "--is-ancestor", plain(older, "a commit"), plain(newer, "a commit"))
        return ended.code == 0

    def merge_base(self, one: str, other: str) -> str | None:
        """The newest commit that two revisions have in common, or ``None``."""
        ended = self._git.finished("merge-base", plain(one, "a revision"), plain(other, "a revision"))
        if ended.code not in (0, 1):
            raise failure("merge-base", ended.err)
        return ended.out.decode("ascii").strip() or None

    def changes(self, base: str, head: str) -> tuple[PathChange, ...]:
        """All paths that differ between two commits' trees; renames are a deletion and an addition."""
        out = self._git("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", base, head)
        parts = out.decode("utf-8", "surrogateescape").split("\0")
        return tuple(PathChange(path, raw[1:7], raw[8:14]) for raw, path in zip(parts[:-1:2], parts[1::2], strict=True))

    def tree(self, commit: str, path: str = "") -> tuple[TreeEntry, ...]:
        """All files at or under a path of a commit's tree; an empty path means the whole tree."""
        where = ("--", path) if path else ()
        out = self._git("ls-tree", "-r", "-z", "-l", "--full-tree", plain(commit, "a commit"), *where)
        return tuple(_entry(line) for line in out.decode("utf-8", "surrogateescape").split("\0") if line)

    def export(self, commit: str, directory: Path, paths: Sequence[str] = ()) -> None:
        """Write a commit's files (or those under ``paths``) into an existing directory.

        Two processes, whatever the number of files: the tree is listed and the blobs are read in one batch, because
        ``git archive`` would obey ``export-ignore`` attributes and thus leave out what a change wants unseen.
        Symbolic links become links, so that verification sees and refuses them; submodules are left out.

        Raises:
            Invalid: the files are larger than 1 GiB together, or a path leaves the directory.
        """
        entries = [entry for path in paths or ("",) for entry in self.tree(commit, path) if entry.mode != "160000"]
        if sum(entry.size for entry in entries) > _EXPORT_LIMIT:
            raise Invalid("The files to be exported are larger than 1 GiB.", "Keep large data out of git.")
        wanted = "".join(f"{entry.blob}\n" for entry in entries).encode()
        out = memoryview(self._git("cat-file", "--batch", stdin=wanted)) if entries else memoryview(b"")
        at = 0
        for entry in entries:
            at = bytes(out[at : at + 200]).index(b"\n") + at + 1
            _place(directory, entry, bytes(out[at : at + entry.size]))
            at += entry.size + 1


def _place(directory: Path, entry: TreeEntry, content: bytes) -> None:
    target = directory / entry.path
    if ".." in target.parts or not target.is_relative_to(directory):
        raise Invalid(f"The path {visible(entry.path)} leads out of its folder.", "Do not use this commit.")
    target.parent.mkdir(parents=True, exist_ok=True)
    if entry.mode == "120000":
        target.symlink_to(os.fsdecode(content))
        return
    # Exclusive creation follows no link that an earlier entry may have put here.
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, int(entry.mode[-3:], 8))
    with open(handle, "wb") as file:
        file.write(content)


def _commit(fields: Sequence[str]) -> CommitInfo:
    sha, parents, tree, author, author_email, committer, committer_email, at, message = fields
    return CommitInfo(
        sha=sha.strip(),
        parents=tuple(parents.split()),
        tree=tree,
        author=Person(author, author_email),
        committer=Person(committer, committer_email),
        at=datetime.fromtimestamp(int(at), UTC),
        message=message,
    )


def _entry(line: str) -> TreeEntry:
    about, _, path = line.partition("\t")
    mode, _, blob, size = about.split()
    return TreeEntry(path, mode, blob, 0 if size == "-" else int(size))
