"""The gates of a soak, from tapes, readings and alerts, each with one sentence of why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml.board import Cell, Tape
from ml.clock import format_utc, hours
from ml.slo.alerts import AlertsView
from ml.slo.judge import seldom
from ml.slo.measured import Terms, words
from ml.slo.promql import Attribution
from ml.slo.tape import Grid, Start, breach_cells, coverage, eligible_at
from ml.verdict import SOAK_GATE, Code, Finding, Gate, Reading, Verdict, finding, worst

if TYPE_CHECKING:
    from ml.policy import Objective

ALERTS_GATE = "alerts"


@dataclass(frozen=True, slots=True)
class Restarts:
    """The restarts of engines during the soak, by name, and the number that another engine replaced."""

    by_engine: Mapping[str, int] = field(default_factory=dict)
    replaced: int = 0

    @property
    def total(self) -> int:
        """All of them together."""
        return sum(self.by_engine.values()) + self.replaced

    @property
    def words(self) -> str:
        """Say how many restarts there were, and which engine had most."""
        times = "once" if self.total == 1 else f"{self.total:,} times"
        named = {name: count for name, count in self.by_engine.items() if count}
        worst = max(named, key=lambda name: (named[name], name), default="")
        most = f" ({worst} most: {named[worst]:,})" if worst and named[worst] < self.total else ""
        return f"restarted {times}{most}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One objective through the soak: its reading now, its tape, and why the tape may be incomplete, if it may."""

    objective: Objective
    reading: Reading
    tape: Tape
    inferences: float = 0.0
    doubt: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """The inputs of the gates.

    ``doubt``: why no time of this soak can be trusted. ``mixed_models``: why its numbers may mix several models.
    """

    terms: Terms
    start: Start
    grid: Grid
    tracks: tuple[Track, ...]
    alerts: AlertsView
    doubt: Finding | None = None
    mixed_models: Finding | None = None
    restarts: Restarts = Restarts()
    attribution: Attribution = Attribution.ARTIFACT
    scrape_s: float | None = None
    engines: tuple[str, ...] = ()

    @property
    def gating(self) -> tuple[Track, ...]:
        """The objectives that can block a promotion."""
        return tuple(track for track in self.tracks if track.objective.gate)

    @property
    def tapes(self) -> tuple[Tape, ...]:
        """Their tapes."""
        return tuple(track.tape for track in self.gating)

    @property
    def elapsed_s(self) -> int:
        """Seconds since the soak began; 0 when it did not."""
        return max(0, int((self.terms.now - self.start.at).total_seconds())) if self.start.at else 0


def gates_of(soaked: Soaked) -> tuple[Gate, ...]:
    """The gates of a soak: ``soak``, each gating objective by its name, ``alerts``."""
    return (
        _soak_gate(soaked),
        *(_objective_gate(soaked, track) for track in soaked.gating),
        _alerts_gate(soaked),
    )


def _alerts_gate(soaked: Soaked) -> Gate:
    found = soaked.alerts.found
    if soaked.doubt is not None and found.verdict is not Verdict.FAIL:
        found = soaked.doubt
    return found.gate(ALERTS_GATE)


def _soak_gate(soaked: Soaked) -> Gate:
    required = soaked.terms.policy.soak.required_s
    return _soak_finding(soaked).gate(SOAK_GATE, value=soaked.elapsed_s, limit=required, unit="s")


def _soak_finding(soaked: Soaked) -> Finding:
    if soaked.doubt is not None:
        return soaked.doubt
    if soaked.start.instead is not None:
        return soaked.start.instead
    doubts = [track.doubt for track in soaked.gating if track.doubt is not None]
    if doubts:
        gravest = worst(doubt.verdict for doubt in doubts)
        return next(doubt for doubt in doubts if doubt.verdict is gravest)
    return (
        soaked.mixed_models
        or _breached(soaked)
        or _restarted(soaked)
        or _short(soaked)
        or _seldom(soaked)
        or _unmeasured(soaked)
        or _thin(soaked)
        or _clean(soaked)
    )


