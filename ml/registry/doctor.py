"""The history doctor: lists every fault and oddity of a registry that can be read (contract §2).

What does not open at all is named by `ml.registry.codec`. Nothing here changes anything; `repair_diff` only shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, pairwise
from types import MappingProxyType
from typing import Any

from ml.artifacts.ids import is_artifact_id
from ml.clock import format_utc
from ml.registry.codec import Document
from ml.registry.events import conflict, with_archive
from ml.registry.history import action_of, activates, chronological, chronological_indexes, condemned, standing
from ml.registry.repair import repair_diff
from ml.registry.schema import (
    ALIASES,
    ARTIFACTS_PATH,
    MAX_HISTORY,
    TIME_KEYS,
    Event,
    Model,
    Pointer,
    is_digest,
    pointer_faults,
)
from ml.stage import Action, Stage
from ml.text import visible

# Single observations: on a model, on a pointer, on an event. Each yields findings.

# The history doctor's finding about one place.


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd.

    ``code`` is stable, ``path`` the field, ``model`` the model's name (empty: the file as a whole). ``severe``:
    the engine refuses the file for it, or a rollback would go to the wrong place.
    """

    code: str
    model: str
    path: str
    severe: bool
    what: str
    remedy: str


ENGINE_NEEDS = ("ts_utc", "to_stage", "pointer")
RUNBOOK_READS = ("timestamp_utc", "action", "artifact_id", "by")

_STAGES, _ACTIONS = frozenset(Stage), frozenset(Action)
_BY_HAND = "Correct it by hand in a commit of its own."
_REPAIR = "Apply the repair that check prints."
_MOVES = {
    (None, Stage.STAGING),
    (Stage.STAGING, Stage.SHADOW),
    (Stage.SHADOW, Stage.ACTIVE),
    *((stage, stage) for stage in Stage),
}


def unknown_keys(model: str, path: str, extra: Mapping[str, object]) -> Iterator[Finding]:
    """List unknown keys. They are kept, and may be a misspelling."""
    for key in extra:
        at = f"{path}.{visible(key, limit=80)}".removeprefix(".")
        what = f"The key {visible(key, limit=80)} is unknown; it is kept as it is."
        yield Finding("unknown-key", model, at, False, what, "Nothing, unless it is a misspelling.")


def model_symptoms(name: str, model: Model, value: Mapping[str, Any]) -> Iterator[Finding]:
    """List the faults of a model as a whole: missing keys, history length and order, stages against events."""
    path = f"models.{name}"
    for key in (*Stage, "history"):
        if key not in value:
            yield Finding("key-missing", name, f"{path}.{key}", False, f"The key {key} is missing.", _REPAIR)
    yield from _length_and_order(name, model)
    yield from _stages(name, model)


def origins(name: str, whole: Model) -> Iterator[Finding]:
    """Artifacts that did not come into a stage as the rules ask; ``whole`` is the model with its archived events."""
    yield from _revived(name, whole)
    yield from _foreign_rollbacks(name, whole)
    yield from _ids_used_twice(name, whole)


def _revived(name: str, whole: Model) -> Iterator[Finding]:
    """List artifacts that are active although a rollback left them. Only a waiver may promote one again."""
    active = whole.active.artifact_id if whole.active else ""
    if active not in condemned(whole):
        return
    came = next((event for event in reversed(chronological(whole)) if _activates(event, active)), None)
    said = (came.model_extra or {}).get("waivers") if came and action_of(came) != Action.ROLLBACK else None
    waived = isinstance(said, list) and any(isinstance(one, dict) and one.get("gate") == "condemned" for one in said)
    what = f"{active} is active although a rollback left it before"
    path = f"models.{name}.active"
    if waived:
        remedy = "Make sure that this is intended."
        yield Finding("active-condemned", name, path, False, f"{what}; a waiver let it.", remedy)
    else:
        remedy = "Roll back to another artifact, or find out who brought it back."
        yield Finding("active-condemned", name, path, True, f"{what}, and no waiver brought it back.", remedy)


def _foreign_rollbacks(name: str, whole: Model) -> Iterator[Finding]:
    """Rollbacks to other bytes or another folder than any activation of that artifact had."""
    events = chronological(whole)
    for place, event in enumerate(events):
        artifact = event.artifact_id or ""
        if event.pointer is None or not _activates(event, artifact) or action_of(event) != Action.ROLLBACK:
            continue
        earlier = [each for each in events[:place] if _activates(each, artifact)]
        known = [each.pointer for each in earlier if each.pointer and each.pointer.artifact_id == artifact]
        whys = [conflict(each, event.pointer) for each in known]
        why = whys[0] if whys and all(whys) else ""
        if why or not earlier:
            when = format_utc(event.at) if event.at else "of an unknown time"
            cause = f"an activation before it knows it {why}" if why else "no activation of it stands before"
            what = f"The rollback {when} made {artifact} active, and {cause}."
            remedy = "Compare the bytes in production; roll back to another artifact if they are not the ones you know."
            yield Finding("rollback-of-other-origin", name, f"models.{name}.history", bool(why), what, remedy)


