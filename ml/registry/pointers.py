"""Pointers: the one of an artifact's activation, and the form in which we write them.

A rollback restores the pointer of an activation. Anybody may stage, so a staging's pointer never decides what trades.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from ml.artifacts.ids import is_artifact_id
from ml.clock import format_utc
from ml.errors import Refused
from ml.registry.history import activation_pointer
from ml.registry.paths import plain_directory
from ml.registry.rules import is_digest, pointer_faults
from ml.registry.schema import Model, Pointer
from ml.stage import Stage
from ml.text import visible

__all__ = [
    "activation_pointer",
    "all_pointers",
    "completed",
    "conflict",
    "refuse_faults",
    "refuse_known_otherwise",
    "refuse_unconventional",
    "spelled",
    "without_faults",
]


def all_pointers(model: Model) -> Iterator[Pointer]:
    """Every pointer of a model's stages and events."""
    yield from (pointer for stage in Stage if (pointer := model.pointer(stage)))
    yield from (event.pointer for event in model.history if event.pointer)


def conflict(known: Pointer, new: Pointer) -> str:
    """Why two pointers of one id cannot be the same artifact: one clause, empty where they may be, or ids differ."""
    if known.artifact_id != new.artifact_id:
        return ""
    if known.model_sha256 and new.model_sha256 and known.model_sha256 != new.model_sha256:
        return f"with another digest ({visible(known.model_sha256)[:12]})"
    if plain_directory(known.artifact_dir) != plain_directory(new.artifact_dir):
        return f"in another folder ({visible(known.artifact_dir)})"
    return ""


def refuse_known_otherwise(models: Mapping[str, Model], pointer: Pointer) -> None:
    """Refuse an id that any of the models, with their archived events, knows with another digest or folder.

    Raises:
        Refused: naming the model and what differs; one id stands for one artifact for ever.
    """
    for name, model in models.items():
        for known in all_pointers(model):
            why = conflict(known, pointer)
            if why:
                raise Refused(
                    f"The history of {visible(name)} knows {pointer.artifact_id} {why}.",
                    "Give the artifact a new id; an id is never used for another artifact.",
                )


def spelled(pointer: Pointer) -> dict[str, object]:
    """A pointer as it is written: what is known, times in the one form that the engine takes."""
    values = pointer.model_dump(exclude_none=True)
    return {key: format_utc(value) if isinstance(value, datetime) else value for key, value in values.items()}


def completed(known: Pointer, more: Pointer | None) -> Pointer:
    """A pointer with its gaps, and what the engine would refuse in it, filled from another one to the same artifact."""
    if more is None or more.artifact_id != known.artifact_id:
        return known
    return Pointer.model_validate({**spelled(more), **without_faults(known)})


def without_faults(pointer: Pointer) -> dict[str, object]:
    """A pointer as it is written, without the keys whose values the engine refuses."""
    written = spelled(pointer)
    faulty = {key for key, _ in pointer_faults(written, active=False)}
    return {key: value for key, value in written.items() if key not in faulty}


def refuse_unconventional(pointer: Pointer) -> None:
    """Files in use hold other ids, and may; a new artifact follows the convention."""
    if not is_artifact_id(pointer.artifact_id):
        raise Refused(
            f"{visible(pointer.artifact_id)} is no artifact id.",
            "Name it like regime_v2026_02_16_001, with a real date.",
        )
    if pointer.artifact_dir.rstrip("/").rpartition("/")[2] != pointer.artifact_id:
        raise Refused(
            f"The directory {visible(pointer.artifact_dir)} is not named {pointer.artifact_id}.",
            "Name an artifact's directory by its id.",
        )


def refuse_faults(pointer: Mapping[str, object], *, active: bool) -> None:
    """Refuse a pointer that the engine would refuse, or whose artifact is not pinned by its digest.

    Raises:
        Refused: naming everything that is wrong.
    """
    faults = [reason for _, reason in pointer_faults(pointer, active=active)]
    digest = pointer.get("model_sha256")
    if not is_digest(digest):
        faults.append("model_sha256 is no SHA-256 in 64 lowercase hex digits")
    if faults:
        raise Refused(
            f"The pointer to {visible(str(pointer.get('artifact_id')))} is not fit to be written: {', '.join(faults)}.",
            "Stage the artifact again with a complete pointer.",
        )
