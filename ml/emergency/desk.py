"""The kill switch and its receipt behind one desk, for the façade: press, release, look."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ml.board import KillView, Rung
from ml.clock import Clock
from ml.emergency.receipt import judge, receipt
from ml.emergency.scrapes import Sighting
from ml.emergency.switch import KillRequest, KillSwitch, SwitchState
from ml.errors import ConsoleError

if TYPE_CHECKING:
    from ml.records.audit import AuditLog
    from ml.slo.source import Metrics

_RELEASE_SHOWN = timedelta(minutes=10)
_SETTLED = (Rung.CONFIRMED, Rung.UNCONFIRMED)
_Noted = tuple[str, str, dict[str, str]]
"""The request's time, its rung, and the rung of each engine, as the audit log was told last."""


class KillDesk:
    """One kill switch, watched through one metric source. Its methods may be called from several threads."""

    def __init__(
        self, switch: KillSwitch, metrics: Metrics | None, audit: AuditLog, clock: Clock, confirm_s: float
    ) -> None:
        """``confirm_s`` is how long after a request what is not CONFIRMED becomes UNCONFIRMED."""
        self._switch = switch
        self._metrics = metrics
        self._audit = audit
        self._clock = clock
        self._confirm_s = confirm_s
        self._last: KillRequest | None = None
        self._noted: _Noted | None = None

    def kill(self, by: str, reason: str) -> KillView:
        """Engage now; WRITTEN, or REQUESTED with a problem and the steps by hand. Never raises, never asks metrics."""
        return self._requested(self._switch.engage(by, reason))

    def release(self, by: str, reason: str) -> KillView:
        """Release now. Raises Unavailable when it could not be recorded or written."""
        return self._requested(self._switch.release(by, reason))

    def engaged(self) -> bool | None:
        """What the kill file says, ``None`` where it cannot be read; asks nobody."""
        return self._switch.state().engaged

    def view(self) -> KillView:
        """The switch as its file says, and what every engine proves about the request in force. Never raises.

        The first look at which a request is CONFIRMED, UNCONFIRMED or contradicted becomes a line of the audit log.
        """
        state, now = self._switch.state(), self._clock.now()
        request = self._in_force(state)
        if request is None or (not request.engage and now > request.at + _RELEASE_SHOWN):
            return KillView(engaged=state.engaged, problem=state.problem)
        seen = receipt(request, self._metrics, now, self._confirm_s)
        self._note(request, seen)
        problem = " ".join(part for part in (state.problem, seen.problem) if part)
        return replace(seen, engaged=state.engaged, problem=problem)

    def _requested(self, request: KillRequest) -> KillView:
        self._last = request
        view = judge(request, Sighting(()), request.at, self._confirm_s)
        return replace(view, engaged=self._switch.state().engaged)

    def _in_force(self, state: SwitchState) -> KillRequest | None:
        """What the file says, with what this session knows of its delivery; or our request that no file took."""
        held, last = state.request, self._last
        if last is None or (held is not None and held.at > last.at):
            return held
        return last

    def _note(self, request: KillRequest, seen: KillView) -> None:
        if seen.rung not in _SETTLED:
            return
        rungs = {each.instance: str(each.rung) for each in seen.instances}
        noted = (str(request.at), str(seen.rung), rungs)
        if noted == (self._noted or self._recorded(request)):
            return
        self._noted = noted
        told = [f"{each.instance}: {each.why}" for each in seen.instances if each.rung is not Rung.CONFIRMED]
        of = "kill" if request.engage else "release"
        # The receipt is on the screen; that the log cannot be written is told as a problem of the request.
        with suppress(ConsoleError):
            self._audit.append("receipt", of=of, request=noted[0], rung=noted[1], engines=rungs, unproven=told)

    def _recorded(self, request: KillRequest) -> _Noted | None:
        """What an earlier session noted last about the same request."""
        try:
            lines = self._audit.read()
        except ConsoleError:
            return None
        told = (line.fields for line in reversed(lines) if line.kind == "receipt")
        last = next((each for each in told if each.get("request") == str(request.at)), None)
        return (last["request"], last["rung"], last["engines"]) if last else None
