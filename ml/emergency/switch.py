"""The kill switch: write it, record it, deliver it, in that order, whatever else fails (contract §7).

Engaging fails safe: the kill file comes first, and neither a full disk for the audit log nor a hanging actuator takes
it back. Every press writes it again, because it may have changed since. Further actuators then run side
by side, each within its own deadline, so that a dead host delays no other. Releasing fails safe the other way
round: it is recorded first, and what cannot be recorded is not released.
Nothing here touches git, the registry, Prometheus or an event loop; imports stay within what the kill key can afford.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from ml.emergency.killenv import VARIABLE
from ml.emergency.killfile import ENGAGED_ALREADY, KillFile
from ml.errors import ConsoleError
from ml.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from ml.clock import Clock
    from ml.emergency.actuators import Actuator
    from ml.emergency.killformats import KillFormat
    from ml.records.audit import AuditLog


_SIDE_BY_SIDE = 256
"""Actuators that run at a time. Each costs a thread and mostly waits; more hosts than these wait for a free one."""


_REQUESTS = ("kill", "release", "kill_found", "release_found")
_LATE = timedelta(minutes=1)
_BY_HAND = 10
"""Actuators that are spelled out for a person; more would push the rest off the screen."""


class Step(NamedTuple):
    """The result of one actuator: success, a caveat or the cause of failure, and its duration.

    ``again``: its part was already done, which is no caveat. ``host`` is the host of the command, where the actuator
    has several.
    """

    name: str
    done: bool
    why: str
    seconds: float
    again: bool = False
    host: str = ""


class KillRequest(NamedTuple):
    """A kill or a release: the one in force (``at``, ``by``, ``reason``), and what was done about it just now.

    ``steps`` has the kill file first; it is empty when the request was only read back. ``problem`` says what went
    wrong besides, such as an audit line that could not be written. ``by_hand`` is what a person can do instead.
    """

    engage: bool
    at: datetime
    by: str
    reason: str
    steps: tuple[Step, ...] = ()
    problem: str = ""
    by_hand: tuple[str, ...] = ()

    @property
    def written(self) -> bool:
        """True if any actuator succeeded. Also true of a request that was read back from the file."""
        return not self.steps or any(step.done for step in self.steps)


class SwitchState(NamedTuple):
    """The state of the file: ``engaged`` is ``None`` when it is unknown, and ``problem`` says why.

    ``unclear``: the file can be read, and says neither exactly on nor exactly off. ``request`` is the kill or release
    in force, ``None`` when there never was one.
    """

    engaged: bool | None
    request: KillRequest | None
    problem: str = ""
    unclear: bool = False


class _Asked(NamedTuple):
    """A request by the audit log: who, why, and whether it is ``known`` there. ``after_kill``: a kill came last."""

    at: datetime
    engage: bool
    by: str = ""
    reason: str = ""
    known: bool = False
    after_kill: bool = False


class KillSwitch:
    """One kill switch: its file, further actuators side by side, and the audit log of all its requests."""

    def __init__(
        self,
        file: Path,
        actuators: Sequence[Actuator],
        audit: AuditLog,
        clock: Clock,
        form: KillFormat | None = None,
    ) -> None:
        """``form`` is the format of the engines' own file; ``None`` is the env file."""
        self._file = KillFile(file, form)
        self._form = form
        self._asked: _Asked | None = None
        self._actuators = tuple(actuators)
        self._audit = audit
        self._clock = clock

    def engage(self, by: str, reason: str, who: Callable[[], str] | None = None) -> KillRequest:
        """Switch machine learning off. Never raises: what failed is in the steps and the problem.

        Engaging what is engaged writes, delivers and records it again, but stays the one kill that began first.

        Args:
            by: the person, as far as that is known without waiting.
            who: the same person's full identity, which may take a moment to find; asked once the file is on disk.
        """
        at = self._clock.now()
        before = self._file.read()
        again = bool(before.engaged and before.at)
        request = KillRequest(True, at, by, reason)
        if again and before.at:
            request = KillRequest(True, before.at, before.by or by, before.reason or reason)
        steps = [self._write(request, again=again)]
        if again and not before.by:
            begun = self._recorded(request.at, engage=True)
            request = request._replace(by=begun.by or by, reason=begun.reason or reason)
        if who is not None:
            by = _asked(who) or by
            if not again:
                request = self._renamed(request, by)
        written = {"written": steps[0].done, "note": steps[0].why} | self._marked(request.at)
        problem = self._record("kill", by=by, reason=reason, **written)
        steps += self._deliver(engage=True)
        problem = problem or self._record_delivery(steps[1:])
        return request._replace(steps=tuple(steps), problem=problem, by_hand=self.by_hand(engage=True, steps=steps))

    def release(self, by: str, reason: str) -> KillRequest:
        """Switch machine learning back on.

        Raises:
            Unavailable: it could not be recorded or written; the switch is as it was.
        """
        at = self._clock.now()
        self._audit.append("release", by=by, reason=reason, **self._marked(at))
        begun = time.monotonic()
        self._file.release(at, by, reason)
        steps = [Step(self._name, True, "", time.monotonic() - begun), *self._deliver(engage=False)]
        problem = self._record_delivery(steps[1:])
        return KillRequest(False, at, by, reason, tuple(steps), problem, self.by_hand(engage=False, steps=steps))

    def state(self) -> SwitchState:
        """The switch as it is now, read back from its file."""
        found = self._file.read()
        request = None
        if found.engaged is not None and found.at is not None:
            hand = self.by_hand(engage=found.engaged)
            request = KillRequest(found.engaged, found.at, found.by, found.reason, by_hand=hand)
            if self._form is not None:
                asked = self._recorded(found.at, engage=found.engaged)
                request = request._replace(by=asked.by, reason=asked.reason)
                # The engines' own file is edited for other reasons too, which releases nothing.
                if not (found.engaged or asked.known or asked.after_kill):
                    request = None
        return SwitchState(found.engaged, request, found.problem, found.unclear)

    def by_hand(self, *, engage: bool, steps: Sequence[Step] = ()) -> tuple[str, ...]:
        """List the commands and steps with which a person does the same, the file first.

        Of many actuators, those that failed in ``steps`` come first, and the rest is counted.
        """
        done = [step.done for step in steps[1:]] or [False] * len(self._actuators)
        failed_first = sorted(zip(done, range(len(done)), self._actuators, strict=True), key=lambda each: each[:2])
        lines = [actuator.by_hand(engage=engage) for _, _, actuator in failed_first[:_BY_HAND]]
        more = len(self._actuators) - len(lines)
        return (
            self._file.by_hand(engage=engage),
            *lines,
            *((f"the same for {more} more actuators, which `mlconsole kill status --json` names",) if more else ()),
            *self._last_resort(engage=engage),
        )

    def _last_resort(self, *, engage: bool) -> tuple[str, ...]:
        if self._form is not None:
            return ("stop each engine that does not obey",) if engage else ()
        if engage:
            return (f"restart each engine with {VARIABLE}=1 in its environment, or stop it",)
        return (f"restart each engine without {VARIABLE} in its environment",)

    @property
    def _name(self) -> str:
        return f"file {self._file.shown}"

    def _write(self, request: KillRequest, *, again: bool) -> Step:
        begun = time.monotonic()
        try:
            caveat = self._file.engage(request.at, request.by, request.reason)
        except ConsoleError as error:
            if not self._file.read().engaged:
                return Step(self._name, False, str(error), time.monotonic() - begun)
            caveat = f"{ENGAGED_ALREADY}, but it could not be written again: {error}"
        if again and not caveat:
            return Step(self._name, True, ENGAGED_ALREADY, time.monotonic() - begun, again=True)
        return Step(self._name, True, caveat, time.monotonic() - begun)

    def _renamed(self, request: KillRequest, by: str) -> KillRequest:
        """Put the full identity into the file, where it still says what we wrote; the switch itself stays as it is."""
        found = self._file.read()
        if by != request.by and found.engaged and (found.at, found.by) == (request.at, request.by):
            # The switch is in force already; a comment that could not be renewed is no fault of it.
            with suppress(ConsoleError):
                self._file.engage(request.at, by, request.reason)
        return request._replace(by=by)

    def _marked(self, at: datetime) -> dict[str, str]:
        """Return the mark that finds an audit line by its request, for a file that cannot hold who asked."""
        return {} if self._form is None else {"request": str(at)}

    def _recorded(self, at: datetime, *, engage: bool) -> _Asked:
        """Return what the audit log knows about the request of this time."""
        if self._asked is not None and (self._asked.at, self._asked.engage) == (at, engage):
            return self._asked
        try:
            lines = [line for line in self._audit.read() if line.kind in _REQUESTS]
        except ConsoleError:
            return _Asked(at, engage)
        kind = "kill" if engage else "release"
        same = (line.fields for line in lines if line.kind == kind and line.fields.get("request") == str(at))
        first = next(same, None)
        after_kill = bool(lines) and lines[-1].kind in ("kill", "kill_found")
        asked = _Asked(at, engage, after_kill=after_kill)
        if first is not None:
            asked = asked._replace(by=str(first.get("by", "")), reason=str(first.get("reason", "")), known=True)
        # The line follows the file within a moment, so that what is unknown now may be known soon.
        if asked.known or self._clock.now() - at > _LATE:
            self._asked = asked
        return asked

    def _deliver(self, *, engage: bool) -> list[Step]:
        """Run every actuator in parallel; the steps come in the configured order."""
        steps: list[Step | None] = [None] * len(self._actuators)
        waiting = iter(enumerate(self._actuators))
        turn = threading.Lock()

        def work() -> None:
            while True:
                with turn:
                    number, actuator = next(waiting, (-1, None))
                if actuator is None:
                    return
                steps[number] = _delivered(actuator, engage=engage)

        workers = [
            threading.Thread(target=work, name="actuator", daemon=True)
            for _ in range(min(len(self._actuators), _SIDE_BY_SIDE))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return [
            step or Step(actuator.name, False, "its thread died", 0.0)
            for step, actuator in zip(steps, self._actuators, strict=True)
        ]

    def _record_delivery(self, steps: Sequence[Step]) -> str:
        if not steps:
            return ""
        actions = [
            f"{step.name}: {'done' if step.done else step.why}" for step in sorted(steps, key=lambda step: step.done)
        ]
        return self._record("delivery", done=sum(step.done for step in steps), of=len(steps), steps=actions)

    def _record(self, kind: str, **told: object) -> str:
        """Record what was already done; why that failed, or nothing."""
        try:
            self._audit.append(kind, **told)
        except ConsoleError as error:
            return str(error)
        return ""


def _asked(who: Callable[[], str]) -> str:
    try:
        return who()
    except Exception:  # noqa: BLE001 - a name that cannot be found holds up no kill
        return ""


def _delivered(actuator: Actuator, *, engage: bool) -> Step:
    begun = time.monotonic()
    try:
        actuator.deliver(engage=engage)
        why = ""
    except ConsoleError as error:
        why = str(error)
    except Exception as error:  # noqa: BLE001 - a kill goes on to the next actuator, whatever this one did
        why = visible(f"{type(error).__name__}: {error}", limit=300)
    return Step(actuator.name, not why, why, time.monotonic() - begun, host=getattr(actuator, "host", ""))