def _restarted(soaked: Soaked) -> Finding | None:
    allowed, restarts = soaked.terms.policy.soak.max_restarts, soaked.restarts
    if restarts.total <= allowed:
        return None
    why = f"The engines {restarts.words} during the soak; at most {allowed} restarts are allowed."
    return finding(Verdict.FAIL, Code.RESTARTED_TOO_OFTEN, why, restarts=restarts.total, allowed=allowed)


def _seldom(soaked: Soaked) -> Finding | None:
    scrape_s, step_s = soaked.scrape_s, soaked.terms.policy.soak.step_s
    return seldom(scrape_s, step_s) if scrape_s is not None and 2 * scrape_s > step_s else None


_UNMEASURED = frozenset({Code.ENGINE_UNMEASURED, Code.ENGINE_NEVER_INFERRED, Code.NO_FINITE_BUCKET})


def _unmeasured(soaked: Soaked) -> Finding | None:
    """An engine that serves the artifact and is not measured has not soaked, however well the others did."""
    return next((track.reading.found for track in soaked.gating if track.reading.code in _UNMEASURED), None)


def _breached(soaked: Soaked) -> Finding | None:
    cells = breach_cells(soaked.tapes)
    if len(cells) <= soaked.terms.policy.soak.max_breaches:
        return None
    gravest = max(
        (track for track in soaked.gating if Cell.BREACH in track.tape.cells),
        key=lambda track: _worst_value(track.tape) / track.tape.limit,
    )
    why = f"{_burst(gravest)}{_eligible(soaked)}"
    return finding(Verdict.FAIL, Code.SOAK_BREACHED, why, **_burst_facts(gravest), **_eligible_fact(soaked))


def _short(soaked: Soaked) -> Finding | None:
    required = soaked.terms.policy.soak.required_s
    if soaked.elapsed_s >= required:
        return None
    why = f"{hours(soaked.elapsed_s)} of {hours(required)} soaked{_eligible(soaked)}{_besides(soaked)}"
    times = {"elapsed_s": soaked.elapsed_s, "required_s": required}
    return finding(Verdict.WAIT, Code.SOAK_SHORT, why, **times, **_eligible_fact(soaked))


