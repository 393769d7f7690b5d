"""A planned change, moved to a newer base: the same event on the same slice of another registry.

A plan, its evidence and its acknowledgement are bound to the model's own text in the registry. Where only other models
changed meanwhile, our planner makes the same change again on the registry as it is now, and the rest of the plan stays.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

from ml.errors import Conflict
from ml.promotion.gate.case import Move
from ml.promotion.gate.evidence import same_slice
from ml.promotion.gate.transition import made_again
from ml.promotion.paths import Places
from ml.promotion.repository import Reader, Repository
from ml.promotion.values import Plan
from ml.registry.codec import Document, parse
from ml.registry.history import newest_first
from ml.registry.schema import Event, Model
from ml.text import visible


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


def joined(repository: Repository, places: Places, ends: tuple[str, str], branch: str, name: str, now: datetime) -> str:
    """A merge of a change branch into a base: the change's own files, and the registry made again if the base moved on.

    The change's commit stays as it is, with its signature and its approvals. The merge bears the date of the landing:
    soaks and readings count from there.

    Args:
        ends: the tips of the base and of the change branch.
        name: the base branch, for the message.

    Raises:
        Conflict: the base has another text of the same model, or changed a file that the change brings.
        RegistryInvalid: a registry cannot be read. Refused: the planner refuses the change on the base's registry.
    """
    base, head = ends
    fork = repository.history.merge_base(base, head)
    if fork is None:
        raise _moved_on(branch, name, "they share no history")
    ours = repository.objects.changes(fork, head)
    theirs = {change.path for change in repository.objects.changes(fork, base)}
    both = sorted({change.path for change in ours} & theirs - {places.registry})
    if both:
        raise _moved_on(branch, name, f"{visible(both[0])} was changed there too")
    files = []
    if places.registry in theirs and any(change.path == places.registry for change in ours):
        made = _registry_on(repository, places, fork, base, head)
        if made is None:
            raise _moved_on(branch, name, "the same model was changed there too")
        files.append((places.registry, made))
    made_again_here = {path for path, _ in files}
    rest = tuple(change for change in ours if change.path not in made_again_here)
    # No commit may be older than its parents, however late the clock of this machine is.
    at = max(now, *(commit.at for commit in repository.history.commits((base, head))))
    return repository.writer.merge(
        base, head, rest, files, f"Merge {branch} into {name}\n", repository.writer.identity(), at
    )


def _registry_on(repository: Reader, places: Places, fork: str, base: str, head: str) -> bytes | None:
    """The registry that a change makes of another state; ``None`` where that is not the one model's own doing."""
    planned_on, goes_to, after = (
        parse(repository.objects.read(each, places.registry) or b"") for each in (fork, base, head)
    )
    changed = [name for name in after.spans if not same_slice(planned_on, after, name)]
    if len(changed) != 1 or not same_slice(planned_on, goes_to, changed[0]):
        return None
    archive = repository.objects.read(fork, places.archive(changed[0])) or b""
    move = _move(changed[0], planned_on, after, archive, repository.history.commit(head).at)
    return made_again(goes_to, move, move.event.pointer).raw


def _moved_on(branch: str, name: str, why: str) -> Conflict:
    return Conflict(
        f"{visible(name)} moved on since {visible(branch)} was made, and {why}.",
        "Plan the change anew on what is there now.",
    )


def _move(name: str, before: Document, after: Document, archive: bytes, at: datetime) -> Move:
    old, model = before.registry.models.get(name, Model()), after.registry.models[name]
    written = json.loads(after.model_text(name))["history"][0 if newest_first(old) else -1]
    return Move(name, old, model, Event.model_validate(written), written, archive, at)
