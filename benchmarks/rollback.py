"""Measure an armed rollback, from the confirmation to the read-back after the push, against bare git commands."""

from __future__ import annotations

import os
import tempfile
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Result, in_turns
from console.config import load
from console.demo.layout import Layout
from console.demo.repository import make_repositories
from console.invocation import open_session
from ml.adapters.processes import run as start
from ml.promotion.values import RollbackPlan
from ml.session import Session

_MODEL = "regime_classifier"
_ROUNDS = 15


def run() -> tuple[Result, ...]:
    """Measure on the demo's repositories: the same files are committed and pushed by both."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        layout.make()
        make_repositories(layout, datetime.now(UTC), "")
        session = open_session(
            load(repo=str(layout.clone), environ={"HOME": folder, "XDG_STATE_HOME": str(layout.state)})
        )
        # A plain bare remote: a server's gate takes the server's time, the same for every push.
        (layout.remote / "hooks" / "pre-receive").unlink()
        session.boards.poll()
        session.rollbacks.keep_armed()
        prepared = session.rollbacks.plan(_MODEL)
        assert session.rollbacks.plan(_MODEL) is prepared, "what is armed is what is offered"
        assert prepared.plan is not None, prepared.why
        ours, floor = in_turns(lambda: _confirm(session, prepared), lambda: _plumbing(layout, prepared), _ROUNDS)
    return (Result("rollback confirm → pushed, read back", "git plumbing and push", ours, floor, 1.5),)


def _confirm(session: Session, prepared: RollbackPlan) -> None:
    assert prepared.plan is not None
    # A branch of its own each time: branch names hold the second, and this is faster.
    done = session.changes.submit(replace(prepared.plan, branch=f"rollback/{_MODEL}/{uuid.uuid4().hex}"))
    assert done.pushed, done.why


def _plumbing(layout: Layout, prepared: RollbackPlan) -> None:
    assert prepared.plan is not None
    environ = os.environ | {"GIT_INDEX_FILE": str(layout.root / f"index-{uuid.uuid4().hex}")}
    target, branch = prepared.plan.target, f"refs/heads/bench/{uuid.uuid4().hex}"

    def git(*argv: str, stdin: bytes = b"") -> str:
        durable = ("git", "-c", "core.fsync=all", *argv)
        ended = start(durable, deadline_s=30, cwd=layout.clone, env=environ, stdin=stdin)
        assert ended.code == 0, ended.err
        return ended.out.decode().strip()

    git("read-tree", target.base_commit)
    entries = [
        f"100644 {git('hash-object', '-w', '--stdin', stdin=content)}\t{path}\n"
        for path, content in prepared.plan.files
    ]
    git("update-index", "--add", "--index-info", stdin="".join(entries).encode())
    tree = git("write-tree")
    commit = git("commit-tree", tree, "-p", target.base_commit, stdin=f"bench {uuid.uuid4()}".encode())
    git("update-ref", branch, commit, "")
    git("push", "--quiet", "origin", f"{commit}:{branch}")
    assert commit in git("ls-remote", "origin", branch)
