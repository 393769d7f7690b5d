"""Git LFS in one repository: its own store, and the real ``git-lfs`` for everything that needs a server.

``git lfs`` is started like git itself. The hooks that git-lfs installs are not run, because no hook of a clone is; what
its ``pre-push`` would upload is uploaded by `LfsStore.upload` before a ref is pushed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ml.adapters.git_runner import GitRunner, failure, plain
from ml.errors import Refused, Unavailable
from ml.promotion.lfs import MAX_POINTER, LfsPointer, pointer_to, read_pointer
from ml.text import visible

_ABSENT = b"is not a git command"
_INSTALL = "Install it with your system's package manager (Debian: apt-get install git-lfs)."
_LEAST_S = 60.0
_BYTES_PER_S = 1 << 20
"""The slowest transfer that is waited for."""


class LfsStore:
    """The store of one repository (`ml.promotion.lfs.LargeFiles`)."""

    def __init__(self, git: GitRunner) -> None:
        self._git = git

    def store(self) -> Path:
        """The folder of this repository's own store: ``lfs.storage``, or ``lfs`` in its common git folder."""
        named = self._git.finished("config", "--type=path", "--get", "lfs.storage").out.decode().rstrip("\n")
        return Path(self._common, named or "lfs")

    @cached_property
    def _common(self) -> str:
        found = self._git("rev-parse", "--path-format=absolute", "--git-common-dir")
        return found.decode("utf-8", "surrogateescape").rstrip("\n")

    def keep(self, content: bytes) -> None:
        """Put a file into this repository's own store, durably."""
        target = self.store() / pointer_to(content).place
        try:
            if target.is_file() and target.read_bytes() == content:
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix="mlconsole-", delete=False) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(file.name, target)
        except OSError as error:
            why = f"The LFS store {visible(str(target.parent))} cannot be written: {error.strerror}."
            raise Unavailable(why, "Make room, or correct its permissions.") from error

    def require_program(self) -> None:
        """Raise Refused where git-lfs is not installed."""
        if self._git.finished("lfs", "version").code != 0:
            raise Refused("Artifacts are in Git LFS here, and git-lfs is not installed.", _INSTALL)

    @contextmanager
    def served(self, remote: str, commit: str, paths: Sequence[str]) -> Iterator[Path]:
        """A store that holds what the server has of some paths of a commit."""
        local = self._local_server(remote)
        if local is not None:
            yield local
            return
        with tempfile.TemporaryDirectory(prefix="mlconsole-lfs-") as folder:
            ended = self._git.finished(
                *("lfs", "fetch", f"--include={','.join(paths)}", "--exclude="),
                *(plain(remote, "a remote"), plain(commit, "a commit")),
                deadline_s=_LEAST_S + self._size(commit, paths) / _BYTES_PER_S,
                config=(f"lfs.storage={folder}", "lfs.fetchexclude="),
            )
            if _ABSENT in ended.err:
                raise Unavailable("git-lfs is not installed here.", _INSTALL)
            # An object that the server lacks ends the fetch with an error too; the caller sees that it is missing.
            yield Path(folder)

    def _local_server(self, remote: str) -> Path | None:
        """The store of a server on this machine, or of this repository itself; ``None`` for any other server."""
        if not remote:
            return self.store()
        ended = self._git.finished("lfs", "env")
        if _ABSENT in ended.err:
            raise Unavailable("git-lfs is not installed here.", _INSTALL)
        said = dict(line.split("=", 1) for line in ended.out.decode("utf-8", "replace").splitlines() if "=" in line)
        endpoint = said.get(f"Endpoint ({remote})") or said.get("Endpoint", "")
        parts = urlsplit(endpoint.partition(" (auth=")[0])
        if parts.scheme != "file":
            return None
        return _store_of(Path(unquote(parts.path)))

    def _size(self, commit: str, paths: Sequence[str]) -> int:
        out = self._git("ls-tree", "-r", "-z", "--full-tree", plain(commit, "a commit"), "--", *paths)
        names = [line.partition(b"\t")[0].split()[2] for line in out.split(b"\0") if line]
        return sum(pointer.size for pointer in self._pointers(names).values())

    def pending(self, commit: str, remote: str) -> tuple[LfsPointer, ...]:
        """The pointers in commits that the remote is not known to have, as far as their files are in our store.

        Two processes, and none where this repository has no LFS store.
        """
        store = self.store()
        if not (store / "objects").is_dir():
            return ()
        known = f"--remotes={plain(remote, 'a remote')}"
        only = ("--objects", "--no-object-names", f"--filter=blob:limit={MAX_POINTER}")
        listed = self._git("rev-list", *only, plain(commit, "a commit"), "--not", known).split()
        return tuple(each for each in self._pointers(listed).values() if (store / each.place).is_file())

    def upload(self, remote: str, wanted: Sequence[LfsPointer], env: Mapping[str, str]) -> None:
        """Upload files to the remote's LFS server; those that it has already cost one question.

        Raises:
            Unavailable, TimedOut: git-lfs is not installed, or the server does not take them, with its words.
        """
        oids = [each.oid for each in wanted]
        deadline = _LEAST_S + sum(each.size for each in wanted) / _BYTES_PER_S
        ended = self._git.finished(
            *("lfs", "push", "--object-id", plain(remote, "a remote"), *oids), deadline_s=deadline, env=env
        )
        if _ABSENT in ended.err:
            raise Unavailable("The artifact is in Git LFS, and git-lfs is not installed here.", _INSTALL)
        if ended.code != 0:
            raise failure("lfs push", ended.err or ended.out)

    def _pointers(self, names: Sequence[bytes]) -> dict[str, LfsPointer]:
        """The pointers among some objects, by their files' digests."""
        if not names:
            return {}
        heads = self._git("cat-file", "--batch-check", stdin=b"\n".join(names) + b"\n").split(b"\n")
        small = [words[0] for line in heads if len(words := line.split()) == 3 and _is_small_blob(words)]
        if not small:
            return {}
        out = self._git("cat-file", "--batch", stdin=b"\n".join(small) + b"\n")
        found, at = {}, 0
        while at < len(out):
            end = out.index(b"\n", at)
            size = int(out[at:end].split()[2])
            pointer = read_pointer(out[end + 1 : end + 1 + size])
            if pointer:
                found[pointer.oid] = pointer
            at = end + 1 + size + 1
        return found


def _is_small_blob(words: Sequence[bytes]) -> bool:
    return words[1] == b"blob" and int(words[2]) < MAX_POINTER


def _store_of(repository: Path) -> Path:
    """The store of a repository on this machine, bare or with a working tree."""
    inside = repository / ".git"
    return (inside if inside.is_dir() else repository) / "lfs"
