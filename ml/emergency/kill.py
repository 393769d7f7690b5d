"""The kill switch with its receipt: engage, release, and look at the proof.

The state of the switch is what the engines prove. What this clone's kill file says is one witness more: with two
operators on two hosts, the second's file says off while the first one's kill blocks every engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ml.board import InstanceReceipt, KillView, Rung
from ml.clock import Clock
from ml.emergency.questions import MANY, Code, Proving
from ml.emergency.receipt import Fleet, blocked_engines, judge, receipts, see, whole
from ml.emergency.switch import KillRequest, KillSwitch, SwitchState
from ml.errors import ConsoleError
from ml.metrics_contract import RUNBOOK, MetricNames

if TYPE_CHECKING:
    from datetime import datetime

    from ml.records.audit import AuditLog
    from ml.slo.source import Metrics

_RELEASE_SHOWN = timedelta(minutes=10)
_REST_S = 30.0
"""The pause after a failed question about engines that are blocked by another kill.

It is kept here, because a look at the switch needs no board: `mlconsole kill status` has none. A silent
source is not asked for a board at all (``ask_engines``).
"""
_SETTLED = (Rung.CONFIRMED, Rung.UNCONFIRMED, Rung.UNPROVEN)


@dataclass(frozen=True, slots=True)
class KnownContracts:
    """The metrics contracts by which engines are looked at, and why these may not be the ones in force."""

    names: tuple[MetricNames, ...] = (RUNBOOK,)
    problem: str = ""


Contracts = Callable[[], KnownContracts]


def by_runbook() -> KnownContracts:
    """The runbook's contract alone."""
    return KnownContracts()


_Noted = tuple[str, str, dict[str, str]]
"""The request's time, its rung, and the rung of each engine, as last written to the audit log."""


