"""The receipt of a kill or a release: the proof by all engines, and the steps by hand where proof is missing.

Pure but for `receipt`, which asks a metric source first. CONFIRMED covers every engine that was seen in the last day,
and only for as long as each look finds it so. UNCONFIRMED appears after the deadline; a later look may still confirm
it, or find that an engine came back alive or fell silent (contract §7).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml.board import Delivery, InstanceReceipt, KillView, Rung
from ml.emergency.ladder import Fleet, receipts, whole
from ml.emergency.sighting import look
from ml.errors import ConsoleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.emergency.switch import KillRequest, Step
    from ml.slo.source import Metrics

_SOME = 5
"""Names that one sentence takes; the rest is counted."""


def receipt(request: KillRequest, metrics: Metrics | None, now: datetime, deadline_s: float) -> KillView:
    """Look at the running system and return its proof of a request. Never raises for a failed source."""
    return judge(request, see(metrics, request.at, engage=request.engage), now, deadline_s)


def see(metrics: Metrics | None, asked_at: datetime | None, *, engage: bool) -> Fleet:
    """Look at the engines (`look`). If that fails, return an empty fleet with the problem."""
    if metrics is None:
        return Fleet(problem="No Prometheus is configured, so nothing can confirm it.")
    try:
        return look(metrics, asked_at, engage=engage)
    except ConsoleError as error:
        return Fleet(problem=str(error))


def judge(request: KillRequest, fleet: Fleet, now: datetime, deadline_s: float) -> KillView:
    """Judge a request by a fleet's metrics.

    Args:
        deadline_s: seconds after the request; without proof by then, an engine is UNCONFIRMED or UNPROVEN.
    """
    late = now >= request.at + timedelta(seconds=deadline_s)
    base = Rung.WRITTEN if request.written else Rung.REQUESTED
    instances = receipts(fleet, base, engage=request.engage, late=late)
    reached = whole(fleet, base, late=late)
    by_hand = reached in (Rung.UNCONFIRMED, Rung.UNPROVEN, Rung.REQUESTED)
    return KillView(
        engaged=request.engage,
        rung=reached,
        requested_at=request.at,
        by=request.by,
        reason=request.reason,
        instances=instances,
        manual=_manual(request, instances) if by_hand else (),
        problem=" ".join(part for part in (failures(request.steps), request.problem, fleet.problem) if part),
        asked=request.engage,
        total=fleet.total,
        confirmed=fleet.proven,
        deliveries=tuple(Delivery(*step[:4]) for step in request.steps),
    )


def failures(steps: Sequence[Step]) -> str:
    """Name the actuators that failed or may not last, each with its cause. Hosts with equal causes are grouped."""
    groups: dict[str, list[str]] = {}
    for step in steps:
        if step.why and not step.again:
            groups.setdefault(step.why.replace(step.host, "{host}") if step.host else step.why, []).append(step.name)
    return " ".join(f"{_some(names)}: {why}" for why, names in groups.items())


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return ", ".join(names[:_SOME]) + more


def _manual(request: KillRequest, instances: tuple[InstanceReceipt, ...]) -> tuple[str, ...]:
    open_ones = [each.instance for each in instances if each.rung is not Rung.CONFIRMED]
    proof = "grinder_ml_block_total" if request.engage else "grinder_ml_inference_total"
    engines = _some(open_ones) or "every engine"
    silent = [each.instance for each in instances if each.rung is Rung.UNPROVEN]
    stop = (f"make sure that {_some(silent)} is stopped or scraped again: nobody can see it",) if silent else ()
    return (*request.by_hand, *stop, f"then look twice at the /metrics of {engines}: {proof} must rise")
