"""The kind of a clone, shown by `mlconsole doctor`, and the gaps that make its answers unreliable.

GitPython reads the kind; nothing that we write depends on it (`ml.adapters.git_writing`). The gaps do matter: a shallow
clone dates every older commit to its boundary, so anything that rests on its history is unknown.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ml.adapters.git_objects import GitObjects
from ml.adapters.git_runner import GitRunner, plain
from ml.errors import ConsoleError, Usage
from ml.promotion.clone import CloneGap, CloneState, Lack
from ml.text import visible

if TYPE_CHECKING:
    from git import Repo


_UNDER_WAY = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}


_CONVERSIONS = ("filter", "ident", "working-tree-encoding", "text", "eol", "crlf")
"""The git attributes that decide how a checkout alters the bytes of a file."""
_PARTIAL = r"^(remote\..*\.(promisor|partialclonefilter)|extensions\.partialclone)$"
_UNSHALLOW = "Run `git fetch --unshallow`; in CI, check out with fetch-depth: 0."


def shallow_gap() -> CloneGap:
    """Return the gap of a shallow clone."""
    what = "This clone is shallow: it holds only the newest commits, so that nothing older can be dated or judged."
    return CloneGap(Lack.SHALLOW, what, _UNSHALLOW)


class GitClone:
    """Looks at a clone as a whole (`ml.promotion.repository.Clone`)."""

    def __init__(self, git: GitRunner, objects: GitObjects, *, follow_head: bool = False) -> None:
        self._conversions, self._follow_head = Conversions(git), follow_head
        self._git, self._objects = git, objects

    def shallow(self) -> bool:
        """True if this clone is shallow. Raises Unavailable when there is no repository."""
        return self._git("rev-parse", "--is-shallow-repository").strip() == b"true"

    def linked(self) -> bool:
        """True if this is a linked worktree. Raises Unavailable when there is no repository."""
        folders = self._git("rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir").split(b"\n")
        return folders[0] != folders[1]

    def followed(self, ref: str) -> str:
        """A ref such as ``origin/main``, or the remote's default branch where this clone has no such branch of it.

        Only for a ref that nobody configured; any other is returned as it is.
        """
        remote, _, branch = ref.partition("/")
        if not self._follow_head or not branch or self._there(f"refs/remotes/{ref}"):
            return ref
        home = f"refs/remotes/{remote}/"
        said = self._git.finished("symbolic-ref", "--quiet", f"{home}HEAD").out.decode("utf-8", "replace").strip()
        default = said.removeprefix(home)
        return f"{remote}/{default}" if said.startswith(home) and self._there(said) else ref

    def gaps(self, ref: str, *, configured: bool = False) -> tuple[CloneGap, ...]:
        """Return the gaps of this clone for a base at ``ref``. Starts a few git processes.

        ``configured`` is true if the ref comes from the configuration: a missing remote is then reported as a gap.
        """
        try:
            return tuple(self._gaps(self.followed(ref), configured=configured))
        except ConsoleError:
            return ()  # the reader of the registry reports why git does not answer

    def _gaps(self, ref: str, *, configured: bool) -> Iterator[CloneGap]:
        remote, _, branch = ref.partition("/")
        tracking, base = f"refs/remotes/{ref}", ref
        if branch and self._known(remote):
            if not self._there(tracking):
                yield self._untracked(remote, ref)
                base = f"refs/heads/{branch}"
            else:
                base = tracking
        elif branch:
            base = f"refs/heads/{branch}"
            if not self._there(f"refs/heads/{ref}") and (configured or self._git("remote").strip()):
                what = (
                    f"There is no remote {visible(remote)} here, so that a local branch stands in for {visible(ref)}."
                )
                yield CloneGap(Lack.VANISHED, what, f"Run `git remote add {visible(remote)} URL`, or set registry.ref.")
        if self.shallow():
            yield shallow_gap()
        elif self._there(base) and self._git.finished("rev-list", "--count", "--first-parent", base, "--").code != 0:
            what = f"Commits of {visible(ref)} are missing here, so that its history cannot be read."
            yield CloneGap(Lack.NO_HISTORY, what, "Run `git fsck`, then clone anew.")
        if self._git.finished("config", "--get-regexp", _PARTIAL).code == 0:
            what = "This clone is partial: older files are missing here, and each look at one asks the remote."
            remedy = "Run `git -c remote.origin.partialclonefilter= fetch --refetch --no-filter origin`, or clone anew."
            yield CloneGap(Lack.PARTIAL, what, remedy)

    def _untracked(self, remote: str, ref: str) -> CloneGap:
        """Return the gap of an unknown remote branch: nothing was fetched yet, or the branch was deleted."""
        fetched = self._git("for-each-ref", "--count=1", f"refs/remotes/{remote}/").strip()
        shown, where = visible(ref), visible(remote)
        if not fetched:
            what = f"Nothing was ever fetched from {where}, so that a local branch stands in for {shown}."
            return CloneGap(Lack.NEVER_FETCHED, what, f"Run `git fetch {where}`.")
        what = f"{shown} is gone here, so that a local branch of that name stands in for it, and may be old."
        return CloneGap(Lack.VANISHED, what, f"Run `git fetch {where}`, or correct registry.ref.")

    def _known(self, remote: str) -> bool:
        return self._git.finished("config", "--get", f"remote.{remote}.url").code == 0

    def _there(self, ref: str) -> bool:
        return self._git.finished("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").code == 0

    def attributes(self, commit: str, paths: Sequence[str]) -> dict[str, dict[str, str]]:
        """The attributes by which git converts each path at checkout: ``set``, ``unset`` or a value, by name.

        Those of this clone (``info/attributes``, ``core.attributesFile``) count too, as they do at a checkout here.
        Three processes, whatever the number of paths; paths without such attributes are left out.
        """
        if not paths:
            return {}
        files = [entry for entry in self._objects.tree(commit) if entry.path.rpartition("/")[2] == ".gitattributes"]
        listed = "".join(f"{entry.mode} {entry.blob}\t{entry.path}\0" for entry in files)
        with tempfile.TemporaryDirectory(prefix="mlconsole-attributes-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self._git("update-index", "-z", "--index-info", stdin=listed.encode("utf-8", "surrogateescape"), env=index)
            asked = "".join(f"{plain(path, 'a path')}\0" for path in paths).encode("utf-8", "surrogateescape")
            out = self._git("check-attr", "--cached", "-z", "--stdin", *_CONVERSIONS, stdin=asked, env=index)
        said = out.decode("utf-8", "surrogateescape").split("\0")
        found: dict[str, dict[str, str]] = {}
        for path, name, value in zip(said[:-1:3], said[1::3], said[2::3], strict=True):
            if value != "unspecified":
                found.setdefault(path, {})[name] = value
        return found

    def converts(self, commit: str, files: Sequence[tuple[str, bytes]]) -> tuple[str, ...]:
        """The paths of files that git would change here by a commit's attributes."""
        return self._conversions.of(commit, files)

    def describe(self) -> CloneState:
        """The clone's branch, kind and remotes. Raises Usage when there is no repository."""
        # GitPython takes 0.1 s to import, which neither the first frame nor a change should pay.
        from git import InvalidGitRepositoryError, NoSuchPathError, Repo  # noqa: PLC0415

        try:
            with Repo(self._git.path, search_parent_directories=True) as repo:
                return _state(repo)
        except (InvalidGitRepositoryError, NoSuchPathError) as error:
            raise Usage("This is no git repository.", "Start inside a clone, or name it with --repo PATH.") from error


