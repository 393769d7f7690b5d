"""Git's own answer to what it makes of a file's bytes: when they are added, and when they are checked out.

The attributes are those of a commit, with those of this clone over them; the line ends are this clone's settings. No
filter driver is asked, because a driver is a program: callers look for a ``filter`` attribute first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ml.adapters.git_runner import GitRunner, plain

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
