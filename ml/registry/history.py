"""A model's history: the previous active artifact, the condemned ones, tenures (contract §2, §6). Pure.

Files append or prepend. Here the timestamps decide the order, and no index is ever trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from ml.board import HistoryRow
from ml.registry.schema import ARTIFACTS_PATH, Event, Model, Pointer
from ml.stage import Action, Stage

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_STAGES = frozenset(Stage)


def newest_first(model: Model) -> bool:
    """True if the file keeps this model's newest event first. If times cannot tell, the active pointer decides."""
    times = [event.at for event in model.history if event.at]
    rising = sum(earlier < later for earlier, later in pairwise(times))
    falling = sum(earlier > later for earlier, later in pairwise(times))
    if rising != falling:
        return falling > rising
    activations = [event.artifact_id for event in model.history if activates(event)]
    now = model.active.artifact_id if model.active else None
    return len(activations) > 1 and activations[0] == now != activations[-1]


def chronological_indexes(model: Model) -> tuple[int, ...]:
    """The places of the events in the file, from the oldest event to the newest.

    Equal times keep the file's order, and an event without a time stays with its neighbor.
    """
    known = _RECENT.get(id(model))
    if known is not None and known[0] is model:
        return known[1]
    order = _order(model)
    if len(_RECENT) >= _MOST_RECENT:
        _RECENT.clear()
    _RECENT[id(model)] = (model, order)
    return order


_RECENT: dict[int, tuple[Model, tuple[int, ...]]] = {}
"""The order of the models that were asked about last: a dozen questions about one model follow each other."""
_MOST_RECENT = 16


def _order(model: Model) -> tuple[int, ...]:
    places = range(len(model.history))
    stamped: list[tuple[datetime, int]] = []
    last = _LONG_AGO
    for place in reversed(places) if newest_first(model) else places:
        last = model.history[place].at or last
        stamped.append((last, place))
    return tuple(place for _, place in sorted(stamped, key=lambda pair: pair[0]))


def chronological(model: Model) -> tuple[Event, ...]:
    """The events from oldest to newest."""
    return tuple(model.history[place] for place in chronological_indexes(model))


def activates(event: Event) -> bool:
    """True if the event made its artifact the active one."""
    return event.to_stage == Stage.ACTIVE and event.artifact_id is not None and event.action != Action.WITHDRAW


@dataclass(frozen=True, slots=True)
class Tenure:
    """An artifact's time as the active one; ``until`` is ``None`` while it lasts."""

    artifact_id: str
    since: datetime | None
    until: datetime | None
    by_rollback: bool


def tenures(model: Model) -> tuple[Tenure, ...]:
    """Return the active artifacts, oldest first, from the events alone."""
    found: list[Tenure] = []
    for event in chronological(model):
        if not activates(event) or (found and found[-1].artifact_id == event.artifact_id):
            continue
        if found:
            last = found.pop()
            found.append(Tenure(last.artifact_id, last.since, event.at, last.by_rollback))
        assert event.artifact_id
        found.append(Tenure(event.artifact_id, event.at, None, action_of(event) == Action.ROLLBACK))
    return tuple(found)


def tenure(model: Model, artifact_id: str) -> tuple[datetime, datetime | None] | None:
    """Return the artifact's last time as active, from and to (``None``: still active); ``None`` if never."""
    for period in reversed(tenures(model)):
        if period.artifact_id == artifact_id and period.since:
            return period.since, period.until
    return None


def condemned(model: Model) -> frozenset[str]:
    """The artifacts that a rollback left: those that it names, or else the one that was active before."""
    left: set[str] = set()
    active: str | None = None
    for event in chronological(model):
        if not activates(event):
            continue
        if action_of(event) == Action.ROLLBACK:
            said = (event.model_extra or {}).get(LEFT_KEY)
            left.update(name for name in (active, said) if isinstance(name, str) and name != event.artifact_id)
        active = event.artifact_id
    return frozenset(left)


LEFT_KEY = "left_artifact_id"
"""Our own key in a rollback's event: the artifact that it left, which stays true when older events are archived."""


