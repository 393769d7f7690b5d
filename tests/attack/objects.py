"""Git objects written by hand: any tree, any parents, any date, any author, signed by any key. No git is started."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FILE, PROGRAM, LINK, MODULE = "100644", "100755", "120000", "160000"

SLASH = "\\"
"""Stands for a slash inside one name of a twin entry, where git's own tools never write one."""

Tree = dict[str, tuple[str, str]]
"""Path → mode and blob."""


@dataclass(frozen=True)
class Stamp:
    """Who a commit says made it, and when, in Unix seconds; ``key`` is the file of the key that signs it, or none."""

    email: str
    at: int
    authored: int | None = None
    key: Path | None = None


@dataclass
class Store:
    """The object store of a repository, and the trees of all commits that were made or loaded here."""

    git_dir: Path
    trees: dict[str, Tree] = field(default_factory=dict)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    said: dict[str, tuple[str, str]] = field(default_factory=dict)

    def load(self, commit: str) -> None:
        """Learn a commit that git made."""
        out = self._git("ls-tree", "-r", "-z", "--full-tree", commit)
        tree: Tree = {}
        for line in out.split(b"\0"):
            if line:
                about, _, path = line.partition(b"\t")
                mode, _, blob = about.decode().split(" ")
                tree[path.decode()] = (mode, blob)
        self.trees[commit] = tree
        said = self._git("log", "-1", "--format=%ct %P", commit).decode().split()
        self.times[commit], self.parents[commit] = int(said[0]), tuple(said[1:])

    def bytes_of(self, blob: str) -> bytes:
        """A blob's content."""
        if blob not in self.blobs:
            self.blobs[blob] = self._git("cat-file", "blob", blob)
        return self.blobs[blob]

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's content in a known commit."""
        entry = self.trees[commit].get(path)
        return self.bytes_of(entry[1]) if entry else None

    def blob(self, content: bytes) -> str:
        """Write a blob."""
        sha = self._write("blob", content)
        self.blobs[sha] = content
        return sha

    def changed(self, commit: str, files: Mapping[str, bytes | tuple[str, bytes] | None]) -> Tree:
        """A commit's tree with some paths given other content, another mode and content, or taken away."""
        tree = dict(self.trees[commit])
        for path, given in files.items():
            if given is None:
                tree.pop(path, None)
                continue
            mode, content = given if isinstance(given, tuple) else (FILE, given)
            for other in [each for each in tree if each.startswith(f"{path}/") or path.startswith(f"{each}/")]:
                del tree[other]
            tree[path] = (mode, self.blob(content))
        return tree

    def commit(self, tree: Tree, parents: Sequence[str], stamp: Stamp, message: str, twins: Tree | None = None) -> str:
        """Write a commit and its trees."""
        root = self._tree(tree, twins)
        authored = stamp.at if stamp.authored is None else stamp.authored
        name = stamp.email.partition("@")[0]
        lines = [f"tree {root}", *(f"parent {each}" for each in parents)]
        lines += [
            f"author {name} <{stamp.email}> {authored} +0000",
            f"committer {name} <{stamp.email}> {stamp.at} +0000",
        ]
        head, body = "\n".join(lines), f"\n\n{message}"
        if stamp.key:
            signature = self._signed(f"{head}{body}".encode(), stamp.key)
            head += "\ngpgsig " + "\n ".join(signature.rstrip("\n").split("\n"))
        sha = self._write("commit", f"{head}{body}".encode())
        self.trees[sha], self.parents[sha], self.times[sha] = dict(tree), tuple(parents), stamp.at
        self.said[sha] = (stamp.email, message)
        return sha

    def _tree(self, tree: Tree, twins: Tree | None = None) -> str:
        """Write a tree and those below it; ``twins`` are entries that it holds besides, malformed as they may be."""
        folders: dict[str, Tree] = {}
        entries: list[tuple[bytes, bytes]] = []
        for path, (mode, blob) in tree.items():
            first, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(first, {})[rest] = (mode, blob)
            else:
                entries.append((first.encode(), f"{mode} {first}\0".encode() + bytes.fromhex(blob)))
        deeper: dict[str, Tree] = {}
        for path, entry in (twins or {}).items():
            first, slash, rest = path.partition("/")
            if slash and first in folders:
                deeper.setdefault(first, {})[rest] = entry
            else:
                name = path.replace(SLASH, "/")
                entries.append((name.encode() + b"\0", f"{entry[0]} {name}\0".encode() + bytes.fromhex(entry[1])))
        for name, below in folders.items():
            written = self._tree(below, deeper.get(name))
            entries.append((f"{name}/".encode(), f"40000 {name}\0".encode() + bytes.fromhex(written)))
        return self._write("tree", b"".join(raw for _, raw in sorted(entries)))

    def _write(self, kind: str, content: bytes) -> str:
        raw = f"{kind} {len(content)}\0".encode() + content
        sha = hashlib.sha1(raw).hexdigest()
        path = self.git_dir / "objects" / sha[:2] / sha[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            scratch = path.with_name(f"tmp_{os.getpid()}_{sha[2:]}")
            scratch.write_bytes(zlib.compress(raw, 1))
            scratch.rename(path)
        return sha

    def _signed(self, content: bytes, key: Path) -> str:
        ended = subprocess.run(
            ["ssh-keygen", "-Y", "sign", "-q", "-n", "git", "-f", key],
            input=content,
            capture_output=True,
            check=True,
            timeout=30,
        )
        return ended.stdout.decode()

    def _git(self, *args: str) -> bytes:
        ended = subprocess.run(["git", f"--git-dir={self.git_dir}", *args], capture_output=True, check=True, timeout=60)
        return ended.stdout
