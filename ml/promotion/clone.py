"""The kind of a clone, its gaps, and what its checkouts do to files, as promotion needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CloneState:
    """The kind of a clone. ``branch`` is empty when HEAD is detached; ``under_way`` is a merge, rebase …"""

    branch: str
    bare: bool
    shallow: bool
    worktree: bool
    under_way: str
    remotes: tuple[str, ...]

    def __str__(self) -> str:
        kinds = (("bare", self.bare), ("shallow", self.shallow), ("linked worktree", self.worktree))
        kind = ", ".join(word for word, true in kinds if true) or "ordinary"
        where = f"on {self.branch}" if self.branch else "HEAD detached"
        under_way = f", {self.under_way} under way" if self.under_way else ""
        return f"{kind} clone, {where}{under_way}, remotes: {', '.join(self.remotes) or 'none'}"


class Lack(StrEnum):
    """A gap of a clone, as data."""

    SHALLOW = "shallow"
    PARTIAL = "partial"
    VANISHED = "base-vanished"
    NEVER_FETCHED = "never-fetched"
    NO_HISTORY = "no-history"
    WORKTREE = "worktree-kill-file"


@dataclass(frozen=True, slots=True)
class CloneGap:
    """A gap of a clone that makes dependent answers unknown: a sentence, and a remedy."""

    lack: Lack
    what: str
    remedy: str


class Clone(Protocol):
    """The kind of a clone, its gaps, and what its checkouts do to files."""

    def shallow(self) -> bool:
        """True if this clone is shallow, so that its oldest commits only look like the first ones."""
        ...

    def linked(self) -> bool:
        """True if this is a linked worktree of another checkout."""
        ...

    def gaps(self, ref: str, *, configured: bool = False) -> tuple[CloneGap, ...]:
        """Return the gaps of this clone for a base at ``ref``, which may be ``configured``. Never raises."""
        ...

    def describe(self) -> CloneState:
        """Return the kind of this clone. Raises Usage when there is no repository."""
        ...

    def attributes(self, commit: str, paths: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """The git attributes that convert each path at checkout, by name: ``set``, ``unset`` or a value."""
        ...

    def converts(self, commit: str, files: Sequence[tuple[str, bytes]]) -> tuple[str, ...]:
        """The paths of files that git would change by a commit's attributes, when added or when checked out here."""
        ...