def _thin(soaked: Soaked) -> Finding | None:
    soak = soaked.terms.policy.soak
    covered = coverage(soaked.tapes, soak.required_s // soak.step_s)
    if not soaked.gating:
        return finding(Verdict.VACUOUS, Code.NO_OBJECTIVE, "The policy names no objective that could block.")
    if covered < soak.min_coverage:
        share, needed = f"{covered * 100:.1f} %", f"{soak.min_coverage * 100:g} %"
        why = f"Only {share} of the windows hold data; {needed} are needed{_eligible(soaked)}"
        shares = {"share": covered, "needed": soak.min_coverage}
        return finding(Verdict.NO_DATA, Code.COVERAGE_LOW, why, **shares, **_eligible_fact(soaked))
    fewest = min(track.inferences for track in soaked.gating)
    if fewest < soak.min_samples:
        why = f"Only {fewest:.0f} inferences were made; {soak.min_samples} are needed."
        return finding(Verdict.NO_DATA, Code.TOO_FEW_SAMPLES, why, samples=fewest, needed=soak.min_samples)
    return None


def _clean(soaked: Soaked) -> Finding:
    soak = soaked.terms.policy.soak
    windows = soak.required_s // soak.step_s
    covered = round(coverage(soaked.tapes, windows) * windows)
    breaches = len(breach_cells(soaked.tapes))
    why = f"{hours(soaked.elapsed_s)} soaked; {covered} of the last {windows} windows hold data, {breaches} breached."
    why += _besides(soaked)
    numbers = {"elapsed_s": soaked.elapsed_s, "covered": covered, "windows": windows, "breaches": breaches}
    numbers["restarts"] = soaked.restarts.total
    return finding(Verdict.PASS, Code.SOAKED, why, **numbers, attribution=str(soaked.attribution))


def _besides(soaked: Soaked) -> str:
    """List further facts about the soak: restarts, and numbers that are only known by mode."""
    text = f" The engines {soaked.restarts.words}." if soaked.restarts.total else ""
    match soaked.attribution:
        case Attribution.MODE:
            text += " By mode only: no engine says which artifact it serves."
        case Attribution.MIXED:
            text += " In part by mode only: not every engine says which artifact it serves."
        case Attribution.ARTIFACT:
            pass
    return text


def _objective_gate(soaked: Soaked, track: Track) -> Gate:
    reading = track.reading
    found = _objective_finding(soaked, track)
    return found.gate(reading.name, value=reading.value, limit=reading.limit, unit=reading.unit)


def _objective_finding(soaked: Soaked, track: Track) -> Finding:
    reading = track.reading
    if soaked.doubt is not None:
        return soaked.doubt
    if soaked.start.instead is not None:
        return soaked.start.instead
    breaches = track.tape.cells.count(Cell.BREACH)
    if breaches > soaked.terms.policy.soak.max_breaches and reading.verdict is not Verdict.FAIL:
        return finding(Verdict.FAIL, Code.SOAK_BREACHED, f"{_burst(track)}.", **_burst_facts(track))
    if track.doubt is not None:
        return track.doubt
    return reading.found


def _gravest(tape: Tape) -> tuple[float, datetime, datetime]:
    """The worst value of the breached windows, and when its window began and ended."""
    cells = [index for index, cell in enumerate(tape.cells) if cell == Cell.BREACH]
    gravest = max(cells, key=lambda index: tape.values[index] or 0.0)
    begin = tape.started_at + timedelta(seconds=gravest * tape.step_s)
    return tape.values[gravest] or 0.0, begin, begin + timedelta(seconds=tape.step_s)


def _burst(track: Track) -> str:
    """A breach in words, with the time of its worst window."""
    tape = track.tape
    value, begin, end = _gravest(tape)
    return (
        f"{tape.objective} breached in {tape.cells.count(Cell.BREACH)} of {len(tape.cells)} windows, "
        f"worst {words(track.objective, value)} from {format_utc(begin)} to {format_utc(end)}"
    )


def _burst_facts(track: Track) -> dict[str, float | str | datetime]:
    """The same in values."""
    tape = track.tape
    value, begin, end = _gravest(tape)
    return {
        "objective": tape.objective,
        "breached": tape.cells.count(Cell.BREACH),
        "windows": len(tape.cells),
        "value": value,
        "limit": tape.limit,
        "begins_at": begin,
        "ends_at": end,
    }


def _worst_value(tape: Tape) -> float:
    return max(value or 0.0 for value, cell in zip(tape.values, tape.cells, strict=True) if cell == Cell.BREACH)


def _eligible(soaked: Soaked) -> str:
    at = _eligible_at(soaked)
    return f"; eligible at {format_utc(at)} if nothing breaches." if at else "."


def _eligible_fact(soaked: Soaked) -> dict[str, datetime | None]:
    return {"eligible_at": _eligible_at(soaked)}


def _eligible_at(soaked: Soaked) -> datetime | None:
    start = soaked.start.at
    return eligible_at(start, soaked.grid, soaked.tapes, soaked.terms.policy.soak) if start else None


def first_reason(gates: Sequence[Gate]) -> str:
    """Give the gravest reason why the gates stay closed, or say that they open."""
    gravest = worst(gate.verdict for gate in gates)
    if gravest.opens:
        return gates[0].why
    found = next(gate for gate in gates if gate.verdict is gravest)
    return f"{found.name}: {found.why}"
