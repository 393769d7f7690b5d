"""The case before the gate: one proposed commit, read from git objects alone and frozen (contract §8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from ml.policy import Policy
from ml.promotion.gate.guard import Guard
from ml.promotion.paths import Places
from ml.promotion.repository import CommitInfo, PathChange
from ml.registry.codec import Document
from ml.registry.events import with_archive
from ml.registry.schema import Event, Model
from ml.stage import Action, Stage
from ml.verdict import Code, Fact, Gate, Verdict, finding


def refused(name: str, why: str, *, waivable: bool = False, code: Code = Code.REFUSED, **values: Fact) -> Gate:
    """A line of the gate that says no. Line and code together say which rule; a line of several rules gives codes."""
    return finding(Verdict.FAIL, code, why, **values).gate(name, waivable=waivable)


def passed(name: str, why: str, *, code: Code = Code.ACCEPTED, **values: Fact) -> Gate:
    """A line of the gate that says yes."""
    return finding(Verdict.PASS, code, why, **values).gate(name, waivable=False)


@dataclass(frozen=True)
class Case:
    """One commit that changes what the gate governs, and the rules of the base that it is judged by.

    ``before`` is the registry in the commit's parent (``None``: there is none yet), ``after`` the one in the commit.
    ``policy`` and ``signers`` (``None``: no such file) are the base's, whatever the commit makes of them, and
    ``artifact_base`` is the base folder of the base's pointers. ``guard`` decides what is governed and protected, with
    the artifacts that the change itself names; ``named`` the same by the base alone.
    """

    places: Places
    base: str
    commit: CommitInfo
    parent: CommitInfo
    paths: tuple[PathChange, ...]
    policy: Policy
    signers: bytes | None
    artifact_base: str
    before: Document | None
    after: Document | None
    guard: Guard
    named: Guard


@dataclass(frozen=True)
class Move:
    """One step of one model: the event that was added, as written and as read, and the model before and after.

    ``archive`` are the bytes of the model's archive before the step, ``committed_at`` is its commit's date, or its
    parent's where that is later (`clock` tells of that).
    """

    name: str
    before: Model
    after: Model
    event: Event
    written: Mapping[str, Any]
    archive: bytes
    committed_at: datetime

    @cached_property
    def past(self) -> Model:
        """The model before the step with its archived events: what questions about its past are asked of."""
        return with_archive(self.before, self.archive)

    @property
    def made_at(self) -> datetime:
        """The time of the change: the one in its event, which a forge's squash or rebase keeps.

        A forge gives its own commit the time of the click, hours after the acknowledgement, and no date of the commit
        survives a squash. Both times are the author's word; the earlier one counts, and `timely` bounds its age.
        """
        return min(self.event.at or self.committed_at, self.committed_at)

    @property
    def action(self) -> Action:
        """The event's action. `transition` has checked that it is one of ours."""
        return Action(self.event.action or "")

    @property
    def to_stage(self) -> Stage:
        """The event's destination."""
        return Stage(self.event.to_stage or "")

    @property
    def artifact_id(self) -> str:
        """The id of the event's artifact."""
        return self.event.artifact_id or ""

    @property
    def by(self) -> str:
        """The author of the event, as the event states."""
        return self.event.by or ""


def plain_models(document: Document | None) -> dict[str, Any]:
    """A registry's models as plain JSON values; the document was read strictly before."""
    if document is None:
        return {}
    models = json.loads(document.raw)["models"]
    assert isinstance(models, dict)
    return models


# The basis of each line of the gate: our own computation, a second measurement, or a person's claim. Pure.

_MEASURED = frozenset({Code.MEASURED_ALIKE, Code.MEASURED_OTHERWISE, Code.FORGOTTEN, Code.ALERT_CONTRADICTED})
_CLAIMED = frozenset({Code.CLAIMED, Code.SELF_DECLARED, Code.NOT_MEASURED_AGAIN})


class Basis(StrEnum):
    """On what a line rests."""

    RECOMPUTED = "re-computed"
    """The gate computed it from git's objects and the recorded responses, with its own code."""
    REMEASURED = "re-measured"
    """The gate asked a metrics source of its own."""
    CLAIMED = "claimed"
    """Only the author says so."""


def basis_of(gate: Gate) -> tuple[Basis, str]:
    """Return the basis of a line and the person who claims it; empty where nobody claims it."""
    found = gate.was or gate.found
    facts = dict(found.facts)
    if found.code in _MEASURED:
        return Basis.REMEASURED, ""
    if found.code in _CLAIMED or facts.get("proven") is False:
        return Basis.CLAIMED, str(facts.get("who") or "")
    return Basis.RECOMPUTED, ""


def shown_basis(gate: Gate) -> str:
    """The same in words, for the end of a line."""
    basis, who = basis_of(gate)
    return f"{basis} by {who}" if who else str(basis)
