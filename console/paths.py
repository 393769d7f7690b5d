"""Paths of the repository, the user's configuration file, and the state folder.

This module is light, because the kill key uses it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from ml.errors import Usage
from ml.text import visible


def find_root(start: Path) -> Path:
    """Find the repository that contains ``start``: the nearest directory with ``.git``, or a bare repository itself.

    Raises:
        Usage: there is none.
    """
    start = start.expanduser().absolute()
    for folder in (start, *start.parents):
        if (folder / ".git").exists() or (_is_bare(folder) and not _came_with_another(folder)):
            return folder
    raise Usage(
        f"{visible(str(start))} is not inside a git repository.",
        "Change into the repository that holds the model registry, or name it with --repo PATH.",
    )


def outside(environ: Mapping[str, str] = os.environ) -> bool:
    """Return True when the environment names no repository and the current directory is in none."""
    try:
        find_root(Path(os.getcwd()))
    except Usage:
        return not environ.get("MLCONSOLE_REPO")
    return False


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the user's own configuration file (XDG, on every system)."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "~"), ".config")
    return Path(base).expanduser() / "mlconsole" / "config.toml"


def state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of everything that must survive a crash (XDG, on every system); see `Settings.state`."""
    base = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME", "~"), ".local", "state")
    return Path(base).expanduser() / "mlconsole"


def state_of(root: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder of one repository; see `Settings.state`."""
    import hashlib  # noqa: PLC0415 it loads OpenSSL, for which neither the first frame nor the kill key waits

    key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:8]
    return state_directory(environ) / f"{root.name}-{key}"


def lies_in(path: Path, root: Path) -> bool:
    """Return True when a path leads into a repository's working tree, where everybody who pushes can write."""
    real, tree = os.path.realpath(path), os.path.realpath(root)
    return _below(real, tree) and not _below(real, os.path.join(tree, ".git"))


def of_a_repository(path: Path, root: Path) -> bool:
    """Return True when a file came with this or another repository, judged by its path and by the target of links."""
    for real in (os.path.abspath(path), os.path.realpath(path)):
        folder = os.path.dirname(real)
        if _below(folder, os.path.realpath(root)) or any(
            os.path.lexists(os.path.join(each, ".git")) for each in (folder, *map(str, Path(folder).parents))
        ):
            return True
    return False


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_bare(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _came_with_another(folder: Path) -> bool:
    """Return True for a bare repository that was pushed as part of a working tree.

    Such a folder can bring a git configuration that runs programs, so it does not count as a repository. The exception
    is a hook, where git itself sets the directory.
    """
    if os.environ.get("GIT_DIR") and os.path.realpath(os.environ["GIT_DIR"]) == os.path.realpath(folder):
        return False
    return any((each / ".git").exists() for each in folder.parents)
