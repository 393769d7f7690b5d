"""Readers of git objects: files, trees and differences. They use no working tree."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ml.adapters.git_batch import WHOLE_ID, BatchObjects, too_large
from ml.adapters.git_runner import GitRunner, failure, plain
from ml.errors import Invalid
from ml.promotion.repository import READ_LIMIT, PathChange, TreeEntry
from ml.text import visible

_DIFF = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
_HEADER = 1 << 12
"""More than ``cat-file`` writes around one object."""


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
        if not WHOLE_ID.fullmatch(blob):
            return None
        ended = self._git.finished("cat-file", "blob", blob, max_output=READ_LIMIT, too_much=too_large("A file"))
        return ended.out if ended.code == 0 else None

    def _looked_up(self, how: str, commit: str, path: str) -> tuple[list[bytes] | None, bytes]:
        """Return a file's id, type and size from ``cat-file`` (or ``None``), and the bytes after them in its output."""
        spec = f"{plain(commit, 'a commit')}:{plain(path, 'a path')}"
        ended = self._git.finished(
            *("cat-file", how),
            stdin=spec.encode("utf-8", "surrogateescape") + b"\n",
            max_output=READ_LIMIT + _HEADER,
            too_much=too_large(visible(path)),
        )
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
        out = self._git("ls-tree", "-r", "-z", "--full-tree", plain(commit, "a commit"), *where)
        return tuple(_entry(line) for line in out.decode("utf-8", "surrogateescape").split("\0") if line)

    @contextlib.contextmanager
    def held(self) -> Iterator[BatchObjects]:
        """The same by one process for all questions, which ends with the block. For one thread."""
        conversation = self._git.conversation("cat-file", "--batch")
        try:
            yield BatchObjects(conversation)
        finally:
            conversation.close()

    def new_trees(self, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
        """Every folder of each pair's newer tree that differs from the older's at its place, once."""
        with self.held() as objects:
            yield from objects.new_trees(pairs)

    def export(self, commit: str, directory: Path, paths: Sequence[str] = ()) -> int:
        """Write a commit's files (or those under ``paths``) into an existing directory; returns how many.

        Raises:
            Invalid: the files are larger than `EXPORT_LIMIT` together, or a path leaves the directory.
        """
        with self.held() as objects:
            return objects.export(commit, directory, paths)


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


def _entry(line: str) -> TreeEntry:
    about, _, path = line.partition("\t")
    mode, _, blob = about.split()
    return TreeEntry(path, mode, blob)
