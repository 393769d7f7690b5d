"""What is left of killed writers: processes that start quickly, what still runs, and whether repositories are sound."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from support.clones import Clones

from ml.registry.schema import REGISTRY_PATH


def preloaded(module: str) -> ForkServerContext:
    """Starts processes that have imported a test module, and all that it needs, already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # the server of Python 3.11 knows no other path
        forkserver.ensure_running()
    return context


def until(holds: Callable[[], bool], deadline_s: float = 30.0) -> None:
    """Wait until something holds."""
    ends, pause = time.monotonic() + deadline_s, threading.Event()
    while not holds():
        assert time.monotonic() < ends, "the condition never held"
        pause.wait(0.02)


def running_git(home: Path) -> list[str]:
    """git processes on repositories below a folder: those of a killed writer go on to their end."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    about = [line for line in listed.splitlines() if str(home) in line]
    return [line for line in about if Path(line.split()[0]).name.startswith("git")]


def unsound(clones: Clones) -> list[str]:
    """What is wrong with remote and clone: locks, damaged objects, refs to nowhere, commits that are half a change."""
    wrong = []
    for folder in (clones.remote, clones.operator):
        git_dir = Path(folder.git("rev-parse", "--absolute-git-dir"))
        wrong += [str(path) for path in git_dir.rglob("*.lock")]
        wrong += folder.git("fsck", "--strict", "--no-dangling").splitlines()
    for line in clones.remote.git("for-each-ref", "--format=%(objectname) %(refname)").splitlines():
        commit, _, name = line.partition(" ")
        changed = (
            clones.remote.git("diff", "--name-only", f"{commit}^", commit).splitlines() if "/main" not in name else []
        )
        if changed and (REGISTRY_PATH not in changed or not any(path.endswith("pr_body.md") for path in changed)):
            wrong.append(f"{name} holds half a change: {changed}")
    return wrong
