"""How far one engine has provably obeyed, judged from its scrapes. Pure (SPEC §7).

``grinder_ml_active_on == 0`` proves nothing by itself: an idle engine shows it too, and one in shadow always does.
Proof of a kill is a scrape newer than the request in which the engine counted snapshots that the switch forbade, or
inferences that stopped although the engine is up and would have made several. Proof of a release is an inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from ml.board import InstanceReceipt, Rung
from ml.clock import format_utc, span
from ml.emergency.scrapes import Engine, Scrape

_ENOUGH_MISSED = 5.0
"""Inferences that an engine would have made by now, at its rate before the kill, before silence counts as proof."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two answered scrapes in a row, the second newer than the request, and what was counted between them."""

    before: Scrape
    now: Scrape
    straddles: bool

    @property
    def counts(self) -> bool:
        """Whether both scrapes tell how many inferences were tried."""
        return self.before.inferred is not None and self.now.inferred is not None

    @property
    def inferred(self) -> float:
        return _risen(self.before.inferred, self.now.inferred)

    @property
    def blocked(self) -> float:
        return _risen(self.before.blocked, self.now.blocked)


@dataclass(frozen=True, slots=True)
class _Proof:
    at: float
    why: str


def climb(engine: Engine, asked: float, *, engage: bool) -> InstanceReceipt:
    """The rung that an engine's scrapes prove: WRITTEN, APPLIED or CONFIRMED, and by which observation.

    Args:
        asked: when the kill or release was requested, in Unix seconds on the metric source's clock.
        engage: whether it was a kill.
    """
    newer = [scrape for scrape in engine.scrapes if scrape.at > asked]
    if not newer:
        return _receipt(engine, Rung.WRITTEN, None, "no sample is newer than the request")
    proof, undone = _prove_kill(engine, asked) if engage else _prove_release(engine, asked)
    if undone and not proof:
        return _receipt(engine, Rung.WRITTEN, undone.at, undone.why)
    if proof:
        return _receipt(engine, Rung.CONFIRMED, proof.at, proof.why)
    last = newer[-1]
    if not last.up:
        return _receipt(engine, Rung.WRITTEN, last.at, "it is down, so that nothing can be read from it")
    pairs = [pair for pair in _pairs(engine, asked) if not pair.straddles]
    return _unproven(engine, last, pairs) if engage else _unproven_release(engine, last, pairs)


def _prove_kill(engine: Engine, asked: float) -> tuple[_Proof | None, _Proof | None]:
    """The proof that stands, and what last spoke against it."""
    proof = undone = None
    rate = _rate([scrape for scrape in engine.scrapes if scrape.at <= asked])
    quiet_since: float | None = None
    for pair in _pairs(engine, asked):
        if pair.straddles:
            quiet_since = pair.now.at
            if pair.blocked and pair.now.active_on == 0 and _was_not_blocked(engine, asked):
                proof = _Proof(pair.now.at, "blocked by the kill switch")
        elif pair.inferred:
            came_back = f"it came back alive at {_time(pair.now.at)}" if proof else "it still infers"
            if undone is None or proof:
                undone = _Proof(pair.now.at, came_back)
            proof, quiet_since = None, pair.now.at
        elif proof is None and pair.now.active_on == 0:
            quiet_since = quiet_since or pair.before.at
            missed = rate * (pair.now.at - quiet_since) if pair.counts else 0.0
            if pair.blocked:
                proof = _Proof(pair.now.at, "blocked by the kill switch")
            elif missed >= _ENOUGH_MISSED:
                proof = _Proof(pair.now.at, f"no inference for {span(pair.now.at - quiet_since)} while it is up")
    return proof, undone


def _prove_release(engine: Engine, asked: float) -> tuple[_Proof | None, _Proof | None]:
    proof = undone = None
    for pair in _pairs(engine, asked):
        if pair.straddles:
            continue
        if pair.blocked:
            undone = _Proof(pair.now.at, "it is blocked again" if proof else "it is still blocked by the kill switch")
            proof = None
        elif pair.inferred and proof is None:
            proof = _Proof(pair.now.at, "it infers again")
    return proof, undone


def _unproven(engine: Engine, last: Scrape, pairs: list[_Pair]) -> InstanceReceipt:
    if last.active_on is None:
        return _receipt(engine, Rung.WRITTEN, last.at, "it does not export grinder_ml_active_on")
    if last.active_on:
        return _receipt(engine, Rung.WRITTEN, last.at, "active_on is still 1")
    if not pairs:
        return _receipt(engine, Rung.WRITTEN, last.at, "one sample is newer than the request, a second must follow")
    return _receipt(engine, Rung.APPLIED, last.at, "active_on is 0, but an idle engine shows that too")


def _unproven_release(engine: Engine, last: Scrape, pairs: list[_Pair]) -> InstanceReceipt:
    if not pairs:
        return _receipt(engine, Rung.WRITTEN, last.at, "one sample is newer than the request, a second must follow")
    return _receipt(engine, Rung.APPLIED, last.at, "no longer blocked, but it has not inferred yet")


def _pairs(engine: Engine, asked: float) -> Iterator[_Pair]:
    for before, now in pairwise(scrape for scrape in engine.scrapes if scrape.up):
        if now.at > asked:
            yield _Pair(before, now, straddles=before.at <= asked)


def _risen(before: float | None, now: float | None) -> float:
    """What a counter counted between two scrapes; after a restart, what it counted since."""
    if before is None or now is None:
        return 0.0
    return now - before if now >= before else now


def _rate(scrapes: list[Scrape]) -> float:
    """Inferences per second before the request; zero where that cannot be known."""
    counted = [scrape for scrape in scrapes if scrape.inferred is not None]
    if len(counted) < 2:
        return 0.0
    made = sum(_risen(a.inferred, b.inferred) for a, b in pairwise(counted))
    return made / (counted[-1].at - counted[0].at)


def _was_not_blocked(engine: Engine, asked: float) -> bool:
    """Whether the switch was not in force before the request: only then is a count across it a count after it."""
    counts = [scrape.blocked for scrape in engine.scrapes if scrape.at <= asked][-2:]
    return len(counts) == 2 and None not in counts and counts[0] == counts[1]


def _receipt(engine: Engine, rung: Rung, at: float | None, why: str) -> InstanceReceipt:
    return InstanceReceipt(engine.instance, rung, None if at is None else datetime.fromtimestamp(at, UTC), why)


def _time(at: float) -> str:
    return format_utc(datetime.fromtimestamp(at, UTC))[11:]
