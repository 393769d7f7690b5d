"""Merge → deploy: a checkout that follows the remote's main branch, as a delivery pipeline would.

``python -m console.demo.deployer ROOT`` follows until it is ended; `deploy` does one round.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from console.demo.layout import Layout
from ml.adapters.git_runner import GitRunner
from ml.adapters.processes import run
from ml.errors import ConsoleError

BRANCH = "main"
_EVERY_S = 1.0


def deploy(layout: Layout) -> None:
    """Bring the checkout to the remote's main branch, then tell the engines which commit that is.

    git writes paths in order, so artifacts are there before the registry that names them.

    Raises:
        ConsoleError: git cannot.
    """
    tip = GitRunner(layout.remote, run)("rev-parse", BRANCH).decode("ascii").strip()
    if layout.deployed_commit.exists() and layout.deployed_commit.read_text("ascii").strip() == tip:
        return
    git = GitRunner(layout.deployment, run)
    git("fetch", "--quiet", "origin", BRANCH)
    git("merge", "--quiet", "--ff-only", tip)
    part = layout.deployed_commit.with_suffix(".part")
    part.write_text(f"{tip}\n", "ascii")
    os.replace(part, layout.deployed_commit)


def main() -> None:
    """Follow for ever; what goes wrong is said once per round and tried again."""
    layout = Layout(Path(sys.argv[1]))
    while True:
        try:
            deploy(layout)
        except ConsoleError as error:
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
        time.sleep(_EVERY_S)


if __name__ == "__main__":
    main()
