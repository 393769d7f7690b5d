"""Notifications of the rungs that changes reach: each rung of a change once per machine, also after a restart.

A machine tells of the changes that were planned on it, so that several consoles do not tell the same. A rung is noted
on disk before it is told: a crash in between loses one notification, and none is ever repeated.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from ml.clock import format_utc, parse_utc
from ml.errors import Unavailable
from ml.promotion.rungs import Ladder, Rung, State, Step
from ml.records.audit import AuditLine
from ml.records.durable import replace_file
from ml.session.context import Context
from ml.stage import Action
from ml.text import visible

_OLD = timedelta(days=1)
"""A change that is seen for the first time this long after it was planned is no news."""
_FORGOTTEN = timedelta(days=30)
_LARGEST = 4 << 20


class _Told(NamedTuple):
    """The rungs already told for one branch, and the time when the branch was last seen."""

    rungs: frozenset[str]
    seen: datetime


class RungNews:
    """Tells the webhook of newly reached rungs. Safe to use from several threads and consoles of one machine."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._path = context.place.state / "rungs.json"

    def tell(self, found: Sequence[Ladder]) -> int:
        """Tell of every rung of this machine's changes that was reached since the last call; how many were told.

        A rung below PUSHED is told with the change itself. A read-only session tells nothing.

        Raises: Unavailable when it cannot be noted on disk, or the audit log cannot be read. Nothing was told then.
        """
        if self._context.place.read_only:
            return 0
        branches = _planned_here(self._context.audit.read())
        mine = [each for each in found if each.subject.branch in branches]
        if not mine:
            return 0
        with self._locked():
            before = self._read()
            news = [] if before is None else [(each, step) for each in mine for step in _fresh(each, before)]
            after = _noted(before or {}, mine)
            if before is None or {name: told.rungs for name, told in before.items()} != _rungs(after):
                self._write(after)
        for each, step in news:
            self._announce(each, step)
        return len(news)

    def _announce(self, found: Ladder, step: Step) -> None:
        subject = found.subject
        about = f"{subject.action} {subject.artifact_id} to {subject.to_stage} of {subject.model}"
        self._context.notifier.tell(
            "rung",
            f"{about}: {step.rung.value.upper()}{f', by {step.by}' if step.by else ''}. {step.why}",
            model=subject.model,
            branch=subject.branch,
            commit=subject.commit,
            rung=step.rung.value,
        )

    def _read(self) -> dict[str, _Told] | None:
        """The notes; ``None`` where the file cannot be read, so that nothing is known about what was told."""
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError:
            return None
        try:
            written = json.loads(raw[:_LARGEST])["told"]
            return {
                str(name): _Told(frozenset(map(str, told["rungs"])), parse_utc(told["seen"]))
                for name, told in written.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def _write(self, told: Mapping[str, _Told]) -> None:
        notes = {name: {"rungs": sorted(each.rungs), "seen": format_utc(each.seen)} for name, each in told.items()}
        try:
            replace_file(self._path, json.dumps({"schema_version": "v1", "told": notes}).encode())
        except OSError as error:
            raise _unwritable(self._path, error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _planned_here(lines: Sequence[AuditLine]) -> frozenset[str]:
    actions = frozenset(Action)
    return frozenset(str(line.fields.get("branch")) for line in lines if line.kind in actions)


def _reached(found: Ladder) -> Iterator[Step]:
    return (step for step in found.steps if step.state is State.REACHED and step.rung is not Rung.PLANNED)


def _fresh(found: Ladder, before: Mapping[str, _Told]) -> Iterator[Step]:
    known = before.get(found.subject.branch)
    if known is None and found.as_of - found.subject.at >= _OLD:
        return
    told = known.rungs if known is not None else frozenset()
    yield from (step for step in _reached(found) if step.rung.value not in told)


def _noted(before: Mapping[str, _Told], found: Sequence[Ladder]) -> dict[str, _Told]:
    """The notes after this look; a branch that nobody has seen for a month is forgotten."""
    now = max(each.as_of for each in found)
    notes = {name: told for name, told in before.items() if now - told.seen < _FORGOTTEN}
    for each in found:
        known = notes.get(each.subject.branch, _Told(frozenset(), now))
        rungs = known.rungs | {step.rung.value for step in _reached(each)}
        notes[each.subject.branch] = _Told(rungs, now.astimezone(UTC))
    return notes


def _rungs(notes: Mapping[str, _Told]) -> dict[str, frozenset[str]]:
    return {name: told.rungs for name, told in notes.items()}


def _unwritable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{visible(str(path))} cannot be written: {error.strerror or error}.",
        "Make room or correct its permissions; until then no rung is told to the webhook.",
    )
