"""How far one engine has provably obeyed, judged from its scrapes. Pure (SPEC §7).

``grinder_ml_active_on == 0`` proves nothing by itself: an idle engine shows it too, and one in shadow always does.
Proof of a kill is a scrape newer than the request in which the engine counted snapshots that the switch forbade, or
inferences that stopped although the engine is up and would have made several. Proof of a release is an inference, or,
of an engine that has no model, a snapshot that it skipped for that reason and no longer for the switch.
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

    @property
    def empty(self) -> float:
        return _risen(self.before.empty, self.now.empty)


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
    proof, against = _prove_kill(engine, asked) if engage else _prove_release(engine, asked)
    if proof:
        return _receipt(engine, Rung.CONFIRMED, proof.at, proof.why)
    last = newer[-1]
    if not last.up:
        return _receipt(engine, Rung.WRITTEN, last.at, "it is down, so that nothing can be read from it")
    if against:
        return _receipt(engine, Rung.WRITTEN, against.at, against.why)
    pairs = [pair for pair in _pairs(engine, asked) if not pair.straddles]
    return _unproven(engine, last, pairs) if engage else _unproven_release(engine, last, pairs)


def _prove_kill(engine: Engine, asked: float) -> tuple[_Proof | None, _Proof | None]:
    """The proof that stands, and what speaks against a kill where none does."""
    before = [scrape for scrape in engine.scrapes if scrape.at <= asked]
    trail = _KillTrail(_rate(before), was_blocked=_was_blocked(before))
    for pair in _pairs(engine, asked):
        trail.take(pair)
    return trail.proof, trail.returned or trail.infers


class _KillTrail:
    """What the pairs after a kill say, one after the other."""

    def __init__(self, rate: float, *, was_blocked: bool) -> None:
        self._rate = rate
        self._was_blocked = was_blocked
        self._quiet_since = 0.0
        self.proof: _Proof | None = None
        self.returned: _Proof | None = None
        self.infers: _Proof | None = None

    def take(self, pair: _Pair) -> None:
        """Take one more pair into account."""
        if pair.straddles:
            self._across(pair)
        elif pair.inferred:
            self._alive(pair)
        elif pair.now.active_on == 0 and self.proof is None:
            self._silent(pair)

    def _across(self, pair: _Pair) -> None:
        """Inferences of this pair may be older than the kill, and so may blocks, if it was blocked already."""
        self._quiet_since = pair.now.at
        if pair.blocked and pair.now.active_on == 0 and not self._was_blocked:
            self.proof = _Proof(pair.now.at, "blocked by the kill switch")

    def _alive(self, pair: _Pair) -> None:
        if self.proof:
            self.returned = _Proof(pair.now.at, f"it came back alive at {_time(pair.now.at)}")
        self.infers = self.infers or _Proof(pair.now.at, "it still infers")
        self.proof, self._quiet_since = None, pair.now.at

    def _silent(self, pair: _Pair) -> None:
        self.infers = None
        quiet = pair.now.at - self._quiet_since
        if pair.blocked:
            self.proof = _Proof(pair.now.at, "blocked by the kill switch")
        elif pair.counts and self._rate * quiet >= _ENOUGH_MISSED:
            self.proof = _Proof(pair.now.at, f"no inference for {span(quiet)} while it is up")


def _prove_release(engine: Engine, asked: float) -> tuple[_Proof | None, _Proof | None]:
    proof = against = None
    for pair in _pairs(engine, asked):
        if pair.straddles:
            continue
        if pair.blocked:
            against = _Proof(pair.now.at, "it is blocked again" if proof else "it is still blocked by the kill switch")
            proof = None
        elif pair.inferred:
            proof = proof or _Proof(pair.now.at, "it infers again")
        elif pair.empty:
            proof = proof or _Proof(pair.now.at, "no longer blocked; it has no model to infer with")
        else:
            against = None
    return proof, against


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


def _was_blocked(before: list[Scrape]) -> bool:
    """Whether the switch may have been in force before the request: a count across it may then be an old one."""
    counts = [scrape.blocked for scrape in before][-2:]
    return len(counts) < 2 or counts[0] != counts[1]


def _receipt(engine: Engine, rung: Rung, at: float | None, why: str) -> InstanceReceipt:
    return InstanceReceipt(engine.instance, rung, None if at is None else datetime.fromtimestamp(at, UTC), why)


def _time(at: float) -> str:
    return format_utc(datetime.fromtimestamp(at, UTC))[11:]
