"""What kind of clone this is, read with GitPython for people who look after it (`mlconsole doctor`).

None of it matters for what we write (`ml.adapters.git_writing`); it explains what an operator sees in their own shell.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ml.adapters.git_runner import OnRepository
from ml.errors import Usage
from ml.promotion.repository import CloneState

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


class CloneDescribing(OnRepository):
    """Looking at a clone as a whole."""

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
