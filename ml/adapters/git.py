"""The git repository: all reads and writes of the console, through one runner.

Reading by plumbing costs one process of about 3 ms and works alike on SHA-1 and SHA-256, bare, shallow and
quarantined repositories; GitPython reads neither SHA-256 nor with a deadline (docs/decisions/gitpython.md), so it only
describes clones for people (`ml.adapters.git_clone`).
"""

from __future__ import annotations

from pathlib import Path

from ml.adapters import processes
from ml.adapters.git_clone import GitClone
from ml.adapters.git_history import GitHistory, GitRefs, GitSignatures
from ml.adapters.git_lfs import LfsStore
from ml.adapters.git_messages import MessageWriter
from ml.adapters.git_objects import GitObjects
from ml.adapters.git_runner import GitRunner
from ml.adapters.git_writing import GitCommitWriter, GitRemotes
from ml.ports import Converse, Runner
from ml.promotion.repository import Repository
from ml.promotion.trailers import PLAIN, Wording


def open_repository(
    path: Path,
    *,
    run: Runner = processes.run,
    converse: Converse = processes.ProcessConversation,
    wording: Wording = PLAIN,
    follow_head: bool = False,
) -> Repository:
    """Open the git repository that holds ``path``, by its parts. Looks at nothing yet.

    Args:
        wording: the lines that commit messages get.
        follow_head: a base ref that is not here stands for the remote's default branch, because nobody configured it.
    """
    git = GitRunner(path, run, converse)
    objects, history, lfs = GitObjects(git), GitHistory(git), LfsStore(git)
    remotes, clone = GitRemotes(git, lfs), GitClone(git, objects, follow_head=follow_head)
    return Repository(
        objects=objects,
        history=history,
        refs=GitRefs(git, history, remotes, clone),
        signatures=GitSignatures(git),
        clone=clone,
        writer=GitCommitWriter(git, MessageWriter(git, wording)),
        remotes=remotes,
        lfs=lfs,
    )
