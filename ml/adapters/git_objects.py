"""Readers of git objects: files, trees and differences. They use no working tree."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ml.adapters.git_runner import REFETCH, GitRunner, failure, plain
from ml.errors import Invalid, Unavailable
from ml.ports import Conversation
from ml.promotion.repository import ABSENT, EXPORT_LIMIT, READ_LIMIT, SUBMODULE, PathChange, TreeEntry
from ml.text import visible

_DIFF = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")


class GitObjects:
    """Reads files and trees (`ml.promotion.repository.Objects`).

    Every method starts one git process unless it says otherwise. A file that a tree names and that is lost is an error,
    never "no such file".
    """

    def __init__(self, git: GitRunner) -> None:
        self._git = git

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's bytes in a commit, or ``None`` when it is not there."""
        with self.held() as objects:
            return objects.read(commit, path)

    def blob_id(self, commit: str, path: str) -> str:
        """The object id of a file in a commit, empty when it is not there. Reads no content of it."""
        spec = _spec(commit, path).encode("utf-8", "surrogateescape")
        ended = self._git.finished("cat-file", "--batch-check", stdin=spec + b"\n")
        if ended.err or ended.code != 0:  # a damaged object is reported as missing, with the truth on stderr
            raise failure("cat-file", ended.err)
        words = ended.out.split()
        if len(words) == 3 and words[1] == b"blob":
            return words[0].decode("ascii")
        with self.held() as objects:  # it tells a file that is not there from one that is lost
            return objects.blob_id(commit, path)

    def blob(self, blob: str) -> bytes | None:
        """The bytes of a blob by its object id, or ``None`` when this repository has no such blob."""
        with self.held() as objects:
            return objects.blob(blob)

    def content(self, entry: TreeEntry) -> bytes:
        """The bytes of a tree's file; a submodule has none."""
        with self.held() as objects:
            return objects.content(entry)

    def changes(self, base: str, head: str) -> tuple[PathChange, ...]:
        """All paths that differ between two commits' trees; renames are a deletion and an addition."""
        out = self._git(*_DIFF, plain(base, "a commit"), plain(head, "a commit"))
        parts = out.decode("utf-8", "surrogateescape").split("\0")
        return tuple(_change_of_line(raw, path) for raw, path in zip(parts[:-1:2], parts[1::2], strict=True))

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


def _change_of_line(raw: str, path: str) -> PathChange:
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
            changes.append(_change_of_line(out[at:middle], out[middle + 1 : end]))
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


# Objects of one repository, read through one ``git cat-file --batch`` process.
#
# Starting git costs some milliseconds, and asking a process that runs costs a tenth of one. A judgement asks for
# dozens of objects of few commits; objects never change, so that small ones are asked for once.

WHOLE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SMALL = 1 << 20
_MOST_KEPT = 64 << 20
_DEEPEST = 2048
"""Folders inside each other. No file system that we know of takes a longer path."""
_SUBMODULE = 0o160000
_MOST_STEPS = 5_000_000
_STEPS_OF_A_CHANGE = 4
"""The most files and folders that one judgement looks at; one that differs is kept, and counts as several. A small push
can hold folders that hold each other again and again, and so name more files than anybody could list."""


class _Object(NamedTuple):
    sha: str
    kind: str
    content: bytes


class _Entry(NamedTuple):
    mode: int
    sha: str

    @property
    def folder(self) -> bool:
        return stat.S_ISDIR(self.mode)


