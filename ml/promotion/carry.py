"""A planned change, moved to a newer base: the same event on the same slice of another registry.

A plan, its evidence and its acknowledgement are bound to the model's own text in the registry. Where only other models
changed meanwhile, our planner makes the same change again on the registry as it is now, and the rest of the plan stays.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

from ml.promotion.gate.case import Move
from ml.promotion.gate.evidence import same_slice
from ml.promotion.gate.transition import made_again
from ml.promotion.paths import Places
from ml.promotion.values import Plan
from ml.registry.codec import Document, parse
from ml.registry.history import newest_first
from ml.registry.schema import Event, Model


def carried(plan: Plan, before: bytes, now: bytes, archive: bytes, places: Places, at: datetime) -> Plan | None:
    """The plan on another registry; ``None`` where the model's own slice changed.

    Args:
        before: the registry that the plan was made on, ``now`` the one that it goes to.
        archive: the model's archive, which must be the same on both.
        at: when the change is committed.

    Raises:
        RegistryInvalid: a registry cannot be read. Refused: the planner refuses the change on it.
    """
    planned_on, goes_to, name = parse(before), parse(now), plan.target.model
    if not same_slice(planned_on, goes_to, name):
        return None
    files = dict(plan.files)
    after = parse(files[places.registry])
    move = _move(name, planned_on, after, archive, at)
    made = made_again(goes_to, move, move.event.pointer)
    files[places.registry] = made.raw
    return replace(plan, files=tuple(sorted(files.items())))


def _move(name: str, before: Document, after: Document, archive: bytes, at: datetime) -> Move:
    old, model = before.registry.models.get(name, Model()), after.registry.models[name]
    written = json.loads(after.model_text(name))["history"][0 if newest_first(old) else -1]
    return Move(name, old, model, Event.model_validate(written), written, archive, at)
