"""Installation of the gate as a hook of a shared repository."""

from __future__ import annotations

import shutil
from pathlib import Path

from ml.adapters.git_runner import GitRunner
from ml.errors import Unavailable
from ml.ports import Runner
from ml.promotion.hooks import PRE_RECEIVE
from ml.text import visible

_MARK = b"\n# Refuses every push that mlconsole's gate refuses"
"""A line that every version of our hook contains, and no other hook does."""


def install_gate(
    remote: Path, *, run: Runner, python: Path, base: str = "main", path: Path | None = None, prometheus: str = ""
) -> Path:
    """Install the ``pre-receive`` hook in a bare repository, with the command of the gate; returns the hook.

    An older hook of ours is replaced. Git is configured to refuse malformed objects as well: a tree that holds one name
    twice, or a name such as ``..``, reads differently in different tools.

    Args:
        python: a Python that can import mlconsole, which the server will start.
        base: the branch that the hook guards.
        path: the folder to import mlconsole from, where it is not installed for ``python``.
        prometheus: where the hook asks the recorded questions of evidence again; empty leaves what is configured.

    Raises:
        Unavailable: the repository has another pre-receive hook, or cannot be written.
    """
    hook = remote / "hooks" / PRE_RECEIVE.name
    if hook.exists() and _MARK not in hook.read_bytes():
        raise Unavailable(f"{visible(str(hook))} is another hook.", "Call the gate from it by hand, or remove it.")
    git = GitRunner(remote, run)
    settings = {"python": str(python), "base": base, "path": str(path or "")}
    settings |= {"prometheus": prometheus} if prometheus else {}
    for key, value in settings.items():
        git("config", f"mlconsole.{key}", value)
    git("config", "receive.fsckObjects", "true")
    try:
        hook.parent.mkdir(exist_ok=True)
        shutil.copyfile(PRE_RECEIVE, hook)
        hook.chmod(0o755)
    except OSError as error:
        raise Unavailable(f"{visible(str(hook))} cannot be written: {error.strerror}.", "Correct its owner.") from error
    return hook