class KillControl:
    """One kill switch, watched through one metric source. Its methods may be called from several threads."""

    def __init__(
        self,
        switch: KillSwitch,
        metrics: Metrics | None,
        audit: AuditLog,
        clock: Clock,
        confirm_s: float,
        contracts: Contracts = by_runbook,
    ) -> None:
        """Watch a switch.

        Args:
            confirm_s: the time after a request at which a missing confirmation becomes UNCONFIRMED.
            contracts: reads the metrics contracts in force, and never raises. It is asked before engines are looked
                at, as long as nobody said them (`follow`), and never before the kill file is written.
        """
        self._switch = switch
        self._metrics = metrics
        self._audit = audit
        self._clock = clock
        self._confirm_s = confirm_s
        self._read_contracts = contracts
        self._known: KnownContracts | None = None
        self._reads_again_at = float("-inf")
        self._last: KillRequest | None = None
        self._noted: _Noted | None = None
        self._released: KillView | None = None
        self._settled_at: datetime | None = None
        self._by_engines = False
        self._rests_until = float("-inf")
        self._steady = _Steady()

    def follow(self, contracts: KnownContracts) -> None:
        """Look at engines by these contracts from now on: those of the base that was read last."""
        self._known, self._reads_again_at = contracts, self._clock.monotonic() + _REST_S

    def kill(self, by: str, reason: str, who: Callable[[], str] | None = None) -> KillView:
        """Engage now; WRITTEN, or REQUESTED with a problem and the steps by hand. Never raises, never asks metrics.

        ``who`` finds the person's full identity once the kill file is on disk.
        """
        return self._requested(self._switch.engage(by, reason, who))

    def release(self, by: str, reason: str) -> KillView:
        """Release now. Raises Unavailable when it could not be recorded or written."""
        return self._requested(self._switch.release(by, reason))

    def engaged(self) -> bool | None:
        """The switch by the kill file, else by the engines at the last look; ``None`` if unknown. Asks no source."""
        return self._by_engines or self._switch.state().engaged

    def view(self, *, ask_engines: bool = True) -> KillView:
        """The switch, and what every engine proves about the request in force. Never raises.

        The first look at which a request is CONFIRMED, UNCONFIRMED or contradicted becomes a line of the audit log.

        Args:
            ask_engines: look for a kill that this clone's file knows nothing of; needs a metric source that answers.
        """
        state, now = self._switch.state(), self._clock.now()
        request = self._in_force(state)
        if request is not None and request.engage:
            view = self._killed(request, state, now)
        elif request is not None and not self._settled(request, now):
            view = self._releasing(request, state, now)
        else:
            view = self._at_rest(request, state, now, ask_engines=ask_engines)
        self._by_engines = view.by_engines
        return self._steady.kept(view)

    # --- a kill of this clone ----------------------------------------------------------------------------------------
    def _killed(self, request: KillRequest, state: SwitchState, now: datetime) -> KillView:
        view = self._judged(request, self._see(request.at, engage=True), now)
        self._note(request, view)
        # A file that could not be written hides no proof: a command may have reached the engines all the same.
        by_engines = state.engaged is False and view.rung is Rung.CONFIRMED
        problem = " ".join(part for part in (state.problem, view.problem) if part)
        engaged = True if by_engines else state.engaged
        return replace(view, engaged=engaged, by_engines=by_engines, unclear=state.unclear, problem=problem)

    # --- a release of this clone -------------------------------------------------------------------------------------
    def _settled(self, request: KillRequest, now: datetime) -> bool:
        """True if the engines proved this release once, in any session, or if there are no engines."""
        if self._settled_at == request.at:
            return True
        if self._released is not None and self._released.requested_at == request.at:
            return True
        recorded = self._recorded(request)
        if recorded is not None and recorded[1] == Rung.CONFIRMED:
            self._settled_at = request.at
            return True
        return self._metrics is None and now > request.at + _RELEASE_SHOWN

    def _releasing(self, request: KillRequest, state: SwitchState, now: datetime) -> KillView:
        fleet = self._see(request.at, engage=False)
        if not fleet.total and not fleet.problem and now > request.at + _RELEASE_SHOWN:
            return KillView(engaged=state.engaged, problem=state.problem)
        seen = self._judged(request, fleet, now)
        self._note(request, seen)
        blocked = Code.STILL_BLOCKED in fleet.codes
        view = replace(seen, engaged=blocked, by_engines=blocked)
        if view.rung is Rung.CONFIRMED:
            self._released = view
        return view

    # --- nothing asked for here --------------------------------------------------------------------------------------
    def _at_rest(
        self, request: KillRequest | None, state: SwitchState, now: datetime, *, ask_engines: bool
    ) -> KillView:
        since = request.at if request is not None else None
        blocked, beside = self._blocked(since) if ask_engines else (0, "")
        if blocked:
            return self._thrown_elsewhere(state)
        known = self._released
        if request is not None and known is not None and now <= request.at + _RELEASE_SHOWN:
            return known
        return KillView(engaged=state.engaged, problem=state.problem, unclear=state.unclear, beside=beside)

    def _blocked(self, since: datetime | None) -> tuple[int, str]:
        """Count the engines that another kill blocks, and give a warning where that is unknown."""
        unknown = "Only this clone's kill file says so; {} whether engines are blocked by another operator's kill."
        if self._metrics is None:
            return 0, unknown.format("without Prometheus nobody can tell")
        if self._clock.monotonic() < self._rests_until:
            return 0, unknown.format("Prometheus did not say")
        try:
            return blocked_engines(self._metrics, since, Proving.of(self._contracts().names)), ""
        except ConsoleError:
            self._rests_until = self._clock.monotonic() + _REST_S
            return 0, unknown.format("Prometheus did not say")

    def _thrown_elsewhere(self, state: SwitchState) -> KillView:
        fleet = self._see(None, engage=True)
        return KillView(
            engaged=True,
            rung=whole(fleet, Rung.APPLIED, late=True),
            instances=receipts(fleet, Rung.APPLIED, engage=True, late=True),
            manual=self._elsewhere(fleet),
            problem=" ".join(part for part in (state.problem, fleet.problem) if part),
            by_engines=True,
            unclear=state.unclear,
            total=fleet.total,
            confirmed=fleet.proven,
            beside=f"This clone's kill file {'is unclear' if state.unclear else 'says off'}: "
            "the kill was thrown elsewhere.",
        )

    def _elsewhere(self, fleet: Fleet) -> tuple[str, ...]:
        """Say how to release where the engines listen."""
        blocked = [name for name, code in fleet.named if code in (Code.BLOCKED, Code.BLIND, Code.SOME_WORKERS)]
        return (
            "to release: ask who threw it, then press U here: it reaches engines that read this clone's kill file, or "
            "that its actuators reach",
            "else run `mlconsole kill off` on the engines' host, in the clone with the kill file that they read",
            *self._switch.by_hand(engage=False)[-1:],
            f"blocked now: {', '.join(blocked[:5])}{f' and {len(blocked) - 5} more' if len(blocked) > 5 else ''}",
        )

    # --- the engines' metrics ----------------------------------------------------------------------------------------
    def _contracts(self) -> KnownContracts:
        known = self._known
        if known is None or (known.problem and self._clock.monotonic() >= self._reads_again_at):
            known = self._read_contracts()
            self.follow(known)
        return known

    def _see(self, asked_at: datetime | None, *, engage: bool) -> Fleet:
        if self._metrics is None:
            return see(None, asked_at, engage=engage)
        found = self._contracts()
        fleet = see(self._metrics, asked_at, engage=engage, contracts=found.names)
        return replace(fleet, problem=" ".join(part for part in (fleet.problem, found.problem) if part))

    def _judged(self, request: KillRequest, fleet: Fleet, now: datetime) -> KillView:
        known = self._known or KnownContracts()
        return judge(request, fleet, now, self._confirm_s, known.names)

    # --- requests ----------------------------------------------------------------------------------------------------
    def _requested(self, request: KillRequest) -> KillView:
        self._last = request
        view = judge(request, Fleet(), request.at, self._confirm_s)
        state = self._switch.state()
        return replace(view, engaged=state.engaged, unclear=state.unclear)

    def _in_force(self, state: SwitchState) -> KillRequest | None:
        """Return the request in force: the file's, with this session's delivery, or a request that no file took."""
        held, last = state.request, self._last
        if last is None or (held is not None and held.at > last.at):
            return held
        return last

    def _note(self, request: KillRequest, seen: KillView) -> None:
        if seen.rung not in _SETTLED:
            return
        rungs = {each.instance: str(each.rung) for each in seen.instances} if seen.engines <= MANY else {}
        noted = (str(request.at), str(seen.rung), rungs)
        if noted == (self._noted or self._recorded(request)):
            return
        self._noted = noted
        open_engines = [f"{each.instance}: {each.why}" for each in seen.instances if each.rung is not Rung.CONFIRMED]
        of = "kill" if request.engage else "release"
        proven = f"{seen.proven} of {seen.engines}"
        # The receipt is on the screen. A log that cannot be written is reported as a problem of the request.
        with suppress(ConsoleError):
            self._audit.append(
                "receipt",
                of=of,
                request=noted[0],
                rung=noted[1],
                proven=proven,
                engines=rungs,
                unproven=open_engines[:50],
            )

    def _recorded(self, request: KillRequest) -> _Noted | None:
        """Return what an earlier session last recorded about the same request."""
        try:
            lines = self._audit.read()
        except ConsoleError:
            return None
        receipts = (line.fields for line in reversed(lines) if line.kind == "receipt")
        last = next((each for each in receipts if each.get("request") == str(request.at)), None)
        return (last["request"], last["rung"], last["engines"]) if last else None


class _Steady:
    """Keeps the time of each engine's last change, so that an unchanged fleet gives an equal view."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: tuple[datetime | None, bool] | None = None
        self._known: dict[str, InstanceReceipt] = {}

    def kept(self, view: KillView) -> KillView:
        """Return the same view with the earlier times of everything that did not change."""
        with self._lock:
            of = (view.requested_at, view.releases)
            known = self._known if of == self._of else {}
            kept = tuple(self._same(known.get(each.instance), each) for each in view.instances)
            self._of, self._known = of, {each.instance: each for each in kept}
        return replace(view, instances=kept)

    @staticmethod
    def _same(before: InstanceReceipt | None, now: InstanceReceipt) -> InstanceReceipt:
        if before is not None and (before.rung, before.why) == (now.rung, now.why):
            return before
        return now
