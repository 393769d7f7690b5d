"""The five legal changes: event and pointers must agree, and our own planner must make the same change. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml.errors import ConsoleError
from ml.promotion.gate.case import Case, Move, passed, plain_models, refused
from ml.promotion.origins import Search
from ml.promotion.plan import Authorship
from ml.promotion.repository import Reader
from ml.registry import changes
from ml.registry.codec import Document, empty_document
from ml.registry.events import SKEW, spelled
from ml.registry.history import LEFT_KEY, activation_pointer, known_pointer, newest_first
from ml.registry.schema import ENGINE_KEYS, MAX_HISTORY, RUNBOOK_KEYS, Event, Model, Pointer
from ml.stage import Action, Stage
from ml.text import visible
from ml.verdict import Gate

# The history, which must have grown by exactly one event. Each other difference has its own code (contract §8). Pure.

_Events = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Appended:
    """The one event that is new; or in ``why`` what else was done to the history."""

    event: Any = None
    why: str = ""


def appended(before: _Events, after: _Events, archived: _Events, *, newest_first: bool) -> Appended:
    """Find the event that was added.

    ``before`` and ``after`` are a model's history as plain JSON values in the order of the file, ``archived`` the
    events that the commit moved to the archive, oldest first. ``newest_first`` tells at which end the file grows.
    """
    if list(before) == list(after):
        return Appended(why="no event was added")
    taken = _left_out(after, before)
    if taken is not None:
        return Appended(why=f"the history was truncated: {len(taken)} events are gone")
    rest = list(after[1:] if newest_first else after[:-1])
    gone = _left_out(rest, before)
    if gone is None or not after:
        return Appended(why=_misdeed(before, after))
    if sorted(map(_text, gone)) != sorted(map(_text, archived)):
        what = "are gone" if len(gone) > len(archived) else "stand in the archive that never left the history"
        return Appended(why=f"the history was truncated: {abs(len(gone) - len(archived)) or len(gone)} events {what}")
    if len(gone) != max(0, len(before) + 1 - MAX_HISTORY):
        return Appended(why=f"{len(gone)} events were archived, although a history keeps {MAX_HISTORY}")
    return Appended(event=after[0] if newest_first else after[-1])


def _left_out(kept: _Events, before: _Events) -> list[Any] | None:
    """Return the events of ``before`` that ``kept`` lacks, or ``None`` where ``kept`` has others or another order."""
    gone: list[Any] = []
    waiting = list(kept)
    for event in before:
        if waiting and waiting[0] == event:
            waiting.pop(0)
        else:
            gone.append(event)
    return None if waiting else gone


def _misdeed(before: _Events, after: _Events) -> str:
    old, new = sorted(map(_text, before)), sorted(map(_text, after))
    if old == new:
        return "the history was reordered"
    remaining = list(new)
    missing = 0
    for event in old:
        if event in remaining:
            remaining.remove(event)
        else:
            missing += 1
    if missing == 0:
        return (
            "the event was not added at the history's end"
            if len(remaining) == 1
            else (f"{len(remaining)} events were added at once")
        )
    if len(remaining) <= 1 and missing > len(remaining):
        return f"the history was truncated: {missing} events are gone"
    return f"the history was rewritten: {missing} of its events are not as they were"


def _text(event: Any) -> str:
    return json.dumps(event, sort_keys=True)


# The replay: our own planner makes the same change again, and both are compared byte for byte. Pure.

_OURS = frozenset({*ENGINE_KEYS, *RUNBOOK_KEYS, LEFT_KEY})


def replayed(before: Document | None, move: Move, now: bytes, archive: bytes, attested: Pointer | None) -> str:
    """Say why the planner would not have written this: one clause, empty where it matches byte for byte.

    Args:
        before: the registry before the change.
        now: the registry's bytes after it, ``archive`` the model's archive after it.
        attested: for a rollback, the proven fields of the pointer that no activation's event holds.
    """
    try:
        made = made_again(before, move, attested)
    except (ConsoleError, ValueError, TypeError) as error:
        cause = error.cause if isinstance(error, ConsoleError) else "the event is incomplete"
        return f"our own planner refuses it: {cause}"
    written = json.loads(now)["models"][move.name]
    why = _first_difference(plain_models(made.document)[move.name], written, "")
    if why or (made.raw == now and (move.archive if made.archive is None else made.archive) == archive):
        return why
    what = "registry" if made.raw != now else "archive"
    return f"the {what} says the same in other bytes than our own planner writes"


def made_again(before: Document | None, move: Move, attested: Pointer | None) -> changes.Change:
    """The change as our own planner makes it on a registry. Raises what the planner raises, ValueError, TypeError."""
    return _plan_again(before or empty_document(), move, attested)


def _plan_again(document: Document, move: Move, attested: Pointer | None) -> changes.Change:
    event, to_stage = move.event, move.to_stage
    if event.at is None:
        raise ValueError("no time")
    common = Authorship(
        by=move.by,
        reason=event.reason or "",
        at=min(event.at, move.committed_at + SKEW),  # a history from the future would hold up whatever comes after it
        source=str(move.written.get("source") or ""),
        base_commit=move.written.get("registry_git_sha"),
        archive=move.archive,
        extra={key: value for key, value in move.written.items() if key not in _OURS},
    )
    if move.action is Action.STAGE:
        return changes.stage(document, move.name, _pointer(move), **common)
    if move.action is Action.PROMOTE:
        return changes.promote(document, move.name, to_stage, **common)
    if move.action is Action.ROLLBACK:
        return changes.rollback(document, move.name, move.artifact_id, pointer=attested, **common)
    return changes.withdraw(document, move.name, to_stage, **common)


def _pointer(move: Move) -> Pointer:
    if move.event.pointer is None:
        raise ValueError("no pointer")
    return move.event.pointer


def _first_difference(expected: Any, found: Any, path: str) -> str:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {**expected, **found}:
            why = _first_difference(expected.get(key), found.get(key), f"{path}.{key}" if path else key)
            if why:
                return why
        return ""
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return next((why for at, (one, other) in pairs if (why := _first_difference(one, other, f"{path}[{at}]"))), "")
    if expected == found:
        return ""
    return f"{visible(path)} is {_shown(found)}, where a legal change has {_shown(expected)}"


def _shown(value: Any) -> str:
    return visible(json.dumps(value), limit=120)


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
    move = Move(name, known, _model(case.after, name), event, found.event, old, max(case.commit.at, case.parent.at))
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
    yield from _STEPS[action](move, to_stage)
    expected = {Action.PROMOTE: {to_stage, to_stage.below or to_stage}}.get(action, {to_stage})
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
    below = to_stage.below
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


_STEPS = {Action.STAGE: _stage, Action.PROMOTE: _promote, Action.ROLLBACK: _rollback, Action.WITHDRAW: _withdraw}


# The origin of a rollback's pointer: proof of the fields that no activation's event holds (contract §14).
#
# Histories in the runbook's words keep no pointers. The facts then come from the console's own sources, by the
# same search (`ml.promotion.origins`): registries in which the artifact was active, its manifest and train report, and
# the commit that added it. A field that none of them has must be written as unknown.

_SIGNATURE = frozenset({"artifact_id", "promoted_at_utc", "actor", "source"})
"""The fields that name the pointer, and those that a rollback writes anew."""


def attested(repository: Reader, case: Case, move: Move) -> Pointer | None:
    """The part of a rollback's pointer that is proven; ``None`` where the activation's event holds all of it."""
    said = move.event.pointer
    if move.action is not Action.ROLLBACK or said is None:
        return None
    known = activation_pointer(move.past, move.artifact_id)
    held = spelled(known) if known else {}
    wanted = {key: value for key, value in spelled(said).items() if key not in _SIGNATURE and held.get(key) != value}
    if known and not wanted:
        return None
    folder = known_pointer(move.past, move.artifact_id).artifact_dir
    search = Search(repository, case.parent.sha, case.places.registry, case.artifact_base)
    proven = search.proven(move.name, move.artifact_id, said.artifact_dir, wanted)
    return Pointer.model_validate({"artifact_id": move.artifact_id, "artifact_dir": folder} | dict(proven))
