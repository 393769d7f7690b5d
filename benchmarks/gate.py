"""Measure the gate on forty legal changes: landed alone, squashed, merged, and rebased on a base that moved.

The sandbox's own time is left out: an artifact is verified once, and remembered by its folder's bytes.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Result, seconds
from console.config import load
from console.demo.layout import Layout
from console.demo.repository import make_repositories
from console.invocation import open_session
from ml.adapters.git import open_repository
from ml.adapters.processes import run as start
from ml.artifacts.verification import Verification
from ml.artifacts.verify import Verifier
from ml.contract import Contract
from ml.promotion.gate import Bench, judge
from ml.promotion.paths import Places
from ml.session import Session

_MODEL = "regime_classifier"
_EACH = 10
_REACH = 10.0


class _Remembering:
    """The real verifier, which looks at the same bytes only once."""

    def __init__(self, real: Verifier) -> None:
        self._real, self._known = real, dict[str, Verification]()

    def verify(
        self, directory: Path, *, expect_sha256: str | None = None, contract: Contract | None = None
    ) -> Verification:
        """All checks of one directory."""
        digest = hashlib.sha256(f"{directory.name} {contract}".encode())
        for path in sorted(directory.rglob("*")):
            digest.update(path.name.encode() + (path.read_bytes() if path.is_file() else b""))
        key = digest.hexdigest()
        if key not in self._known:
            self._known[key] = self._real.verify(directory, contract=contract)
        return self._known[key].expecting(expect_sha256)


def run() -> tuple[Result, ...]:
    """Judge every change once, and ask git alone about the same two commits right after it."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        layout.make()
        make_repositories(layout, datetime.now(UTC), "")
        (layout.remote / "hooks" / "pre-receive").unlink()
        session = open_session(load(repo=str(layout.clone), environ={"HOME": folder, "XDG_STATE_HOME": folder}))
        bench = Bench(verifier=_Remembering(Verifier(start)), places=Places())
        repository = open_repository(layout.clone)
        landings = list(_landings(layout, session))
        judge(repository, *landings[0], bench)
        times = []
        for base, head in landings:
            closed = [gate.why for gate in judge(repository, base, head, bench) if not gate.verdict.opens]
            assert not closed, closed
            ours = seconds(lambda base=base, head=head: judge(repository, base, head, bench))  # type: ignore[misc]
            floor = seconds(lambda base=base, head=head: _plumbing(layout, base, head))  # type: ignore[misc]
            times.append((ours * 1000, floor * 1000))
        ours, floor = (statistics.median(column) for column in zip(*times, strict=True))
    return (Result(f"gate, each of {len(landings)} legal changes", "git rev-list and diff-tree", ours, floor, _REACH),)


def _landings(layout: Layout, session: Session) -> Iterator[tuple[str, str]]:
    """Bases and heads: rollbacks of one second each, in four ways to arrive."""
    prepared = session.rollbacks.plan(_MODEL)
    assert prepared.plan is not None, prepared.why
    base = prepared.plan.target.base_commit
    moved = _commit(layout, base, (base,), "The base moved\n")
    for number in range(_EACH):
        branch = f"rollback/{_MODEL}/{uuid.uuid4().hex}"
        change = session.changes.submit(replace(prepared.plan, branch=branch), push=False).commit
        message = _git(layout, "log", "-1", "--format=%B", change)
        yield base, change
        yield base, _commit(layout, change, (base,), f"{message}\n")
        yield moved, _commit(layout, change, (moved, change), f"Merge pull request #{number}\n")
        yield moved, _commit(layout, change, (moved,), f"{message}\n")


def _commit(layout: Layout, tree_of: str, parents: tuple[str, ...], message: str) -> str:
    named = [word for parent in parents for word in ("-p", parent)]
    return _git(layout, "commit-tree", f"{tree_of}^{{tree}}", *named, stdin=message.encode())


def _plumbing(layout: Layout, base: str, head: str) -> None:
    _git(layout, "rev-list", "--parents", head, f"^{base}")
    _git(layout, "diff-tree", "-r", "--raw", base, head)


def _git(layout: Layout, *argv: str, stdin: bytes = b"") -> str:
    ended = start(("git", *argv), deadline_s=30, cwd=layout.clone, stdin=stdin)
    assert ended.code == 0, ended.err
    return ended.out.decode().strip()
