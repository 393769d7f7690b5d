"""Watches over new active models: their keepers, and breaches that last as long as their alert rule requires."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ml.board import ModelView, Problem, WatchView
from ml.clock import format_utc, parse_utc
from ml.emergency.killfile import KillFile, KillState
from ml.emergency.watch import Subject, Watch, durations
from ml.emergency.watchkeeper import Turn, WatchEvent, Watchkeeper
from ml.errors import ConsoleError, Unavailable
from ml.policy import Policy
from ml.promotion.publish import Desk, Reconciled, reconcile
from ml.records.audit import AuditLog
from ml.session.context import Context
from ml.session.metrics import SERVING
from ml.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from ml.emergency.killformats import KillFormat
    from ml.records.audit import AuditLine


_NEW = timedelta(days=1)
"""A model that became active longer ago is not watched any more."""


class Watches:
    """Updates all watches at every poll. A watch that cannot be stored is reported, and the others go on."""

    def __init__(self, context: Context) -> None:
        self.problems: tuple[Problem, ...] = ()
        """The reason why the last poll could not store its watches."""
        self._context = context
        self._keeper = Watchkeeper(context.place.state / "watches", context.audit)

    def poll(self, policy: Policy, models: Sequence[ModelView], now: datetime) -> tuple[WatchView, ...]:
        """Begin, move on and end watches; the running ones as the board shows them. Never raises: see `problems`."""
        self.problems = ()
        try:
            running = {watch.model: watch for watch in self._running()}
            if not self._context.place.read_only:
                subjects = tuple(self._subjects(models, running, now))
                if subjects or running:
                    self._move_on(subjects, policy, now)
            return tuple(_view(watch) for watch in self._running())
        except ConsoleError as error:
            self.problems = (Problem("watch", error.cause, error.remedy),)
            return ()

    def known(self) -> tuple[Watch, ...]:
        """Every watch over a newly active model that is on disk, ended ones included."""
        return self._keeper.watches()

    def began(self) -> dict[tuple[str, str], datetime]:
        """Return the first sight of each watched artifact in service, by model and artifact; empty if unreadable."""
        try:
            watches = sorted(self._keeper.watches(), key=lambda watch: watch.began_at, reverse=True)
        except ConsoleError:
            return {}  # `poll` reports the reason
        return {(watch.model, watch.artifact_id): watch.began_at for watch in watches}

    def claim(self, model: str) -> str:
        """Take over a running watch; the sentence about it. Raises Refused where none is running."""
        self._context.require_write()
        return self._keeper.claim(model, self._context.person.full()).sentence

    def _running(self) -> tuple[Watch, ...]:
        return tuple(watch for watch in self._keeper.watches() if watch.ended_at is None)

    def _move_on(self, subjects: Sequence[Subject], policy: Policy, now: datetime) -> None:
        minutes, person = policy.watch.minutes, self._context.person.full()
        for event in self._keeper.poll(subjects, person, now, minutes=minutes, durations=self._durations()):
            self._announce(event)

    def _subjects(self, models: Sequence[ModelView], running: Mapping[str, Watch], now: datetime) -> Iterator[Subject]:
        """List the artifacts to watch: new ones and those under watch, also if too old by now or no longer active."""
        for model in models:
            watch, active = running.get(model.name), model.active
            since = active.since or (watch.promoted_at if watch is not None else None)
            if watch is None and (active.artifact_id is None or since is None or now - since > _NEW):
                continue
            serving = active.deployment == SERVING
            yield Subject(model.name, active.artifact_id or "", since or now, serving, model.active_readings)

    def _durations(self) -> dict[str, float]:
        try:
            rules = self._context.metrics.rules() if self._context.metrics else None
        except ConsoleError:
            rules = None
        return dict(durations(rules))

    def _announce(self, event: WatchEvent) -> None:
        if event.turn in (Turn.BREACH, Turn.RECOVERED, Turn.ENDED):
            self._context.notifier.tell(event.turn.value, event.sentence, model=event.watch.model)


def _view(watch: Watch) -> WatchView:
    return WatchView(
        model=watch.model,
        artifact_id=watch.artifact_id,
        keeper=visible(watch.keeper),
        began_at=watch.began_at,
        ends_at=watch.ends_at,
        breaching=tuple(f"{trouble.objective}: {visible(trouble.why)}" for trouble in watch.breaching),
    )


# Unfinished work of crashed consoles: reported in sentences, and recorded in the audit log on their behalf.


def left_behind(context: Context, desk: Callable[[], Desk]) -> Iterator[str]:
    """Report an unfinished kill and unfinished changes. Each is settled by the report, unless its result is unknown."""
    try:
        yield from explain(context.place.kill_file, context.audit, context.place.kill_format)
        for change in settle_changes(context.audit, desk()):
            yield change.why
    except ConsoleError as error:
        yield str(error)


def settle_changes(audit: AuditLog, desk: Desk) -> tuple[Reconciled, ...]:
    """Settle interrupted changes, and write each one that took effect to the audit log.

    Raises: Unavailable when it cannot be recorded; it is then settled the next time.
    """

    def record(told: Mapping[str, str]) -> None:
        branch, commit = told.get("branch", ""), told.get("commit", "")
        # Landings and pushes are recorded by what they changed: the base, and the change's own line.
        if "action" in told and not _recorded(audit, branch, commit):
            audit.append_change(told, branch, commit, pushed=True)

    return reconcile(desk, record)


def _recorded(audit: AuditLog, branch: str, commit: str) -> bool:
    change = (branch, commit, True)
    entries = (line.fields for line in audit.read())
    return any((each.get("branch"), each.get("commit"), each.get("pushed")) == change for each in entries)


# Recovery of a kill switch that an earlier session left behind, by crash or by hand.
#
# The kill file is the truth about the switch, and the audit log about who has been informed. Where the two disagree, a
# sentence says why, and the missing line is added to the log.

_KINDS = ("kill", "release", "kill_found", "release_found")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def explain(file: Path, audit: AuditLog, form: KillFormat | None = None) -> tuple[str, ...]:
    """Clean up after killed consoles and add missing records. Returns sentences; none when all agrees.

    ``form`` is the format of the engines' own kill file; ``None`` is the env file.
    """
    kill_file = KillFile(file, form)
    found = kill_file.read()
    said = []
    if kill_file.sweep():
        state = "engaged" if found.engaged else "not engaged"
        said.append(f"A console died while it wrote the kill file; the kill switch is {state}.")
    if found.engaged is None:
        return (*said, found.problem)
    try:
        last = next((line for line in reversed(audit.read()) if line.kind in _KINDS), None)
        said += _engaged(found, last, audit) if found.engaged else _released(last, audit)
    except Unavailable as error:
        said.append(str(error))
    return tuple(said)


def _engaged(found: KillState, last: AuditLine | None, audit: AuditLog) -> list[str]:
    if last is not None and last.kind in ("kill", "kill_found"):
        return []
    since = found.at or _LONG_AGO
    who = found.by or "somebody by hand"
    if last is not None and parse_utc(last.at) >= since.replace(microsecond=0):
        sentence = (
            f"The release that {last.fields.get('by') or 'somebody'} asked for at {last.at} never took effect: "
            f"the kill switch is still engaged, by {who}."
        )
    else:
        sentence = f"The kill switch was engaged at {format_utc(since)} by {who}, and no console lived to record it."
    audit.append("kill_found", by=found.by, reason=found.reason, since=format_utc(since))
    return [sentence]


def _released(last: AuditLine | None, audit: AuditLog) -> list[str]:
    if last is None or last.kind not in ("kill", "kill_found"):
        return []
    audit.append("release_found")
    if last.fields.get("written") is False:
        return [f"The kill of {last.at} could not be written to the kill file, and the switch is not engaged now."]
    return [f"The kill of {last.at} was released by hand, outside of any console."]
