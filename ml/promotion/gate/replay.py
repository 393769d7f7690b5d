"""The last word on legality: our own planner makes the same change again, and both are compared byte for byte. Pure."""

from __future__ import annotations

import json
from typing import Any

from ml.errors import ConsoleError
from ml.promotion.gate.case import Move, plain_models
from ml.promotion.plan import Authorship
from ml.registry import changes
from ml.registry.codec import Document, empty_document
from ml.registry.history import LEFT_KEY
from ml.registry.recording import SKEW
from ml.registry.schema import Pointer
from ml.registry.vocabulary import ENGINE_KEYS, RUNBOOK_KEYS
from ml.stage import Action
from ml.text import visible

_OURS = frozenset({*ENGINE_KEYS, *RUNBOOK_KEYS, LEFT_KEY})


def replayed(before: Document | None, move: Move, now: bytes, archive: bytes, attested: Pointer | None) -> str:
    """Why the planner would not have written this: one clause, empty where it would have, byte for byte.

    Args:
        before: the registry before the change.
        now: the registry's bytes after it, ``archive`` the model's archive after it.
        attested: of a rollback, what is proven of the pointer besides what an activation's event holds.
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
