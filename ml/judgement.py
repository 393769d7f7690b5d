"""The one verdict of a model and of a board, for every part of the product. Pure.

A model's verdict is the worst of its readings and its gates. What has not been judged yet is WAIT, never the reading's
PASS. A row, a pane, the gate line, the order of a list, ``status``, ``--short``, JSON, exit codes and titles show what
is found here and find nothing by themselves.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from ml.board import Rung
from ml.clock import format_utc
from ml.codes import Code
from ml.verdict import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from ml.board import Board, KillView, ModelView, SoakReport
    from ml.verdict import Gate, Reading

PROBLEM = "problem"
"""The name of what decides where that is a problem and no reading or gate."""

_SOURCE = "prometheus"

UNJUDGED = "checklist"
"""The name of the gate for a checklist without any judged gate."""

BELIEVED = timedelta(minutes=5)
"""The maximum age of a soak's judgement; each soak is judged every minute or two."""

LAST = timedelta(minutes=1)
"""The age up to which a whole board always counts as current."""


class Judgement(NamedTuple):
    """A verdict, the name of the reading, gate or problem that decides it, and its sentence; empty where none does."""

    verdict: Verdict
    name: str = ""
    why: str = ""


# --- one model -------------------------------------------------------------------------------------------------------
def judged(model: ModelView) -> Judgement:
    """The verdict of a model: the worst of its problems, its readings that can block, and its gates.

    Of a model that has neither reading nor gate nothing is known, so it is NO_DATA.
    """
    return _gravest(tuple(_findings(model)))


def live_of(model: ModelView) -> Judgement:
    """The verdict of the live artifact alone: the worst of its blocking readings; NO_DATA without a reading."""
    found = [Judgement(each.verdict, each.name, each.why) for each in _deciding(model.active_readings)]
    return _gravest((*found, Judgement(Verdict.STALE, _SOURCE, model.silent)) if model.silent else tuple(found))


def _gravest(found: tuple[Judgement, ...]) -> Judgement:
    gravest = worst(each.verdict for each in found)
    return next((each for each in found if each.verdict is gravest), Judgement(gravest))


def _findings(model: ModelView) -> Iterator[Judgement]:
    """Collect everything that decides. Live artifacts come first, so that they win a tie."""
    live = () if model.active_readings == model.readings else model.active_readings
    for reading in _deciding(live):
        yield Judgement(reading.verdict, f"active {reading.name}", reading.why)
    for problem in model.problems:
        if problem.severe:
            yield Judgement(Verdict.FAIL, PROBLEM, problem.what)
    for gate in gates_of(model):
        yield Judgement(gate.verdict, gate.name, gate.why)
    for reading in _deciding(model.readings):
        yield Judgement(reading.verdict, reading.name, reading.why)
    if model.silent:
        yield Judgement(Verdict.STALE, _SOURCE, model.silent)


