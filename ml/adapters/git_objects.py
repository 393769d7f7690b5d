"""Readers of git objects: revisions, files, commits, trees and differences. They use no working tree."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ml.adapters.git_runner import GitRunner, failure, plain
from ml.errors import Invalid
from ml.promotion.repository import PathChange, TreeEntry
from ml.text import visible

_DIFF = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
_EXPORT_LIMIT = 1 << 30
_BATCH = 4096
_OBJECT_ID = re.compile(r"[0-9a-f]{7,64}")


class GitObjects:
    """Reads files and trees (`ml.promotion.repository.Objects`).

    Every method starts one git process unless it says otherwise.
    """

    def __init__(self, git: GitRunner) -> None:
        self._git = git

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

    def blob(self, blob: str) -> bytes | None:
        """The bytes of a blob by its object id, or ``None`` when this repository has no such blob."""
        if not _OBJECT_ID.fullmatch(blob):
            return None
        ended = self._git.finished("cat-file", "blob", blob)
        return ended.out if ended.code == 0 else None

    def _looked_up(self, how: str, commit: str, path: str) -> tuple[list[bytes] | None, bytes]:
        """Return a file's id, type and size from ``cat-file`` (or ``None``), and the bytes after them in its output."""
        spec = f"{plain(commit, 'a commit')}:{plain(path, 'a path')}"
        ended = self._git.finished("cat-file", how, stdin=spec.encode() + b"\n")
        if ended.err or ended.code != 0:  # a damaged object is reported as missing, with the truth on stderr
            raise failure("cat-file", ended.err)
        first, _, rest = ended.out.partition(b"\n")
        words = first.split(b" ")
        return (words if len(words) == 3 and words[1] == b"blob" else None), rest

    def changes(self, base: str, head: str) -> tuple[PathChange, ...]:
        """All paths that differ between two commits' trees; renames are a deletion and an addition."""
        out = self._git(*_DIFF, plain(base, "a commit"), plain(head, "a commit"))
        parts = out.decode("utf-8", "surrogateescape").split("\0")
        return tuple(_change(raw, path) for raw, path in zip(parts[:-1:2], parts[1::2], strict=True))

    def differences(self, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[PathChange, ...], ...]:
        """`changes` of many pairs of trees (by their ids) in one process, in the order of the pairs."""
        wanted = [f"{plain(one, 'a tree')} {plain(other, 'a tree')}" for one, other in pairs if one != other]
        found: dict[str, list[PathChange]] = {}
        if wanted:
            out = self._git(*_DIFF, "--stdin", stdin="".join(f"{line}\n" for line in wanted).encode())
            found = _per_pair(out.decode("utf-8", "surrogateescape"))
        return tuple(tuple(found.get(f"{one} {other}", ())) for one, other in pairs)

    def tree(self, commit: str, path: str = "") -> tuple[TreeEntry, ...]:
        """All files at or under a path of a commit's tree; an empty path means the whole tree."""
        where = ("--", path) if path else ()
        out = self._git("ls-tree", "-r", "-z", "-l", "--full-tree", plain(commit, "a commit"), *where)
        return tuple(_entry(line) for line in out.decode("utf-8", "surrogateescape").split("\0") if line)

    def new_trees(self, base: str, head: str) -> Iterator[tuple[str, bytes]]:
        """Every tree that ``head`` reaches and ``base`` does not, as its id and raw bytes; some of the base's may come.

        One process lists the objects and one more reads each few thousand of them. Blobs are not looked at.
        """
        shown = ("--objects", "--no-object-names", "--filter=blob:none")
        out = self._git("rev-list", *shown, plain(head, "a commit"), f"^{plain(base, 'a commit')}", "--")
        listed = out.split()
        for first in range(0, len(listed), _BATCH):
            wanted = b"".join(each + b"\n" for each in listed[first : first + _BATCH])
            yield from _trees(self._git("cat-file", "--batch", stdin=wanted))

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


def _trees(out: bytes) -> Iterator[tuple[str, bytes]]:
    """The trees among what ``cat-file --batch`` gives of some objects."""
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        words = out[at:end].decode("ascii", "replace").split(" ")
        if len(words) != 3:
            raise Invalid(f"The object {visible(words[0][:12])} is missing.", "Run git fsck, and fetch or clone anew.")
        sha, kind, size = words
        at = end + 1 + int(size) + 1
        if kind == "tree":
            yield sha, out[end + 1 : at - 1]


def _change(raw: str, path: str) -> PathChange:
    old_mode, new_mode, _, new_blob, _ = raw[1:].split(" ", 4)
    return PathChange(path, old_mode, new_mode, new_blob)


def _per_pair(out: str) -> dict[str, list[PathChange]]:
    """``diff-tree --stdin`` heads each difference with a line of the two trees; the rest ends in NUL.

    It is read from left to right, because a path may hold anything but NUL, such as a line like those.
    """
    found: dict[str, list[PathChange]] = {}
    at, changes = 0, list[PathChange]()
    while at < len(out):
        if out[at] == ":":
            middle = out.index("\0", at)
            end = out.index("\0", middle + 1)
            changes.append(_change(out[at:middle], out[middle + 1 : end]))
        else:
            end = out.index("\n", at)
            changes = []
            found[out[at:end]] = changes  # a pair that is asked for twice gets the same answer
        at = end + 1
    return found


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


def _entry(line: str) -> TreeEntry:
    about, _, path = line.partition("\t")
    mode, _, blob, size = about.split()
    return TreeEntry(path, mode, blob, 0 if size == "-" else int(size))
