"""Real repositories for tests: a bare remote and an operator's clone of it, cut off from the machine's git settings."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

OPERATOR = "operator@example.com"


def clean_environment(home: Path) -> dict[str, str]:
    """An environment in which git finds no settings but the repository's own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "XDG_"))}
    return kept | {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


@dataclass(frozen=True)
class Folder:
    """A repository or worktree as a person at a shell would use it."""

    path: Path
    home: Path

    def git(self, *args: str | Path, stdin: str = "", fails: bool = False) -> str:
        """Run git here; returns its output (with the errors, when it is expected to fail)."""
        ended = subprocess.run(
            ["git", *args],
            cwd=self.path,
            env=clean_environment(self.home),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert (ended.returncode != 0) == fails, f"git {args}: {ended.stdout}{ended.stderr}"
        return (ended.stdout + ended.stderr if fails else ended.stdout).strip()

    def write(self, path: str, content: str | bytes) -> None:
        """Write a file of the working tree."""
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str, files: dict[str, str | bytes] | None = None) -> str:
        """Write files, commit everything, and return the commit."""
        for path, content in (files or {}).items():
            self.write(path, content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def trace(self) -> dict[str, bytes | str]:
        """The operator's HEAD, index and working tree, byte for byte: what we must never touch."""
        git_dir = Path(self.git("rev-parse", "--absolute-git-dir"))
        seen: dict[str, bytes | str] = {
            "HEAD": (git_dir / "HEAD").read_bytes(),
            "index": (git_dir / "index").read_bytes() if (git_dir / "index").exists() else b"",
        }
        tree = [] if git_dir == self.path else sorted(self.path.rglob("*"))
        for path in tree:
            if ".git" not in path.relative_to(self.path).parts and path.is_file():
                seen[str(path.relative_to(self.path))] = path.read_bytes()
        return seen


@dataclass(frozen=True)
class Clones:
    """A bare remote and a clone whose ``origin`` it is, both on branch ``main``."""

    remote: Folder
    operator: Folder

    def another(self, name: str, *options: str, email: str = "second@example.com") -> Folder:
        """One more clone of the remote."""
        home = self.operator.home
        path = home / name
        Folder(home, home).git("clone", "-q", *options, self.remote.path.as_uri(), path)
        return _identified(Folder(path, home), email)

    def tip(self, branch: str = "main") -> str:
        """The remote's tip of a branch, empty when it has none."""
        return self.remote.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")


def make_clones(home: Path, files: dict[str, str | bytes] | None = None, object_format: str = "sha1") -> Clones:
    """A remote whose ``main`` holds ``files`` in one commit, and a fresh clone of it."""
    here = Folder(home, home)
    remote, operator = Folder(home / "remote.git", home), Folder(home / "operator", home)
    here.git("init", "-q", "--bare", "-b", "main", f"--object-format={object_format}", remote.path)
    here.git("init", "-q", "-b", "main", f"--object-format={object_format}", operator.path)
    _identified(operator, OPERATOR)
    operator.git("remote", "add", "origin", remote.path)
    operator.commit("The beginning", files or {"README.md": "hello\n"})
    operator.git("push", "-q", "-u", "origin", "main")
    return Clones(remote, operator)


def _identified(folder: Folder, email: str) -> Folder:
    folder.git("config", "user.email", email)
    folder.git("config", "user.name", email.partition("@")[0].title())
    return folder
