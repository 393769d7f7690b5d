"""Whether a change is one of the five legal ones: event and pointers say the same, and our own planner agrees. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml.promotion.gate.case import Case, Move, passed, plain_models, refused
from ml.promotion.gate.history import appended
from ml.promotion.gate.replay import replayed
from ml.registry.codec import Document
from ml.registry.history import newest_first
from ml.registry.schema import Event, Model, Pointer
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Gate

_BELOW = {Stage.SHADOW: Stage.STAGING, Stage.ACTIVE: Stage.SHADOW}


def transition(
    case: Case, name: str, archive: tuple[bytes, bytes], attested: Callable[[Move], Pointer | None]
) -> tuple[Gate, Move | None]:
    """Judge what the commit does to its one `changed_model`; the move that it makes, where it makes exactly one.

    ``archive`` are the bytes of the model's archive before and after. ``attested`` tells what is proven of a
    rollback's pointer besides what an activation's event holds.
    """
    before, after = plain_models(case.before), plain_models(case.after)
    old, new = archive
    if not new.startswith(old):
        return refused("history", f"the archive of {name} was rewritten, and it may only grow"), None
    known = _model(case.before, name)
    then, now = before.get(name, {}), after[name]
    try:
        moved = [json.loads(line) for line in new[len(old) :].splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return refused("history", f"a line was added to the archive of {name} that is no JSON"), None
    found = appended(then.get("history", []), now.get("history", []), moved, newest_first=newest_first(known))
    if found.why:
        return _without_event(found.why, then, now), None
    event = Event.model_validate(found.event)
    move = Move(name, known, _model(case.after, name), event, found.event, old, case.commit.at)
    assert case.after is not None
    why = next(_objections(move), "") or replayed(case.before, move, case.after.raw, new, attested(move))
    return (refused("transition", why), None) if why else (_summary(move), move)


def _summary(move: Move) -> Gate:
    way = f"{move.event.from_stage} → {move.to_stage}" if move.event.from_stage else f"→ {move.to_stage}"
    return passed("transition", f"{move.action} {visible(move.artifact_id)} {way} ({visible(move.name)})")


def _model(document: Document | None, name: str) -> Model:
    return document.registry.models.get(name, Model()) if document else Model()


def changed_model(case: Case) -> tuple[str, str]:
    """The name of the one model that differs, and nothing; or nothing, and why it is not exactly one."""
    before, after = plain_models(case.before), plain_models(case.after)
    gone = [name for name in before if name not in after]
    if gone:
        return "", f"the model {visible(gone[0])} was removed"
    if _frame(case.before) != _frame(case.after) and case.before is not None:
        return "", "something outside the models was changed"
    differing = [name for name in after if after[name] != before.get(name)]
    if not differing:
        return "", "the registry was written anew without a change in it"
    if len(differing) > 1:
        return "", f"{len(differing)} models are changed at once: {visible(', '.join(differing))}"
    return differing[0], ""


def _frame(document: Document | None) -> dict[str, Any]:
    return {key: value for key, value in json.loads(document.raw).items() if key != "models"} if document else {}


def _without_event(why: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> Gate:
    touched = [stage for stage in Stage if then.get(stage) != now.get(stage)]
    if then.get("history", []) == now.get("history", []) and touched:
        return refused("history", f"the pointer of {touched[0]} was changed without an event")
    return refused("history", why)


def _objections(move: Move) -> Iterator[str]:
    """Everything that makes a move illegal, the plainest words first."""
    event = move.event
    try:
        action, to_stage = move.action, move.to_stage
    except ValueError:
        yield f"an event of action {visible(str(event.action))} to stage {visible(str(event.to_stage))} is none of ours"
        return
    changed = {stage for stage in Stage if _artifact(move.before, stage) != _artifact(move.after, stage)}
    if not changed and action is not Action.STAGE:
        yield "an event was added, but no pointer moved"
    yield from _HOPS[action](move, to_stage)
    expected = {Action.PROMOTE: {to_stage, _BELOW.get(to_stage, to_stage)}}.get(action, {to_stage})
    stray = sorted(changed - expected)
    if stray:
        yield f"{stray[0]} was changed too, which a {action} to {to_stage} does not do"
    standing = None if action is Action.WITHDRAW else event.artifact_id
    if _artifact(move.after, to_stage) != standing:
        there = _artifact(move.after, to_stage) or "nothing"
        yield f"the event is about {visible(move.artifact_id)}, and {to_stage} holds {visible(there)}"


def _artifact(model: Model, stage: Stage) -> str | None:
    pointer = model.pointer(stage)
    return pointer.artifact_id if pointer else None


def _stage(move: Move, to_stage: Stage) -> Iterator[str]:
    if to_stage is not Stage.STAGING:
        yield f"an artifact is added to staging, never straight to {to_stage}"


def _promote(move: Move, to_stage: Stage) -> Iterator[str]:
    below = _BELOW.get(to_stage)
    if below is None:
        yield f"nothing is promoted to {to_stage}"
        return
    if move.event.from_stage != below:
        yield f"{to_stage} was set from {visible(str(move.event.from_stage))}, and the only way to it is from {below}"
    if _artifact(move.before, below) != move.event.artifact_id:
        there = _artifact(move.before, below) or "nothing"
        yield f"{visible(move.artifact_id)} was not in {below}, where {visible(there)} stood"


def _rollback(move: Move, to_stage: Stage) -> Iterator[str]:
    if to_stage is not Stage.ACTIVE:
        yield f"a rollback leads to active, not to {to_stage}"


def _withdraw(move: Move, to_stage: Stage) -> Iterator[str]:
    if to_stage is Stage.ACTIVE:
        yield "active cannot be withdrawn, only rolled back"


_HOPS = {Action.STAGE: _stage, Action.PROMOTE: _promote, Action.ROLLBACK: _rollback, Action.WITHDRAW: _withdraw}
