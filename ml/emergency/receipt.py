"""The receipt of a kill or a release: what all engines together prove, and what to do by hand where they do not.

Pure but for `receipt`, which asks a metric source first. CONFIRMED means every engine that was seen; UNCONFIRMED is
said after the deadline, and a later look may still confirm it, or find that an engine came back alive (SPEC §7).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml.board import InstanceReceipt, KillView, Rung
from ml.emergency.ladder import climb
from ml.emergency.scrapes import Engine, Sighting, gather
from ml.errors import ConsoleError
from ml.text import visible

if TYPE_CHECKING:
    from ml.emergency.switch import KillRequest
    from ml.slo.source import Metrics

_ORDER = (Rung.UNCONFIRMED, Rung.REQUESTED, Rung.WRITTEN, Rung.APPLIED, Rung.CONFIRMED)


def receipt(request: KillRequest, metrics: Metrics | None, now: datetime, deadline_s: float) -> KillView:
    """Look at the running system and say what it proves about a request. Never raises for a sick source."""
    if metrics is None:
        return judge(request, Sighting(()), now, deadline_s, "No Prometheus is configured, so nothing can confirm it.")
    try:
        return judge(request, gather(metrics, request.at), now, deadline_s)
    except ConsoleError as error:
        return judge(request, Sighting(()), now, deadline_s, str(error))


def judge(request: KillRequest, sighting: Sighting, now: datetime, deadline_s: float, problem: str = "") -> KillView:
    """What the sighted engines prove about a request.

    Args:
        deadline_s: seconds after the request from which what is not confirmed is UNCONFIRMED.
        problem: why nothing could be sighted.
    """
    late = now >= request.at + timedelta(seconds=deadline_s)
    asked = request.at.timestamp() + sighting.ahead_s
    base = Rung.WRITTEN if request.written else Rung.REQUESTED
    instances = tuple(_instance(engine, asked, request, base, late=late) for engine in sighting.engines)
    rung = min((each.rung for each in instances), key=_ORDER.index, default=Rung.UNCONFIRMED if late else base)
    return KillView(
        engaged=request.engage,
        rung=rung,
        requested_at=request.at,
        by=request.by,
        reason=request.reason,
        instances=instances,
        manual=_manual(request, instances) if rung in (Rung.UNCONFIRMED, Rung.REQUESTED) else (),
        problem=" ".join(part for part in (_failures(request), request.problem, problem) if part),
        asked=request.engage,
    )


def _instance(engine: Engine, asked: float, request: KillRequest, base: Rung, *, late: bool) -> InstanceReceipt:
    found = climb(engine, asked, engage=request.engage)
    shown = replace(found, instance=visible(found.instance, limit=120))
    if shown.rung is Rung.CONFIRMED:
        return shown
    if late:
        return replace(shown, rung=Rung.UNCONFIRMED)
    return replace(shown, rung=base) if shown.rung is Rung.WRITTEN else shown


def _failures(request: KillRequest) -> str:
    """What was not done, and what was done but may not last."""
    return " ".join(f"{step.name}: {step.why}" for step in request.steps if step.why and not step.again)


def _manual(request: KillRequest, instances: tuple[InstanceReceipt, ...]) -> tuple[str, ...]:
    open_ones = [each.instance for each in instances if each.rung is not Rung.CONFIRMED]
    proof = "grinder_ml_block_total" if request.engage else "grinder_ml_inference_total"
    look = f"then look twice at the /metrics of {', '.join(open_ones) or 'every engine'}: {proof} must rise"
    return (*request.by_hand, look)