class BatchObjects:
    """Reads files and trees (`ml.promotion.repository.Objects`) by one conversation. For one thread."""

    def __init__(self, git: Conversation) -> None:
        self._git = git
        self._known: dict[str, _Object | None] = {}
        self._kept = 0
        self._trees: dict[str, dict[bytes, _Entry]] = {}
        self._steps = 0
        self._unread = False

    @contextlib.contextmanager
    def held(self) -> Iterator[BatchObjects]:
        """This one itself: one process is enough."""
        yield self

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's bytes in a commit, or ``None`` when it is not there."""
        found = self._named(commit, path)
        return found.content if found else None

    def blob_id(self, commit: str, path: str) -> str:
        """The object id of a file in a commit, empty when it is not there."""
        found = self._named(commit, path)
        return found.sha if found else ""

    def blob(self, blob: str) -> bytes | None:
        """The bytes of a blob by its object id, or ``None`` when this repository has no such blob."""
        if not WHOLE_ID.fullmatch(blob):
            return None
        found = self._object(blob)
        return found.content if found and found.kind == "blob" else None

    def content(self, entry: TreeEntry) -> bytes:
        """The bytes of a tree's file; a submodule has none."""
        found = None if entry.mode == SUBMODULE else self.blob(entry.blob)
        if found is None and entry.mode != SUBMODULE:
            raise _missing(entry.blob)
        return found or b""

    def tree(self, commit: str, path: str = "") -> tuple[TreeEntry, ...]:
        """All files at or under a path of a commit's tree; an empty path means the whole tree."""
        entry = self._entry(commit, path)
        if entry is None:
            return ()
        if not entry.folder:
            return (TreeEntry(path, f"{entry.mode:06o}", entry.sha),)
        changes = self._differing(None, entry, path.encode("utf-8", "surrogateescape"))
        return tuple(TreeEntry(change.path, change.new_mode, change.new_blob) for change in changes)

    def _entry(self, commit: str, path: str) -> _Entry | None:
        """Return what a commit's tree has at a path, or ``None``; an empty path means the tree itself."""
        entry = _Entry(stat.S_IFDIR, f"{plain(commit, 'a commit')}^{{tree}}")
        for name in path.encode("utf-8", "surrogateescape").split(b"/") if path else ():
            inside = self._entries(entry.sha).get(name) if entry.folder else None
            if inside is None:
                return None
            entry = inside
        return entry

    def _named(self, commit: str, path: str) -> _Object | None:
        """The file at a path, or ``None`` where the tree has none there; git calls a lost file missing too."""
        found = self._object(_spec(commit, path), visible(path))
        if found is not None and found.kind == "blob":
            return found
        if found is None and self._object(f"{commit}^{{tree}}") is None:
            raise Unavailable("This repository does not have the commit that is asked for.", "Fetch, then try again.")
        entry = self._entry(commit, path)
        lost = entry is not None and (found is None or not entry.folder)
        if entry and lost and stat.S_IFMT(entry.mode) != stat.S_IFMT(_SUBMODULE):
            raise _missing(entry.sha)
        return None

    def changes(self, base: str, head: str) -> tuple[PathChange, ...]:
        """All paths that differ between two commits' trees; renames are a deletion and an addition."""
        return self._difference(*(f"{plain(each, 'a commit')}^{{tree}}" for each in (base, head)))

    def differences(self, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[PathChange, ...], ...]:
        """`changes` of many pairs of trees (by their ids), in the order of the pairs."""
        return tuple(self._difference(plain(one, "a tree"), plain(other, "a tree")) for one, other in pairs)

    def new_trees(self, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
        """Every folder of each pair's newer tree that differs from the older's at its place, once."""
        seen = set[str]()
        for older, newer in pairs:
            waiting = [(older, newer, 0)]
            while waiting:
                old, new, depth = waiting.pop()
                if old == new or new in seen:
                    continue
                seen.add(new)
                _require_depth(depth)
                yield new, self._tree(new).content
                before = self._entries(old) if old else {}
                for name, entry in self._entries(new).items():
                    if entry.folder:
                        known = before.get(name)
                        waiting.append((known.sha if known and known.folder else "", entry.sha, depth + 1))

    def export(self, commit: str, directory: Path, paths: Sequence[str] = ()) -> int:
        """Write a commit's files (or those under ``paths``) into an existing directory; returns how many.

        Each file goes to the disk in pieces. Symbolic links become links, so that verification sees and refuses them;
        submodules are left out. ``git archive`` would obey ``export-ignore`` and leave out what a change wants unseen.

        Raises:
            Invalid: the files are larger than `EXPORT_LIMIT` together, or a path leaves the directory.
        """
        entries = [entry for path in paths or ("",) for entry in self.tree(commit, path) if entry.mode != "160000"]
        total = 0
        for entry in entries:
            head = self._asked(entry.blob)
            if head is None or head[1] != "blob":
                raise _missing(entry.blob)
            total += head[2]
            if total > EXPORT_LIMIT:
                raise Invalid(
                    f"The files to be read have more than {EXPORT_LIMIT >> 20} MiB together.",
                    "Keep large data out of git.",
                )
            try:
                _place(directory, entry, self._taken(head[2]))
            except OSError as error:
                why = f"{visible(entry.path, limit=200)} cannot be written to this disk: {error.strerror}."
                raise Unavailable(why, "Make room, or give the file a shorter name.") from error
        return len(entries)

    def _difference(self, one: str, other: str) -> tuple[PathChange, ...]:
        return tuple(self._differing(_Entry(stat.S_IFDIR, one), _Entry(stat.S_IFDIR, other), b""))

    def _differing(self, old: _Entry | None, new: _Entry | None, path: bytes) -> Iterator[PathChange]:
        """All files that differ between two entries, in the order of their paths."""
        waiting = [(old, new, path, 0)]
        while waiting:
            one, other, at, depth = waiting.pop()
            if one == other:
                continue
            if not (one and one.folder) and not (other and other.folder):
                self._count(_STEPS_OF_A_CHANGE)
                yield _change(at, one, other)
                continue
            _require_depth(depth)
            if (one and not one.folder) or (other and not other.folder):  # a file and a folder take each other's place
                yield _change(at, *(None if each and each.folder else each for each in (one, other)))
            before, after = (self._entries(each.sha) if each and each.folder else {} for each in (one, other))
            prefix = at + b"/" if at else b""
            names = sorted(before.keys() | after.keys(), reverse=True)
            self._count(len(names))
            waiting += [(before.get(name), after.get(name), prefix + name, depth + 1) for name in names]

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > _MOST_STEPS:
            why = "There are more files and folders to look at than one judgement can."
            raise Invalid(why, "Push fewer changes at once, or do not use that commit.")

    def _entries(self, sha: str) -> dict[bytes, _Entry]:
        if sha in self._trees:
            return self._trees[sha]
        found = self._tree(sha)
        entries = _parsed(found)
        if found.sha in self._known:
            self._trees[sha] = self._trees[found.sha] = entries
        return entries

    def _tree(self, sha: str) -> _Object:
        found = self._object(sha)
        if found is None or found.kind != "tree":
            raise _missing(sha)
        return found

    def _object(self, name: str, shown: str = "") -> _Object | None:
        """An object by its name, asked for once if it is small; ``None`` when there is none.

        ``shown`` is its name for people; without one its id.
        """
        if name in self._known:
            return self._known[name]
        head = self._asked(name)
        if head is None:
            self._known[name] = None
            return None
        sha, kind, size = head
        if size > READ_LIMIT:
            raise too_large(shown or f"The object {sha[:12]}")
        found = _Object(sha, kind, b"".join(self._taken(size)))
        if size <= _SMALL and self._kept + size <= _MOST_KEPT:
            self._kept += size
            self._known[name] = self._known[sha] = found
        return found

    def _asked(self, name: str) -> tuple[str, str, int] | None:
        """Ask for an object: its id, kind and size, after which its bytes follow; ``None`` when there is none."""
        if self._unread:  # what comes next is the rest of another answer
            raise Unavailable("An answer of git was not read to its end.", "Try again.")
        self._git.say(name.encode("utf-8", "surrogateescape") + b"\n")
        try:
            words = self._git.line().split(b" ")
        except Unavailable as error:
            raise failure("cat-file", self._git.complaints()) from error
        said = self._git.complaints()
        if said:  # a damaged object is reported as missing, with the truth on stderr
            raise failure("cat-file", said)
        if len(words) != 3 or not words[2].isdigit():
            return None
        self._unread = True
        return words[0].decode("ascii"), words[1].decode("ascii"), int(words[2])

    def _taken(self, size: int) -> Iterator[bytes]:
        """The bytes of an object in pieces, and its end. A damaged object ends git in the middle of it."""
        try:
            yield from self._git.take(size)
            end = b"".join(self._git.take(1))
        except Unavailable as error:
            raise failure("cat-file", self._git.complaints()) from error
        if end != b"\n":
            raise Invalid("git returned another object than it announced.", REFETCH)
        self._unread = False


def _spec(commit: str, path: str) -> str:
    return f"{plain(commit, 'a commit')}:{plain(path, 'a path')}"


def _missing(sha: str) -> Invalid:
    return Invalid(f"The object {visible(sha[:12])} is missing.", REFETCH)


def too_large(what: str) -> Invalid:
    """Return the refusal of a file that is too large to be read as a whole."""
    limit = f"{READ_LIMIT >> 20} MiB"
    return Invalid(f"{what} has more than {limit}, the most that is read at once.", "Keep large data out of git.")


def _require_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise Invalid(f"Folders are nested deeper than {_DEEPEST}.", "Do not use that commit.")


def _parsed(tree: _Object) -> dict[bytes, _Entry]:
    """A tree's entries by name, with modes as git takes them."""
    raw, width = tree.content, len(tree.sha) // 2
    entries: dict[bytes, _Entry] = {}
    at = 0
    while at < len(raw):
        space = raw.find(b" ", at)
        end = raw.find(b"\0", space)
        try:
            mode = int(raw[at:space], 8)
        except ValueError:
            end = -1
        if space < 0 or end < 0 or end + 1 + width > len(raw):
            raise Invalid(f"The folder {tree.sha[:12]} cannot be read to its end.", REFETCH)
        entries[raw[space + 1 : end]] = _Entry(_plain_mode(mode), raw[end + 1 : end + 1 + width].hex())
        at = end + 1 + width
    return entries


def _plain_mode(mode: int) -> int:
    """A mode as git itself takes it: a file, a program, a link, a folder, or else a submodule."""
    if stat.S_ISREG(mode):
        return 0o100755 if mode & 0o100 else 0o100644
    kind = stat.S_IFMT(mode)
    return kind if kind in (stat.S_IFLNK, stat.S_IFDIR) else _SUBMODULE


def _change(path: bytes, old: _Entry | None, new: _Entry | None) -> PathChange:
    before, after = (f"{each.mode:06o}" if each else ABSENT for each in (old, new))
    blob = new.sha if new else "0" * len(old.sha if old else "")
    return PathChange(path.decode("utf-8", "surrogateescape"), before, after, blob)


def _place(directory: Path, entry: TreeEntry, content: Iterator[bytes]) -> None:
    target = directory / entry.path
    if ".." in target.parts or not target.is_relative_to(directory):
        raise Invalid(f"The path {visible(entry.path)} leads out of its folder.", "Do not use this commit.")
    target.parent.mkdir(parents=True, exist_ok=True)
    if entry.mode == "120000":
        target.symlink_to(os.fsdecode(b"".join(content)))
        return
    # Exclusive creation follows no link that an earlier entry may have put here.
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, int(entry.mode[-3:], 8))
    with open(handle, "wb") as file:
        file.writelines(content)
