"""The proof of a kill or release: from an engine's metrics to its rung and its words. Pure (contract §7).

``grinder_ml_active_on == 0`` alone proves nothing: an idle engine shows it too, and a shadow engine always does. A kill
is proven by a whole pair of samples after the request in which the engine counted snapshots that the switch forbade and
inferred nothing, or by a silence that is longer than any before. Proof of a release is the reverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ml.board import InstanceReceipt, Rung
from ml.clock import format_utc
from ml.emergency.questions import PROOFS, Code
from ml.text import visible

_WORDS = {
    Code.BLOCKED: "blocked by the kill switch",
    Code.STOPPED: "no inference, for longer than it ever rested before",
    Code.INFERS_AGAIN: "it infers again",
    Code.ACTIVE_AGAIN: "active_on is 1 again, and nothing is blocked",
    Code.NO_MODEL: "no longer blocked; it has no model to infer with",
    Code.PROVEN: "proven",
    Code.OPEN: "not proven",
    Code.BLIND: "it is blocked, but exports nothing that would show inferences",
    Code.SOME_WORKERS: "some of its workers are blocked, others do not prove it",
    Code.SECOND_SAMPLE: "one sample is newer than the request, a second must follow",
    Code.NO_SAMPLE: "no sample is newer than the request",
    Code.STILL_ACTIVE: "active_on is still 1",
    Code.STILL_BLOCKED: "it is still blocked by the kill switch",
    Code.INFERS: "it still infers",
    Code.JUMPS: "its counters go back again and again: several processes answer under this one address",
}
_IDLE = {
    True: "it does not infer, but counts no block either: an idle engine shows the same",
    False: "no longer blocked, but it has not inferred yet",
}
_APPLIED = frozenset({Code.IDLE, Code.BLIND, Code.SOME_WORKERS})


@dataclass(frozen=True, slots=True)
class Fleet:
    """The metric source's view of all engines since a request.

    ``named`` are engines with their code, all of a small fleet and the worst of a large one; ``counts`` count all of
    them by code. ``last_seen`` is in Unix seconds, for silent engines. ``ahead_s`` is the number of seconds by which
    the source's clock is ahead of ours; ``at`` is the source's time of the look. ``problem`` says why nothing could be
    seen.
    """

    named: tuple[tuple[str, Code], ...] = ()
    counts: Mapping[Code, int] | None = None
    last_seen: Mapping[str, float] | None = None
    ahead_s: float = 0.0
    at: float = 0.0
    problem: str = ""

    @property
    def total(self) -> int:
        """The number of engines seen in the last day."""
        return sum(self.counts.values()) if self.counts is not None else len(self.named)

    @property
    def proven(self) -> int:
        """The number of engines that prove the request."""
        if self.counts is not None:
            return sum(count for code, count in self.counts.items() if code in PROOFS)
        return sum(code in PROOFS for _, code in self.named)

    @property
    def codes(self) -> frozenset[Code]:
        """Every code that occurs."""
        return frozenset(self.counts if self.counts is not None else (code for _, code in self.named))


def rung(code: Code, base: Rung, *, late: bool) -> Rung:
    """Return the rung of an engine with this code.

    Args:
        base: WRITTEN, or REQUESTED where nothing was written.
        late: the deadline has passed.
    """
    if code in PROOFS:
        return Rung.CONFIRMED
    if late:
        return Rung.UNPROVEN if code is Code.SILENT else Rung.UNCONFIRMED
    return Rung.APPLIED if code in _APPLIED else base


def receipts(fleet: Fleet, base: Rung, *, engage: bool, late: bool) -> tuple[InstanceReceipt, ...]:
    """The engines by name, each with its rung and the observation, the unproven ones first."""
    worst_first = sorted(fleet.named, key=lambda pair: (-pair[1], pair[0]))
    moment = datetime.fromtimestamp(fleet.at - fleet.ahead_s, UTC) if fleet.at else None
    last_seen = fleet.last_seen or {}
    return tuple(
        InstanceReceipt(
            instance=visible(name, limit=120),
            rung=rung(code, base, late=late),
            at=moment,
            why=_why(code, last_seen.get(name), engage=engage),
        )
        for name, code in worst_first
    )


def whole(fleet: Fleet, base: Rung, *, late: bool) -> Rung:
    """Return the rung of all engines together: the lowest of theirs. Without any engine, nothing is proven."""
    reached = {rung(code, base, late=late) for code in fleet.codes}
    if not reached:
        return Rung.UNCONFIRMED if late else base
    return min(reached, key=_ORDER.index)


_ORDER = (Rung.UNCONFIRMED, Rung.UNPROVEN, Rung.REQUESTED, Rung.WRITTEN, Rung.APPLIED, Rung.CONFIRMED)


def _why(code: Code, last_seen: float | None, *, engage: bool) -> str:
    if code is Code.SILENT:
        when = f" at {format_utc(datetime.fromtimestamp(last_seen, UTC))}" if last_seen else " in the last day"
        return f"it is silent: it was last seen{when}, and nothing can be read from it now"
    return _IDLE[engage] if code is Code.IDLE else _WORDS[code]