def rollback_candidates(model: Model) -> tuple[Pointer, ...]:
    """The artifacts to which one may roll back, best first: once active, not condemned, latest first."""
    if model.active is None:
        return ()
    out = condemned(model) | {model.active.artifact_id}
    found: dict[str, Pointer] = {}
    for event in reversed(chronological(model)):
        if activates(event) and event.artifact_id and event.artifact_id not in out:
            found.setdefault(event.artifact_id, known_pointer(model, event.artifact_id))
    return tuple(found.values())


def previous_active(model: Model) -> Pointer | None:
    """The latest earlier active artifact that is another one and not condemned: where a rollback goes by default."""
    return next(iter(rollback_candidates(model)), None)


def known_pointer(model: Model, artifact_id: str) -> Pointer:
    """The pointer to which a rollback to an artifact leads: its activation's, else where the convention puts it.

    Events in the runbook's words hold none; then only the folder is known.
    """
    convention = Pointer(artifact_id=artifact_id, artifact_dir=f"{ARTIFACTS_PATH}/{artifact_id}")
    return activation_pointer(model, artifact_id) or convention


def activation_pointer(model: Model, artifact_id: str) -> Pointer | None:
    """The pointer of an artifact's activation; ``None`` where no activation's event holds one.

    ``model`` comes with its archived events. Of several activations, promotions count before rollbacks, then fuller
    pointers, then later ones. A pointer of a staging never counts: anybody may stage.
    """
    found = [
        (action_of(event) != Action.ROLLBACK, len(event.pointer.model_dump(exclude_none=True)), place, event.pointer)
        for place, event in enumerate(chronological(model))
        if activates(event)
        and event.artifact_id == artifact_id
        and event.pointer
        and event.pointer.artifact_id == artifact_id
    ]
    return max(found, key=lambda each: each[:3])[3] if found else None


def recorded_pointer(model: Model, artifact_id: str) -> Pointer | None:
    """The fullest pointer to an artifact in the model's stages and events, of equally full ones the latest."""
    recorded = [pointer for pointer in _pointers(model) if pointer.artifact_id == artifact_id]
    return max(recorded, key=lambda pointer: len(pointer.model_dump(exclude_none=True)), default=None)


def _pointers(model: Model) -> Iterator[Pointer]:
    yield from (pointer for stage in Stage if (pointer := model.pointer(stage)))
    yield from (event.pointer for event in reversed(chronological(model)) if event.pointer)


def rows(model: Model) -> tuple[HistoryRow, ...]:
    """The events for people, newest first."""
    return tuple(_row(event) for event in reversed(chronological(model)))


def _row(event: Event) -> HistoryRow:
    return HistoryRow(
        at=event.at,
        action=action_of(event),
        from_stage=event.from_stage or "",
        to_stage=event.to_stage or "",
        artifact_id=event.artifact_id or "",
        by=event.by or "",
        reason=event.reason or "",
    )


def action_of(event: Event) -> str:
    """Return the event's action, derived from its stages where the engine wrote it without one."""
    if event.action:
        return event.action
    if event.from_stage == event.to_stage:
        return Action.ROLLBACK if event.to_stage == Stage.ACTIVE else Action.WITHDRAW
    return Action.PROMOTE if event.from_stage in _STAGES else Action.STAGE


def standing(model: Model) -> dict[Stage, str | None]:
    """The artifact of each stage by the events alone. Stages without an event are omitted."""
    found: dict[Stage, str | None] = {}
    for event in chronological(model):
        from_stage = event.from_stage if event.from_stage in _STAGES else None
        to_stage = event.to_stage if event.to_stage in _STAGES else None
        if from_stage and from_stage != to_stage:
            found[Stage(from_stage)] = None
        if to_stage:
            found[Stage(to_stage)] = None if action_of(event) == Action.WITHDRAW else event.artifact_id
    return found


def last_moment(model: Model) -> datetime | None:
    """The time of the newest event."""
    return max((event.at for event in model.history if event.at), default=None)