def _deciding(readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """The readings that can block a promotion; where none can, all of them."""
    return tuple(reading for reading in readings if reading.gate) or readings


def gates_of(model: ModelView) -> tuple[Gate, ...]:
    """The gates of the model's next step, as every face shows them.

    A gate is never milder than the current reading of the same objective. Where there is a next step and nothing of it
    has been judged, one gate named `UNJUDGED` waits. While the source is silent no gate is open.
    """
    if not model.step:
        return tuple(_unheard(gate, model.silent) for gate in model.gates)
    if not model.gates:
        return (_unjudged(model.step),)
    now = {reading.name: reading for reading in model.readings if reading.gate}
    return tuple(_unheard(_at_least(gate, now.get(gate.name)), model.silent) for gate in model.gates)


def _unjudged(step: str) -> Gate:
    from ml.verdict import finding  # noqa: PLC0415 nothing of the first frame is judged

    return finding(Verdict.WAIT, Code.AT_PROMOTION, f"{step} is judged when it is promoted.", hop=step).gate(UNJUDGED)


def _at_least(gate: Gate, reading: Reading | None) -> Gate:
    if reading is None or not outweighs(reading.verdict, gate.verdict):
        return gate
    why = f"now: {reading.why} (in the soak {gate.verdict}: {gate.why})"
    return replace(gate, verdict=reading.verdict, why=why, code=reading.code, facts=reading.facts)


def _unheard(gate: Gate, silent: str) -> Gate:
    if not silent or not gate.verdict.opens:
        return gate
    return _stale(gate, Code.SOURCE_FAILED, f"{silent} Before: {gate.why}")


def gate_verdict(model: ModelView) -> Verdict:
    """The verdict of the next step alone; NO_DATA where there is none."""
    return worst(gate.verdict for gate in gates_of(model))


def overruling(reading: Reading, gates: Iterable[Gate]) -> Gate | None:
    """The gate of the same objective that says worse than the reading: the soak breached, and now all is well."""
    return next(
        (gate for gate in gates if gate.name == reading.name and outweighs(gate.verdict, reading.verdict)), None
    )


def gauge_of(reading: Reading, gates: Iterable[Gate]) -> Reading:
    """A reading with the verdict of its objective: the worse of now and the soak, and in words which says what."""
    gate = overruling(reading, gates)
    if gate is None:
        return reading
    why = f"in the soak {gate.verdict}: {gate.why} Now {reading.verdict}: {reading.why}"
    return replace(reading, verdict=gate.verdict, why=why, code=gate.code, facts=gate.facts)


def gauges_of(model: ModelView) -> tuple[Reading, ...]:
    """The readings of a model, each through `gauge_of`."""
    gates = gates_of(model)
    return tuple(gauge_of(reading, gates) for reading in model.readings)


def soak_verdict(model: ModelView) -> Verdict | None:
    """The soak in a word: never better than its gates, and WAIT without any. ``None`` while there is no report."""
    if model.soak is None:
        return None
    own = {gate.name for gate in model.soak.gates} or {gate.name for gate in model.gates}
    gates = [gate.verdict for gate in gates_of(model) if gate.name in own]
    return worst((model.soak.verdict, *(gates or [Verdict.WAIT])))


def outweighs(one: Verdict, other: Verdict) -> bool:
    """True if the first verdict is graver than the second."""
    return one is not other and worst((one, other)) is one


# --- old data --------------------------------------------------------------------------------------------------------
def soak_at(report: SoakReport, now: datetime) -> SoakReport:
    """A report as it may be shown now: one that is too old, or of a clock that went back, opens nothing."""
    if abs(now - report.as_of) <= BELIEVED:
        return report
    since = f"last judged at {format_utc(report.as_of)}"
    gates = tuple(_outdated(gate, report.as_of) for gate in report.gates)
    if not report.verdict.opens:
        return replace(report, gates=gates)
    return replace(report, verdict=Verdict.STALE, why=f"{since}: {report.why}", gates=gates)


def _outdated(gate: Gate, at: datetime) -> Gate:
    if not gate.verdict.opens:
        return gate
    return _stale(gate, Code.JUDGED_LONG_AGO, f"last judged at {format_utc(at)}: {gate.why}", judged_at=at)


def _stale(gate: Gate, code: Code, why: str, **facts: datetime) -> Gate:
    from ml.verdict import facts_of  # noqa: PLC0415 nothing of the first frame is judged

    extended = facts_of(was=str(gate.code), **facts)
    return replace(gate, verdict=Verdict.STALE, why=why, code=code, facts=extended)


def models_at(board: Board, now: datetime, believed: timedelta = LAST) -> tuple[ModelView, ...]:
    """The models of a board as they may be shown now: of one that was not renewed for too long, none is well."""
    if abs(now - board.as_of) <= believed:
        return board.models
    silent = f"Nothing was looked at since {format_utc(board.as_of)}."
    return tuple(replace(model, **_aged(model, silent)) for model in board.models)  # type: ignore[arg-type]


def _aged(model: ModelView, silent: str) -> dict[str, object]:
    return {
        "readings": tuple(_dimmed(each, silent) for each in model.readings),
        "active_readings": tuple(_dimmed(each, silent) for each in model.active_readings),
        "silent": silent,
    }


def _dimmed(reading: Reading, silent: str) -> Reading:
    return reading.stale(f"{silent} Before: {reading.why}") if reading.verdict.opens else reading


def soak_of(report: SoakReport, model: ModelView | None, now: datetime) -> SoakReport:
    """The report of a look of its own, never better than what the board says of the same soak."""
    shown = soak_at(report, now)
    if model is None or model.name != report.model:
        return shown
    if model.shadow.artifact_id != report.artifact_id and shown.verdict.opens:
        return replace(shown, verdict=Verdict.STALE, why=f"It is not in shadow any more: {shown.why}")
    known = max((shown.gates, gates_of(model)), key=_gravity_of)
    gravest = max(known, key=_gravity, default=None)
    mild = shown.verdict.opens or shown.verdict is Verdict.WAIT
    if gravest is None or not mild or not outweighs(gravest.verdict, shown.verdict):
        return shown
    return replace(shown, verdict=gravest.verdict, why=f"{gravest.name}: {gravest.why}", gates=known)


def _gravity(gate: Gate) -> int:
    return tuple(Verdict).index(gate.verdict)


def _gravity_of(gates: tuple[Gate, ...]) -> int:
    return max(map(_gravity, gates), default=-1)


# --- a whole board ---------------------------------------------------------------------------------------------------
def board_verdict(board: Board) -> Verdict:
    """The worst verdict of any model, or FAIL if there is a severe problem."""
    verdicts = [judged(model).verdict for model in board.models]
    if board.registry.problem or any(problem.severe for problem in board.problems):
        verdicts.append(Verdict.FAIL)
    return worst(verdicts)


def stopped(kill: KillView | None) -> bool:
    """True if the kill switch provably stops every engine. Then nothing is live, and nothing is well."""
    return kill is not None and kill.rung is Rung.CONFIRMED and not kill.releases