def _state(repo: Repo) -> CloneState:
    detached = repo.head.is_detached
    folder = repo.git_dir
    return CloneState(
        branch="" if detached else repo.head.reference.name,
        bare=repo.bare,
        shallow=Path(repo.common_dir, "shallow").exists(),
        worktree=str(folder) != str(repo.common_dir),
        under_way=next((word for name, word in _UNDER_WAY.items() if Path(folder, name).exists()), ""),
        remotes=tuple(remote.name for remote in repo.remotes),
    )


# Git's own answer to what it makes of a file's bytes: when they are added, and when they are checked out.
#
# The attributes are those of a commit, with those of this clone over them; the line ends are this clone's settings.
# No filter driver is asked, because a driver is a program: callers look for a ``filter`` attribute first.

_STORES = ("core.autocrlf=false", "core.safecrlf=false")


class Conversions:
    """Sends bytes through git's conversions of one repository. Nothing is written to it."""

    def __init__(self, git: GitRunner) -> None:
        self._git = git

    def of(self, commit: str, files: Sequence[tuple[str, bytes]]) -> tuple[str, ...]:
        """The paths of files that git would change: added by an attribute, or checked out on this machine."""
        if not files:
            return ()
        with tempfile.TemporaryDirectory(prefix="mlconsole-conversions-") as folder:
            tree = Path(folder, "tree")
            self._attribute_files(commit, tree)
            env = self._environment(Path(folder), tree)
            return tuple(path for path, content in files if self._changed(path, content, tree, env))

    def _changed(self, path: str, content: bytes, tree: Path, env: Mapping[str, str]) -> bool:
        # git looks for attribute files from its own folder on, which must be the top of the tree.
        there, named = ("-C", str(tree)), f"--path={plain(path, 'a path')}"
        hashed = (*there, "hash-object", "-w", "--stdin")
        raw = self._git(*hashed, "--no-filters", stdin=content, env=env).strip()
        stored = self._git(*hashed, named, stdin=content, env=env, config=_STORES).strip()
        if raw != stored:
            return True
        return self._git(*there, "cat-file", "--filters", named, raw.decode("ascii"), env=env) != content

    def _environment(self, folder: Path, tree: Path) -> dict[str, str]:
        """This repository with another working tree, no index, and objects that vanish with the folder."""
        asked = ("rev-parse", "--path-format=absolute", "--git-dir", "--git-path", "objects")
        home, objects = self._git(*asked).decode("utf-8", "surrogateescape").splitlines()
        (folder / "objects").mkdir()
        return {
            "GIT_DIR": home,
            "GIT_WORK_TREE": str(tree),
            "GIT_INDEX_FILE": str(folder / "index"),
            "GIT_OBJECT_DIRECTORY": str(folder / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
        }

    def _attribute_files(self, commit: str, tree: Path) -> None:
        """Write the attribute files of a commit where a checkout would have them. Only regular ones count."""
        tree.mkdir()
        listed = self._git("ls-tree", "-r", "-z", "--full-tree", plain(commit, "a commit"))
        for line in listed.decode("utf-8", "surrogateescape").split("\0"):
            about, _, path = line.partition("\t")
            parts = PurePosixPath(path).parts
            if about.startswith("100") and parts[-1] == ".gitattributes" and ".." not in parts and ".git" not in parts:
                target = tree.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self._git("cat-file", "blob", about.split()[2]))
