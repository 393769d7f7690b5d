"""Reading a bare repository for the oracle: trees, commits, signatures, by git and ssh-keygen alone."""

from __future__ import annotations

import json
import os
import posixpath
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

DEFAULT_REGISTRY = "ml/registry/models.json"
STAGES = ("staging", "shadow", "active")
Entries = dict[str, tuple[str, str]]
"""Path → mode and blob."""


@dataclass(frozen=True)
class Commit:
    """A commit as its own bytes say; times are the committer's and the author's, in Unix seconds."""

    sha: str
    parents: tuple[str, ...]
    author: str
    authored: int
    committed: int
    payload: bytes
    signature: bytes
    message: str


class Twice(ValueError):
    """A JSON object holds one key twice."""


def strict_json(raw: bytes) -> Any:
    """JSON in which no key stands twice. Raises ValueError."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Twice("a key stands twice")
        return found

    return json.loads(raw.decode("utf-8"), object_pairs_hook=once)


@dataclass
class Ledger:
    """What a bare repository holds; everything is read once, because objects never change."""

    git_dir: Path
    _trees: dict[str, Entries] = field(default_factory=dict)
    _blobs: dict[str, bytes] = field(default_factory=dict)
    _commits: dict[str, Commit] = field(default_factory=dict)

    def git(self, *args: str, stdin: bytes = b"") -> bytes:
        """Run git here; raises where it fails."""
        command = ["git", "--no-replace-objects", f"--git-dir={self.git_dir}", *args]
        return subprocess.run(command, input=stdin, capture_output=True, check=True, timeout=60).stdout

    def tip(self, ref: str = "refs/heads/main") -> str:
        """A ref's commit, empty where there is no such ref."""
        return self.refs(ref).get(ref, "")

    def refs(self, prefix: str) -> dict[str, str]:
        """Refs at or below a prefix."""
        out = self.git("for-each-ref", "--format=%(objectname) %(refname)", prefix).decode()
        return {name: sha for sha, name in (line.split(" ", 1) for line in out.splitlines())}

    def tree(self, commit: str) -> Entries:
        """All files of a commit's tree."""
        if commit not in self._trees:
            entries: Entries = {}
            for line in self.git("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
                if line:
                    about, _, path = line.partition(b"\t")
                    mode, _, blob = about.decode().split(" ")
                    entries[path.decode("utf-8", "surrogateescape")] = (mode, blob)
            self._trees[commit] = entries
        return self._trees[commit]

    def malformed(self, commit: str) -> list[str]:
        """Paths that stand twice in a commit's trees, or whose names hold what git's own tools never write."""
        seen: set[bytes] = set()
        found = []
        for line in self.git("ls-tree", "-r", "-t", "-z", "--full-tree", commit).split(b"\0")[:-1]:
            path = line.partition(b"\t")[2]
            if path in seen or {b"", b".", b"..", b".git"} & set(path.split(b"/")):
                found.append(path.decode("utf-8", "replace"))
            seen.add(path)
        return found

    def blob(self, sha: str) -> bytes:
        """A blob's bytes."""
        if sha not in self._blobs:
            self._blobs[sha] = self.git("cat-file", "blob", sha)
        return self._blobs[sha]

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's bytes in a commit, or ``None`` where there is no such file."""
        entry = self.tree(commit).get(path)
        return self.blob(entry[1]) if entry and entry[0] != "160000" else None

    def commit(self, sha: str) -> Commit:
        """One commit."""
        if sha not in self._commits:
            self._commits[sha] = _parsed(sha, self.git("cat-file", "commit", sha))
        return self._commits[sha]

    def between(self, old: str, new: str) -> tuple[str, ...]:
        """Every commit that ``new`` brings."""
        return tuple(self.git("rev-list", new, f"^{old}").decode().split())

    def on_first_parent_line(self, old: str, new: str) -> bool:
        """Whether ``old`` is among the first parents of ``new``."""
        return old in self.git("rev-list", "--first-parent", new).decode().split()

    def checked_out(self, commit: str, folder: str) -> Iterator[tuple[str, bytes, bytes]]:
        """Files that a checkout would write with other bytes than the commit holds: path, held, written."""
        with tempfile.TemporaryDirectory() as scratch:
            work = Path(scratch) / "work"
            work.mkdir()
            base = ["git", "--no-replace-objects", f"--git-dir={self.git_dir}", f"--work-tree={work}"]
            environment = {
                "GIT_INDEX_FILE": f"{scratch}/index",
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_NOSYSTEM": "1",
                "HOME": scratch,
            }
            for args in (["read-tree", commit], ["checkout-index", "-q", "-a", "-f"]):
                subprocess.run(
                    [*base, "-c", "core.bare=false", *args],
                    env=environment,
                    cwd=work,
                    capture_output=True,
                    check=False,
                    timeout=60,
                )
            for path, (mode, sha) in self.tree(commit).items():
                if path.startswith(f"{folder}/") and mode in ("100644", "100755"):
                    held, there = self.blob(sha), work / path
                    written = there.read_bytes() if there.is_file() else b""
                    if written != held:
                        yield path, held, written

    def signed_by(self, sha: str, signers: bytes, principal: str, at: tuple[float, ...]) -> str:
        """The fingerprint of the key with which a principal signed a commit, empty unless it is good at every time."""
        if self.git("cat-file", "-t", sha).strip() != b"commit":
            return ""
        commit = self.commit(sha)
        if not commit.signature:
            return ""
        with tempfile.TemporaryDirectory() as scratch:
            allowed, signature = Path(scratch) / "allowed", Path(scratch) / "signature"
            allowed.write_bytes(signers)
            signature.write_bytes(commit.signature)
            found = ""
            for moment in at:
                ended = subprocess.run(
                    ["ssh-keygen", "-Yverify", "-ngit", "-f", allowed, "-I", principal, "-s", signature, _at(moment)],
                    input=commit.payload,
                    capture_output=True,
                    check=False,
                    timeout=30,
                )
                match = re.search(rb"key (SHA256:\S+)", ended.stdout)
                if ended.returncode or not match:
                    return ""
                found = match[1].decode()
            return found


def _at(moment: float) -> str:
    return f"-Overify-time={datetime.fromtimestamp(moment, UTC):%Y%m%d%H%M%S}Z"


def _parsed(sha: str, raw: bytes) -> Commit:
    head, _, message = raw.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    inside = False
    for line in head.split(b"\n"):
        if line.startswith((b"gpgsig ", b"gpgsig-sha256 ")):
            inside = True
            signature.append(line.partition(b" ")[2])
        elif inside and line.startswith(b" "):
            signature.append(line[1:])
        else:
            inside = False
            kept.append(line)
    said = {b"parent": [], b"author": [b""], b"committer": [b""]}  # type: dict[bytes, list[bytes]]
    for line in kept:
        key, _, value = line.partition(b" ")
        if key == b"parent":
            said[key].append(value)
        elif key in said:
            said[key] = [value]
    author, committer = said[b"author"][0].decode("utf-8", "replace"), said[b"committer"][0].decode("utf-8", "replace")
    return Commit(
        sha=sha,
        parents=tuple(each.decode() for each in said[b"parent"]),
        author=author.partition("<")[2].partition(">")[0],
        authored=int(author.split(" ")[-2]),
        committed=int(committer.split(" ")[-2]),
        payload=b"\n".join(kept) + b"\n\n" + message,
        signature=b"\n".join(signature) + b"\n" if signature else b"",
        message=message.decode("utf-8", "replace"),
    )


@dataclass(frozen=True)
class State:
    """What one commit of main says: configuration, rules, registry, and which folders and paths those make special."""

    ledger: Ledger
    commit: str

    @cached_property
    def path(self) -> str:
        """Where the registry is: where a tracked console.toml says, else where the runbook does."""
        raw = self.ledger.read(self.commit, "console.toml")
        try:
            told = tomllib.loads((raw or b"").decode()).get("registry", {}).get("path", DEFAULT_REGISTRY)
        except (ValueError, AttributeError):
            return DEFAULT_REGISTRY
        return told if isinstance(told, str) else DEFAULT_REGISTRY

    def beside(self, name: str) -> str:
        """A path in the registry's folder."""
        return f"{posixpath.dirname(self.path)}/{name}"

    @cached_property
    def policy(self) -> dict[str, Any] | None:
        """The policy's tables; ``None`` where it cannot be used, as one that asks for unsigned approvals."""
        raw = self.ledger.read(self.commit, self.beside("policy.toml"))
        try:
            told = tomllib.loads((raw or b"").decode())
        except ValueError:
            return None
        ack = told.get("ack", {})
        return None if ack.get("approvals", 1) > 1 and not ack.get("signed", False) else told

    @cached_property
    def signers(self) -> bytes:
        """Whose keys may sign."""
        return self.ledger.read(self.commit, self.beside("allowed_signers")) or b""

    @cached_property
    def registry(self) -> dict[str, Any]:
        """The registry's values. Raises ValueError where it is missing, no regular file, or cannot be read strictly."""
        mode, _ = self.ledger.tree(self.commit).get(self.path, ("", ""))
        if mode != "100644":
            raise ValueError(f"{self.path} is no regular file")
        raw = self.ledger.read(self.commit, self.path)
        found = strict_json(raw or b"")
        if not isinstance(found, dict) or not isinstance(found.get("models"), dict):
            raise ValueError("it has no models")
        return found

    @cached_property
    def models(self) -> dict[str, Any]:
        """Each model's slice."""
        return dict(self.registry["models"])

    def archived(self, model: str) -> list[dict[str, Any]]:
        """The model's events that stand in its archive."""
        raw = self.ledger.read(self.commit, self.beside(f"archive/{model}.jsonl")) or b""
        return [json.loads(line) for line in raw.splitlines() if line.strip()]

    def events(self, model: str) -> list[dict[str, Any]]:
        """All events of a model, oldest first."""
        found = self.archived(model) + list(self.models.get(model, {}).get("history", []))
        return sorted(found, key=lambda event: str(event.get("ts_utc") or event.get("timestamp_utc")))

    def pointers(self) -> Iterator[dict[str, Any]]:
        """Every pointer of stages, history and archives."""
        for name, model in self.models.items():
            yield from (model[stage] for stage in STAGES if model.get(stage))
            yield from (event["pointer"] for event in self.events(name) if event.get("pointer"))

    @cached_property
    def folders(self) -> frozenset[str]:
        """The artifact folders that the registry names."""
        return frozenset(posixpath.normpath(each["artifact_dir"]) for each in self.pointers())