def _ids_used_twice(name: str, whole: Model) -> Iterator[Finding]:
    """Ids under which the history knows two digests or two folders."""
    first: dict[str, Pointer] = {}
    reported: set[str] = set()
    pointers = (event.pointer for event in chronological(whole) if event.pointer)
    standing = (pointer for stage in Stage if (pointer := whole.pointer(stage)))
    for pointer in (*pointers, *standing):
        why = conflict(first.setdefault(pointer.artifact_id, pointer), pointer)
        if why and pointer.artifact_id not in reported:
            reported.add(pointer.artifact_id)
            what = f"{pointer.artifact_id} stands for two artifacts: the history also knows it {why}."
            remedy = (
                "A rollback goes to the one that was active; see which of them is served. Stage under new ids only."
            )
            yield Finding("id-used-twice", name, f"models.{name}.history", True, what, remedy)


def _activates(event: Event, artifact_id: str) -> bool:
    return activates(event) and event.artifact_id == artifact_id


def _length_and_order(name: str, model: Model) -> Iterator[Finding]:
    path = f"models.{name}.history"
    if len(model.history) > MAX_HISTORY:
        what = f"The history has {len(model.history)} events, and the engine takes {MAX_HISTORY}."
        yield Finding("history-too-long", name, path, True, what, "The next change moves the oldest into the archive.")
    order = chronological_indexes(model)
    if order not in (tuple(range(len(order))), tuple(reversed(range(len(order))))):
        times = [event.at for event in model.history if event.at]
        if any(earlier < later for earlier, later in pairwise(times)):
            what = "The history is not in the order of its times."
            yield Finding("history-out-of-order", name, path, False, what, _REPAIR)
    if not model.history and (model.shadow or model.active):
        what = "The history is empty although shadow or active is set."
        yield Finding("history-empty", name, path, False, what, "Nothing; a rollback has no target yet.")


def _stages(name: str, model: Model) -> Iterator[Finding]:
    """Pointers against each other and against the events."""
    there = {stage: pointer.artifact_id if (pointer := model.pointer(stage)) else None for stage in Stage}
    for lower, upper in combinations(Stage, 2):
        if there[lower] and there[lower] == there[upper]:
            what = f"{there[lower]} is in {lower} and in {upper}."
            path, remedy = f"models.{name}.{lower}", f"Withdraw it from {lower}."
            yield Finding("artifact-in-two-stages", name, path, False, what, remedy)
    for stage, told in standing(model).items():
        if told != there[stage]:
            what = f"{stage} holds {there[stage] or 'nothing'}, but the events say {visible(told or 'nothing')}."
            remedy = "Find the commit that changed the pointer without an event."
            path, severe = f"models.{name}.{stage}", stage is Stage.ACTIVE
            yield Finding("pointer-without-event", name, path, severe, what, remedy)


def pointer_symptoms(
    name: str, path: str, pointer: Pointer, words: Mapping[str, Any], *, stage: Stage | None, now: datetime | None
) -> Iterator[Finding]:
    """List the faults of a pointer in a stage or an event (``stage`` is ``None``); ``words`` as in the file."""
    artifact, directory = pointer.artifact_id, pointer.artifact_dir.rstrip("/").removeprefix("./")
    if not is_artifact_id(artifact):
        what = f"The id {artifact} is outside the convention name_vYYYY_MM_DD_NNN."
        yield Finding("id-outside-convention", name, f"{path}.artifact_id", False, what, "Nothing; new ones follow it.")
    if directory.rpartition("/")[0] != ARTIFACTS_PATH:
        what = f"The artifact lies in {visible(directory, limit=120)}, outside {ARTIFACTS_PATH}."
        yield Finding("artifact-elsewhere", name, f"{path}.artifact_dir", False, what, "Nothing, if it verifies.")
    if directory.rpartition("/")[2] != artifact:
        what = f"The directory {visible(directory, limit=120)} is not named {artifact}."
        yield Finding("directory-other-name", name, f"{path}.artifact_dir", False, what, "Nothing, if it verifies.")
    digest = pointer.model_sha256
    if digest is None and stage:
        what = "The pointer has no model_sha256, so the artifact is not pinned."
        yield Finding("digest-missing", name, f"{path}.model_sha256", False, what, "Stage the artifact anew.")
    if digest is not None and not is_digest(digest):
        what = "model_sha256 is no SHA-256 in 64 lowercase hex digits."
        yield Finding("digest-malformed", name, f"{path}.model_sha256", True, what, _BY_HAND)
    for key, reason in pointer_faults(words, active=stage is Stage.ACTIVE):
        yield Finding(
            "engine-refuses", name, f"{path}.{key}", True, f"The engine refuses the file: {reason}.", _BY_HAND
        )
    yield from unknown_keys(name, path, pointer.model_extra or {})
    for key in TIME_KEYS:
        yield from _future(name, f"{path}.{key}", getattr(pointer, key), now)


