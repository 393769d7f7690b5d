"""The registry as it is shown: where it was read, open branches, and history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ml.board.sources import Source


@dataclass(frozen=True, slots=True)
class OpenBranch:
    """A change branch that has not landed. ``pushed`` is false where the remote does not have it."""

    name: str
    commit: str
    action: str
    model: str
    artifact_id: str
    to_stage: str
    by: str
    at: datetime
    pushed: bool


@dataclass(frozen=True, slots=True)
class RegistryView:
    """Which registry is shown: the ref it was read at, its commit, and when the remote was last fetched."""

    ref: str
    commit: str
    path: str
    fetched: Source
    branches: tuple[OpenBranch, ...] = ()
    problem: str = ""
    """Why the registry is shown read-only: a sentence with line, column and field path; empty when it is sound."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One event of a model's history in the runbook's words, newest first when listed."""

    at: datetime | None
    action: str
    from_stage: str
    to_stage: str
    artifact_id: str
    by: str
    reason: str
