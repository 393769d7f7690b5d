"""Artifacts as they are in a commit: exported into a private folder, verified there, remembered by their blobs."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ml.operations.context import Context
from ml.ports import Report
from ml.promotion.repository import TreeEntry
from ml.registry.history import chronological
from ml.verdict import Check

if TYPE_CHECKING:
    from ml.artifacts.verification import Verification
    from ml.operations.registries import Base
    from ml.registry.schema import Model

_MOST_REMEMBERED = 64


class Named(Protocol):
    """What names an artifact of a commit: a pointer of the registry, or a target."""

    @property
    def artifact_id(self) -> str: ...  # noqa: D102

    @property
    def artifact_dir(self) -> str: ...  # noqa: D102

    @property
    def model_sha256(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Content:
    """What an artifact's directory holds in a commit; equal content has equal verifications by one runtime."""

    entries: tuple[TreeEntry, ...]
    expected: str
    runtime: str


class CommitArtifacts:
    """Verifies artifacts from git's objects, so that an operator's working tree never counts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._known: dict[_Content, Verification] = {}

    def verify(self, commit: str, path: str, expect_sha256: str | None, report: Report | None = None) -> Verification:
        """Verify an artifact of a commit, by its path from the root. An absent one fails its layout check.

        Raises:
            Unavailable: the commit is not here, or the cage cannot be built.
        """
        from ml.artifacts.cache import runtime_version  # noqa: PLC0415 - the first frame verifies nothing

        content = _Content(self._context.repository.tree(commit, path), expect_sha256 or "", runtime_version())
        with self._lock:
            known = self._known.get(content)
        if known is not None:
            return known
        with self.exported(commit, (path,)) as (directory,):
            found = self._context.verifier().verify(directory, report=report, expect_sha256=expect_sha256)
        if found.valid:
            # A failure may be the machine's: it is looked at again.
            self._remember(content, found)
        return found

    def standing(self, base: Base, past: Model, named: Named, report: Report | None = None) -> Verification:
        """Verify what a pointer names in the base: against its digest, and file by file against what evidence pinned.

        Args:
            past: the pointer's model with its archived events.
            named: the pointer, or a target made of it.

        Raises:
            Unavailable: the commit is not here, or the cage cannot be built.
        """
        from ml.promotion.pins import pinned  # noqa: PLC0415 - the first frame verifies nothing

        found = self.verify(base.commit, base.located(named.artifact_dir), named.model_sha256 or None, report)
        places, events = self._context.place.places, chronological(past)
        return found.pinned(pinned(self._context.repository, base.commit, places, events, named.artifact_id))

    @contextmanager
    def exported(self, commit: str, paths: Sequence[str]) -> Iterator[tuple[Path, ...]]:
        """Private copies of some artifacts of a commit, by their paths from the root, gone when the block ends."""
        with tempfile.TemporaryDirectory(prefix="mlconsole-verify-") as folder:
            self._context.repository.export(commit, Path(folder), paths)
            yield tuple(Path(folder) / path for path in paths)

    def latency(
        self, commit: str, candidate_path: str, active_path: str, max_ratio: float, report: Report | None = None
    ) -> Check:
        """Time an artifact against the active one, in turns in one cage. Raises Unavailable without a cage."""
        with self.exported(commit, (candidate_path, active_path)) as (candidate, active):
            return self._context.verifier().latency(candidate, active, max_ratio=max_ratio, report=report).check

    def _remember(self, content: _Content, found: Verification) -> None:
        with self._lock:
            while len(self._known) >= _MOST_REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[content] = found