def event_symptoms(
    name: str, path: str, event: Event, words: Mapping[str, Any], now: datetime | None
) -> Iterator[Finding]:
    """List the faults of an event; ``words`` is the event as it stands in the file."""
    missing = [key for key in ENGINE_NEEDS if words.get(key) is None]
    if missing:
        what = f"The engine refuses the file: the event lacks {', '.join(missing)}."
        yield Finding("event-lacks-engine-words", name, path, True, what, _REPAIR)
    missing = [key for key in RUNBOOK_READS if words.get(key) is None]
    if missing:
        what = f"The event lacks {', '.join(missing)}, which the runbook reads."
        yield Finding("event-lacks-runbook-words", name, path, False, what, _REPAIR)
    yield from _disagreements(name, path, words)
    yield from _move(name, path, event)
    for key in ("timestamp_utc", "ts_utc"):
        if words.get(key) and not words[key].endswith("Z"):
            what = f"The engine refuses the file: {key} does not end in Z."
            yield Finding("time-not-utc", name, f"{path}.{key}", True, what, _REPAIR)
    yield from _future(name, path, event.at, now)


def _disagreements(name: str, path: str, words: Mapping[str, Any]) -> Iterator[Finding]:
    """Both vocabularies are there and say different things; `reason` and `notes` may."""
    pointer = words.get("pointer") or {}
    for keys in _TWICE_SAID:
        first = None
        for key in keys:
            value = pointer.get(key.partition(".")[2]) if "." in key else words.get(key)
            first = value if first is None else first
            if value is not None and value != first:
                what = f"{' and '.join(keys)} say different things."
                yield Finding("vocabularies-disagree", name, path, True, what, _BY_HAND)
                break


_TWICE_SAID = tuple(ALIASES[word] for word in ("at", "by", "artifact_id"))


def _move(name: str, path: str, event: Event) -> Iterator[Finding]:
    if event.to_stage not in _STAGES:
        if event.to_stage is not None:
            what = f"to_stage is {visible(event.to_stage, limit=40)}, which is no stage."
            yield Finding("no-such-stage", name, f"{path}.to_stage", True, what, _BY_HAND)
        return
    wrong_word = event.action is not None and event.action not in _ACTIONS
    if (event.from_stage, event.to_stage) not in _MOVES or wrong_word:
        said = f"{visible(event.action or 'it', limit=40)} moved {visible(event.from_stage or 'nothing', limit=40)}"
        what = f"{said} → {event.to_stage}, which is no legal change."
        yield Finding("unusual-move", name, path, False, what, "Nothing; it is history.")


def _future(name: str, path: str, moment: datetime | None, now: datetime | None) -> Iterator[Finding]:
    if moment and now and moment > now:
        what = f"The time {format_utc(moment)} lies in the future."
        yield Finding("time-in-future", name, path, True, what, "Compare the clocks, then correct it by hand.")


__all__ = ["Finding", "examine", "repair_diff", "repairable"]


_MENDED = frozenset(
    {
        "key-missing",
        "history-out-of-order",
        "event-lacks-engine-words",
        "event-lacks-runbook-words",
        "time-not-utc",
        "engine-refuses",
    }
)
"""Codes of findings that a repair may mend; a model without any of them has nothing to repair."""


def repairable(findings: Iterable[Finding]) -> frozenset[str]:
    """The models that `repair_diff` may change, from the findings about them."""
    return frozenset(finding.model for finding in findings if finding.code in _MENDED)


def examine(
    doc: Document, now: datetime | None = None, archives: Mapping[str, bytes] = MappingProxyType({})
) -> tuple[Finding, ...]:
    """Everything that is wrong or odd, model by model in the order of the file.

    With ``now`` (aware), times that lie in the future are named too; with ``archives`` (by model), what they condemned.
    """
    return (
        *unknown_keys("", "", doc.registry.model_extra or {}),
        *(
            finding
            for name, model in doc.registry.models.items()
            for finding in (
                *_model(name, model, json.loads(doc.model_text(name)), now),
                *origins(name, with_archive(model, archives[name]) if name in archives else model),
            )
        ),
    )


def _model(name: str, model: Model, value: Mapping[str, Any], now: datetime | None) -> Iterator[Finding]:
    """All findings of one model; ``value`` is what the file says, in its own words."""
    path = f"models.{name}"
    yield from unknown_keys(name, path, model.model_extra or {})
    yield from model_symptoms(name, model, value)
    for stage in Stage:
        pointer = model.pointer(stage)
        if pointer:
            yield from pointer_symptoms(name, f"{path}.{stage}", pointer, value[stage], stage=stage, now=now)
    for place, (event, words) in enumerate(zip(model.history, value.get("history", ()), strict=True)):
        at = f"{path}.history[{place}]"
        yield from event_symptoms(name, at, event, words, now)
        if event.pointer:
            yield from pointer_symptoms(name, f"{at}.pointer", event.pointer, words["pointer"], stage=None, now=now)
