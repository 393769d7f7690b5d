"""The kill switch: write it, record it, deliver it, in that order, whatever else is broken (SPEC §7).

Engaging fails safe: the env file comes first, and neither a full disk for the audit log nor a hanging actuator takes
it back. Releasing fails safe the other way round: it is recorded first, and what cannot be recorded is not released.
Nothing here touches git, the registry, Prometheus or an event loop; imports stay within what the kill key can afford.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ml.emergency.killfile import ENGAGED_ALREADY, VARIABLE, KillFile
from ml.errors import ConsoleError
from ml.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from ml.clock import Clock
    from ml.emergency.actuators import Actuator
    from ml.records.audit import AuditLog


class Step(NamedTuple):
    """What became of one actuator: whether it did its part, a caveat or the cause if not, and how long it took.

    ``again``: its part was done already, which is no caveat.
    """

    name: str
    done: bool
    why: str
    seconds: float
    again: bool = False


class KillRequest(NamedTuple):
    """A kill or a release: the one in force (``at``, ``by``, ``reason``), and what was done about it just now.

    ``steps`` has the env file first; it is empty when the request was only read back. ``problem`` says what went
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
        """Whether any actuator did its part; true of a request that was read back, because it was read from a file."""
        return not self.steps or any(step.done for step in self.steps)


class SwitchState(NamedTuple):
    """The switch as its file says: ``engaged`` is ``None`` when that cannot be read, and ``problem`` says why.

    ``request`` is the kill or release in force, ``None`` when there never was one.
    """

    engaged: bool | None
    request: KillRequest | None
    problem: str = ""


class KillSwitch:
    """One kill switch: an env file, further actuators in order, and the audit log of all its requests."""

    def __init__(self, file: Path, actuators: Sequence[Actuator], audit: AuditLog, clock: Clock) -> None:
        self._file = KillFile(file)
        self._actuators = tuple(actuators)
        self._audit = audit
        self._clock = clock

    def engage(self, by: str, reason: str) -> KillRequest:
        """Switch machine learning off. Never raises: what failed is in the steps and the problem.

        Engaging what is engaged delivers it again and is recorded again, but stays the one kill that began first.
        """
        at = self._clock.now()
        before = self._file.read()
        if before.engaged and before.at:
            request = KillRequest(True, before.at, before.by, before.reason)
            steps = [Step(self._name, True, ENGAGED_ALREADY, 0.0, again=True)]
        else:
            request = KillRequest(True, at, by, reason)
            steps = [self._write(at, by, reason)]
        problem = self._record("kill", by=by, reason=reason, written=steps[0].done, note=steps[0].why)
        steps += self._deliver(engage=True)
        problem = problem or self._record_delivery(steps[1:])
        return request._replace(steps=tuple(steps), problem=problem, by_hand=self.by_hand(engage=True))

    def release(self, by: str, reason: str) -> KillRequest:
        """Switch machine learning back on.

        Raises:
            Unavailable: it could not be recorded or written; the switch is as it was.
        """
        at = self._clock.now()
        self._audit.append("release", by=by, reason=reason)
        begun = time.monotonic()
        self._file.release(at, by, reason)
        steps = [Step(self._name, True, "", time.monotonic() - begun), *self._deliver(engage=False)]
        problem = self._record_delivery(steps[1:])
        return KillRequest(False, at, by, reason, tuple(steps), problem, self.by_hand(engage=False))

    def state(self) -> SwitchState:
        """The switch as it is now, read back from its file."""
        found = self._file.read()
        request = None
        if found.engaged is not None and found.at is not None:
            hand = self.by_hand(engage=found.engaged)
            request = KillRequest(found.engaged, found.at, found.by, found.reason, by_hand=hand)
        return SwitchState(found.engaged, request, found.problem)

    def by_hand(self, *, engage: bool) -> tuple[str, ...]:
        """What a person does to the same effect, one command or sentence each, the file first."""
        value = f"{VARIABLE}={int(engage)}"
        return (
            f"echo {value} > {self._file.shown}",
            *(actuator.by_hand(engage=engage) for actuator in self._actuators),
            f"restart each engine with {value} in its environment, or stop it"
            if engage
            else f"restart each engine without {VARIABLE} in its environment",
        )

    @property
    def _name(self) -> str:
        return f"file {self._file.shown}"

    def _write(self, at: datetime, by: str, reason: str) -> Step:
        begun = time.monotonic()
        try:
            caveat = self._file.engage(at, by, reason)
        except ConsoleError as error:
            return Step(self._name, False, str(error), time.monotonic() - begun)
        return Step(self._name, True, caveat, time.monotonic() - begun)

    def _deliver(self, *, engage: bool) -> list[Step]:
        steps = []
        for actuator in self._actuators:
            begun = time.monotonic()
            try:
                actuator.deliver(engage=engage)
                why = ""
            except ConsoleError as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - a kill goes on to the next actuator, whatever this one did
                why = visible(f"{type(error).__name__}: {error}", limit=300)
            steps.append(Step(actuator.name, not why, why, time.monotonic() - begun))
        return steps

    def _record_delivery(self, steps: Sequence[Step]) -> str:
        if not steps:
            return ""
        return self._record("delivery", steps=[f"{step.name}: {'done' if step.done else step.why}" for step in steps])

    def _record(self, kind: str, **told: object) -> str:
        """Record what was already done; why that failed, or nothing."""
        try:
            self._audit.append(kind, **told)
        except ConsoleError as error:
            return str(error)
        return ""
