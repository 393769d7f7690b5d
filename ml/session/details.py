"""The inside of one change: its difference, files and evidence, the approvals of its commit, and the gate's lines.

Everything is read from this clone, after one fetch. Each part that cannot be read says why, and the others stand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ml.difference import difference
from ml.errors import ConsoleError, Refused
from ml.policy import Policy, parse_policy
from ml.promotion.approvals import homes, slot_of
from ml.promotion.evidence import verify
from ml.promotion.gate.authority import Electorate, why_no_approval
from ml.promotion.land import ends
from ml.promotion.publish import Desk
from ml.promotion.repository import PathChange
from ml.promotion.rungs import Ladder
from ml.session.context import Context
from ml.session.gate import ChangeGate
from ml.session.ladders import Ladders
from ml.text import visible
from ml.verdict import Check, Gate

_MOST_FILES = 200
_LARGEST_EVIDENCE = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """One evidence document of a change, and the verdicts that it gives when it is judged again."""

    path: str
    sha256: str
    size: int
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenApproval:
    """An approval of the change's commit; ``why_not`` is why it does not count, empty where it counts."""

    by: str
    at: datetime
    commit: str
    why_not: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDetails:
    """A change from the inside. ``base`` and ``head`` are the commits that it was read from.

    ``files`` are the paths that it adds, changes (``~``) or removes, at most some hundred. ``problems`` are sentences
    about what could not be read.
    """

    ladder: Ladder
    base: str
    head: str
    message: str
    difference: str
    files: tuple[str, ...]
    evidence: tuple[EvidenceFile, ...]
    approvals: tuple[GivenApproval, ...]
    problems: tuple[str, ...] = ()


class Details:
    """Opens changes. It writes nothing, and a read-only session has it too."""

    def __init__(self, context: Context, gate: ChangeGate, ladders: Ladders) -> None:
        self._context = context
        self._gate = gate
        self._ladders = ladders

    def of(self, name: str) -> ChangeDetails:
        """Open one change by its branch, or the beginning of its name.

        Raises:
            Usage: there is no such change, or several. Unavailable: the clone lacks a commit.
        """
        found = self._ladders.show(name)
        repository, desk = self._context.repository, self._gate.desk()
        head = found.subject.commit
        base = self._context.repository.refs.resolve(self._context.place.ref) or ""
        fork = repository.history.merge_base(base, head) if base else None
        if fork == head:  # it has landed, and its own parent is where it was made
            fork = next(iter(repository.history.commit(head).parents), None)
        problems: list[str] = []
        changed = repository.objects.changes(fork, head) if fork else ()
        if not fork:
            problems.append("The branch shares no history with the base, so nothing can be compared.")
        return ChangeDetails(
            ladder=found,
            base=base,
            head=head,
            message=repository.history.commit(head).message,
            difference=self._difference(fork or head, head),
            files=tuple(_files(changed)),
            evidence=tuple(self._evidence(changed, head, problems)),
            approvals=tuple(self._approvals(desk, base, head, problems)),
            problems=tuple(problems),
        )

    def gates(self, branch: str) -> tuple[Gate, ...]:
        """Judge a change as its landing would, by the base as fetched just now. It lands nothing.

        Raises:
            Refused: there is no such branch. Unavailable: the remote is out of reach.
        """
        history = self._context.repository.history
        base, head = ends(branch, self._gate.desk())
        if history.is_ancestor(head, base):
            raise Refused(f"{visible(branch)} has landed.", "There is nothing left to judge.")
        return self._gate.judge_commits(base, head, merging=not history.is_ancestor(base, head))

    def _difference(self, old: str, new: str) -> str:
        objects, path = self._context.repository.objects, self._context.place.places.registry
        return difference(objects.read(old, path) or b"", objects.read(new, path) or b"", path)

    def _evidence(self, changed: tuple[PathChange, ...], head: str, problems: list[str]) -> Iterator[EvidenceFile]:
        folder = f"{self._context.place.places.folder}/evidence/"
        for each in changed:
            if each.deleted or not (each.path.startswith(folder) and each.path.endswith(".json")):
                continue
            document = self._context.repository.objects.read(head, each.path) or b""
            shown = visible(each.path, limit=200)
            if len(document) > _LARGEST_EVIDENCE:
                problems.append(f"{shown} is too large to be judged here.")
                continue
            digest = hashlib.sha256(document).hexdigest()
            yield EvidenceFile(path=shown, sha256=digest, size=len(document), checks=verify(document))

    def _approvals(self, desk: Desk, base: str, head: str, problems: list[str]) -> Iterator[GivenApproval]:
        repository, places = desk.repository, desk.places
        try:
            policy: Policy = parse_policy(repository.objects.read(base, places.policy))
            rules = Electorate(policy, repository.objects.read(base, places.signers))
            notes = repository.refs.below(*homes(head))
        except ConsoleError as sick:
            problems.append(f"Approvals are unknown: {sick.cause}")
            return
        for name, note in notes:
            slot = slot_of(name)
            if slot is None or repository.refs.resolve(note) != note:
                continue  # anybody may have left something there that is no commit
            given = repository.history.commit(note)
            why = why_no_approval(repository, slot, note, rules, self._context.clock.now())
            yield GivenApproval(by=visible(given.author.email, limit=120), at=given.at, commit=note, why_not=why)


def _files(changed: tuple[PathChange, ...]) -> Iterator[str]:
    for each in changed[:_MOST_FILES]:
        sign = "+" if each.added else "-" if each.deleted else "~"
        yield f"{sign} {visible(each.path, limit=200)}"
    if len(changed) > _MOST_FILES:
        yield f"and {len(changed) - _MOST_FILES} more"
