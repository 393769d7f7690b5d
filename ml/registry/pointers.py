"""Pointers as we write them: complete, in the engine's spelling, and refused where they break its rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ml.artifacts.ids import is_artifact_id
from ml.clock import format_utc
from ml.errors import Refused
from ml.registry.rules import is_digest, pointer_faults
from ml.registry.schema import Pointer
from ml.text import visible


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
