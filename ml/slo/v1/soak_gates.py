"""From tapes, readings and alerts to the gates of a soak, each with one sentence of why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ml.board import Cell, Tape
from ml.clock import format_utc
from ml.slo.v1.alerts import AlertsView
from ml.slo.v1.judge import Terms, words
from ml.slo.v1.measured import Finding, length
from ml.slo.v1.soak_start import Start
from ml.slo.v1.tape import Grid, breach_cells, coverage, eligible_at
from ml.verdict import Gate, Reading, Verdict, worst

if TYPE_CHECKING:
    from ml.policy import Objective

SOAK_GATE, ALERTS_GATE = "soak", "alerts"


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
    """Everything that the gates are judged by. ``doubt``: why no time of this soak can be trusted."""

    terms: Terms
    start: Start
    grid: Grid
    tracks: tuple[Track, ...]
    alerts: AlertsView
    doubt: Finding | None = None

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
    verdict, why = soaked.alerts.verdict, soaked.alerts.why
    if soaked.doubt is not None and verdict is not Verdict.FAIL:
        verdict, why = soaked.doubt
    return Gate(name=ALERTS_GATE, verdict=verdict, why=why)


def _soak_gate(soaked: Soaked) -> Gate:
    verdict, why = _soak_finding(soaked)
    required = soaked.terms.policy.soak.required_s
    return Gate(name=SOAK_GATE, verdict=verdict, why=why, value=soaked.elapsed_s, limit=required, unit="s")


def _soak_finding(soaked: Soaked) -> Finding:
    if soaked.doubt is not None:
        return soaked.doubt
    if soaked.start.at is None:
        return soaked.start.verdict, soaked.start.why
    doubts = [track.doubt for track in soaked.gating if track.doubt is not None]
    if doubts:
        gravest = worst(verdict for verdict, _ in doubts)
        return next(doubt for doubt in doubts if doubt[0] is gravest)
    return _breached(soaked) or _short(soaked) or _thin(soaked) or _clean(soaked)


def _breached(soaked: Soaked) -> Finding | None:
    cells = breach_cells(soaked.tapes)
    if len(cells) <= soaked.terms.policy.soak.max_breaches:
        return None
    gravest = max(
        (track for track in soaked.gating if Cell.BREACH in track.tape.cells),
        key=lambda track: _worst_value(track.tape) / track.tape.limit,
    )
    return Verdict.FAIL, f"{_burst(gravest)}{_eligible(soaked)}"


def _short(soaked: Soaked) -> Finding | None:
    required = soaked.terms.policy.soak.required_s
    if soaked.elapsed_s >= required:
        return None
    return Verdict.WAIT, f"{length(soaked.elapsed_s)} of {length(required)} soaked{_eligible(soaked)}"


def _thin(soaked: Soaked) -> Finding | None:
    soak = soaked.terms.policy.soak
    covered = coverage(soaked.tapes, soak.required_s // soak.step_s)
    if not soaked.gating:
        return Verdict.VACUOUS, "The policy names no objective that could block."
    if covered < soak.min_coverage:
        share, needed = f"{covered * 100:.1f} %", f"{soak.min_coverage * 100:g} %"
        return Verdict.NO_DATA, f"Only {share} of the windows hold data; {needed} are needed{_eligible(soaked)}"
    fewest = min(track.inferences for track in soaked.gating)
    if fewest < soak.min_samples:
        return Verdict.NO_DATA, f"Only {fewest:.0f} inferences were made; {soak.min_samples} are needed."
    return None


def _clean(soaked: Soaked) -> Finding:
    soak = soaked.terms.policy.soak
    windows = soak.required_s // soak.step_s
    covered = round(coverage(soaked.tapes, windows) * windows)
    breaches = len(breach_cells(soaked.tapes))
    return (
        Verdict.PASS,
        f"{length(soaked.elapsed_s)} soaked; {covered} of the last {windows} windows hold data, {breaches} breached.",
    )


def _objective_gate(soaked: Soaked, track: Track) -> Gate:
    reading = track.reading
    verdict, why = _objective_finding(soaked, track)
    return Gate(
        name=reading.name, verdict=verdict, why=why, value=reading.value, limit=reading.limit, unit=reading.unit
    )


def _objective_finding(soaked: Soaked, track: Track) -> Finding:
    reading = track.reading
    if soaked.doubt is not None:
        return soaked.doubt
    if soaked.start.at is None:
        return soaked.start.verdict, soaked.start.why
    breaches = track.tape.cells.count(Cell.BREACH)
    if breaches > soaked.terms.policy.soak.max_breaches and reading.verdict is not Verdict.FAIL:
        return Verdict.FAIL, f"{_burst(track)}."
    if track.doubt is not None:
        return track.doubt
    return reading.verdict, reading.why


def _burst(track: Track) -> str:
    """A breach in words, with the time of its worst window."""
    tape = track.tape
    cells = [index for index, cell in enumerate(tape.cells) if cell == Cell.BREACH]
    gravest = max(cells, key=lambda index: tape.values[index] or 0.0)
    begin = tape.started_at + timedelta(seconds=gravest * tape.step_s)
    end = begin + timedelta(seconds=tape.step_s)
    value = words(track.objective, tape.values[gravest] or 0.0)
    return (
        f"{tape.objective} breached in {len(cells)} of {len(tape.cells)} windows, worst {value} "
        f"from {format_utc(begin)} to {format_utc(end)}"
    )


def _worst_value(tape: Tape) -> float:
    return max(value or 0.0 for value, cell in zip(tape.values, tape.cells, strict=True) if cell == Cell.BREACH)


def _eligible(soaked: Soaked) -> str:
    if soaked.start.at is None:
        return "."
    at = eligible_at(soaked.start.at, soaked.grid, soaked.tapes, soaked.terms.policy.soak)
    return f"; eligible at {format_utc(at)} if nothing breaches."


def first_reason(gates: Sequence[Gate]) -> str:
    """Give the gravest reason why the gates stay closed, or say that they open."""
    gravest = worst(gate.verdict for gate in gates)
    if gravest.opens:
        return gates[0].why
    found = next(gate for gate in gates if gate.verdict is gravest)
    return f"{found.name}: {found.why}"
