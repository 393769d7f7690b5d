"""The rungs DEPLOYED and SERVING of a change, by the artifact that engines report. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ml.promotion.rungs import Engine, Facts, Proof, ProofKind, Rung, State, Step, Subject, Why
from ml.stage import Action, Stage
from ml.text import visible

_SHORT = 12
_SOME = 3
_LOOK = "See `mlconsole status`."


def deployed(subject: Subject, facts: Facts, merged: Step) -> Step:
    """The rung DEPLOYED: every engine of the change's stage loaded a registry that holds it."""
    unasked = _unasked(Rung.DEPLOYED, subject, facts, merged)
    if unasked is not None:
        return unasked
    engines = _engines(subject, facts)
    behind = [each for each in engines if each.holds is False]
    unknown = [each for each in engines if each.holds is None]
    if behind:
        why = f"{_counted(behind, engines)} loaded a registry without it: {_shown(behind)}."
        todo = f"Deploy {visible(facts.base.name)} to {_names(behind)}."
        return Step(rung=Rung.DEPLOYED, state=State.WAITING, code=Why.ENGINE_BEHIND, why=why, todo=todo)
    if unknown:
        why = f"Unknown: {_counted(unknown, engines)} loaded a registry that this clone cannot read: {_shown(unknown)}."
        todo = "Fetch the branch that the engines follow."
        return Step(rung=Rung.DEPLOYED, state=State.UNKNOWN, code=Why.COMMIT_UNKNOWN, why=why, todo=todo)
    why = f"The registry of {_counted(engines, engines)} holds it."
    at, proof = facts.engines.since, _proof(facts.engines.metric, engines)
    return Step(rung=Rung.DEPLOYED, state=State.REACHED, code=Why.PROVEN, why=why, at=at, proof=proof)


def serving(subject: Subject, facts: Facts, below: Step) -> Step:
    """The rung SERVING: every engine of the change's stage is up and serves its artifact. ``below`` is DEPLOYED."""
    if below.state is not State.REACHED:
        return replace(below, rung=Rung.SERVING)
    engines = _engines(subject, facts)
    for state, code, clause, todo, some in _complaints(subject, facts, engines):
        if some:
            unknown = "Unknown: " if state is State.UNKNOWN else ""
            why = f"{unknown}{_counted(some, engines)} {clause}: {_shown(some)}."
            return Step(rung=Rung.SERVING, state=state, code=code, why=why, todo=todo)
    done = "do not serve" if subject.action == Action.WITHDRAW else "serve"
    why = f"{_counted(engines, engines)} {done} {visible(subject.artifact_id)} in {subject.to_stage}."
    at, proof = facts.engines.since, _proof(facts.engines.metric, engines)
    return Step(rung=Rung.SERVING, state=State.REACHED, code=Why.PROVEN, why=why, at=at, proof=proof)


def _served(subject: Subject) -> bool:
    """True if engines take notice of the change: they load shadow and active, and neither staging nor rules."""
    return bool(subject.model) and subject.to_stage in (Stage.SHADOW, Stage.ACTIVE)


def _unasked(rung: Rung, subject: Subject, facts: Facts, merged: Step) -> Step | None:
    """The rung where no engine can tell about it; ``None`` where engines can be looked at."""
    if not _served(subject):
        why = "Engines load neither staging nor rules."
        return Step(rung=rung, state=State.NOT_NEEDED, code=Why.NOT_SERVED, why=why)
    found, unknown, lasting = facts.engines, State.UNKNOWN, False
    if not found.configured:
        state, code, why, todo = unknown, Why.NO_SOURCE, "no Prometheus is configured.", "Set prometheus.url."
        lasting = True
    elif merged.state is State.UNKNOWN:
        state, code, why, todo = unknown, Why.NOT_MERGED, "it is not known to be merged.", ""
    elif merged.state is not State.REACHED:
        return Step(rung=rung, state=State.WAITING, code=Why.NOT_MERGED, why="It is not merged yet.")
    elif found.why:
        state, code, why, todo = unknown, Why.SOURCE_SILENT, found.why, "Look at Prometheus."
    elif not _engines(subject, facts):
        state, code, why = unknown, Why.NO_ENGINE, f"no engine of this model reports what it loaded{_where(subject)}."
        todo = "Start an engine of this model, or check its scrape."
    else:
        return None
    return Step(rung=rung, state=state, code=code, why=f"Unknown: {why}", todo=todo, lasting=lasting)


def _where(subject: Subject) -> str:
    return "" if subject.action == Action.WITHDRAW else f" in {subject.to_stage}"


_Complaint = tuple[State, Why, str, str, Sequence[Engine]]


def _complaints(subject: Subject, facts: Facts, engines: Sequence[Engine]) -> tuple[_Complaint, ...]:
    """The reasons against SERVING, the worst first, each with the engines that it is about."""
    down = [each for each in engines if each.up is False]
    unheard = [each for each in engines if each.up is None]
    if subject.action == Action.WITHDRAW:
        still = [each for each in engines if _in_stage(subject, each) and each.artifact_id == subject.artifact_id]
        return ((State.WAITING, Why.OTHER_ARTIFACT, "still serve it", _LOOK, still),)
    other = [each for each in engines if each.artifact_id != subject.artifact_id]
    active = subject.to_stage == Stage.ACTIVE
    idle = [each for each in engines if active and each.active_on is not None and each.active_on != 1]
    untold = [each for each in engines if active and each.active_on is None]
    stopped = (Why.KILLED, "are stopped by the kill switch", "Release the kill switch when models may act again.")
    code, clause, todo = stopped if facts.engines.killed else (Why.NOT_ACTIVE, "do not decide trades", _LOOK)
    return (
        (State.WAITING, Why.OTHER_ARTIFACT, "serve something else", _LOOK, other),
        (State.WAITING, Why.ENGINE_DOWN, "are down", _LOOK, down),
        (State.WAITING, code, clause, todo, idle),
        (State.UNKNOWN, Why.NO_ENGINE, "are not known to be up", _LOOK, unheard),
        (State.UNKNOWN, Why.NOT_ACTIVE, "do not report if they decide trades", _LOOK, untold),
    )


def _engines(subject: Subject, facts: Facts) -> Sequence[Engine]:
    """The engines that must take the change: those of its stage, and after a withdrawal all of the model."""
    found = facts.engines.engines
    return found if subject.action == Action.WITHDRAW else [each for each in found if _in_stage(subject, each)]


def _in_stage(subject: Subject, engine: Engine) -> bool:
    return engine.stage == subject.to_stage


def _proof(metric: str, engines: Sequence[Engine]) -> Proof:
    shown = "; ".join(
        f"{each.instance} {each.stage} {each.artifact_id} of registry {each.registry_commit}" for each in engines
    )
    return Proof(ProofKind.ENGINES, f"{metric}: {shown}")


def _counted(some: Sequence[Engine], engines: Sequence[Engine]) -> str:
    return f"{len(some)} of {len(engines)} engine{'s' if len(engines) != 1 else ''}"


def _names(engines: Sequence[Engine]) -> str:
    more = f" and {len(engines) - _SOME} more" if len(engines) > _SOME else ""
    return ", ".join(each.instance for each in engines[:_SOME]) + more


def _shown(engines: Sequence[Engine]) -> str:
    parts = [
        f"{each.instance} ({each.artifact_id or 'nothing'} of {each.registry_commit[:_SHORT]})" for each in engines
    ]
    more = f" and {len(parts) - _SOME} more" if len(parts) > _SOME else ""
    return ", ".join(parts[:_SOME]) + more
