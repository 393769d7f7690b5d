"""The engine's own strict reader of the registry, independent of the console's code (contract §2).

The deployed engine refuses files that the console must never write. Keeping those rules here, in code that shares
nothing with `ml.registry`, makes every demo and every test check our writing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ml.errors import Invalid
from ml.stage import Stage
from ml.text import visible

_NAME = re.compile(r"[a-z0-9_]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_HISTORY = 50
_TIMES = ("ts_utc", "created_at_utc", "promoted_at_utc")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The artifact that a stage asks the engine to serve. ``model_sha256`` is empty where nothing pins it."""

    artifact_id: str
    artifact_dir: PurePosixPath
    model_sha256: str


def deployment(raw: bytes, model: str, stage: Stage) -> Deployment | None:
    """The artifact that a registry file puts into one stage of a model, or ``None`` when the stage is empty.

    Raises:
        Invalid: the file, or anything in it, is against the engine's rules; nothing of it may be served.
    """
    try:
        document = json.loads(raw)
        models = document["models"]
        entries = {name: dict(entry) for name, entry in models.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _refuse("the file", f"is no registry ({type(error).__name__}: {error})") from error
    if document.get("schema_version") != "v1":
        raise _refuse("schema_version", "is not v1")
    for name, entry in entries.items():
        _check_model(name, entry)
    pointer = entries.get(model, {}).get(stage.value)
    if pointer is None:
        return None
    return Deployment(
        artifact_id=str(pointer["artifact_id"]),
        artifact_dir=PurePosixPath(pointer["artifact_dir"]),
        model_sha256=str(pointer.get("model_sha256") or ""),
    )


def _check_model(name: str, entry: dict[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise _refuse(f"model {name!r}", "has a name outside [a-z0-9_]+")
    for stage in Stage:
        if entry.get(stage.value) is not None:
            _check_pointer(f"{name}.{stage}", entry[stage.value])
    for key in ("git_sha", "dataset_id", "promoted_at_utc"):
        active = entry.get(Stage.ACTIVE.value)
        if active is not None and not active.get(key):
            raise _refuse(f"{name}.active", f"lacks {key}")
    history = entry.get("history", [])
    if not isinstance(history, list) or len(history) > _MAX_HISTORY:
        raise _refuse(f"{name}.history", f"is no list of at most {_MAX_HISTORY} events")
    for index, event in enumerate(history):
        _check_event(f"{name}.history[{index}]", event)


def _check_event(where: str, event: Any) -> None:
    if not isinstance(event, dict):
        raise _refuse(where, "is no object")
    for key in ("ts_utc", "to_stage", "pointer"):
        if event.get(key) is None:
            raise _refuse(where, f"lacks {key}")
    if event["to_stage"] not in set(Stage):
        raise _refuse(where, "names an unknown to_stage")
    _check_times(where, event)
    _check_pointer(f"{where}.pointer", event["pointer"])


def _check_pointer(where: str, pointer: Any) -> None:
    if not isinstance(pointer, dict):
        raise _refuse(where, "is no object")
    for key in ("artifact_id", "artifact_dir"):
        if not isinstance(pointer.get(key), str) or not pointer[key]:
            raise _refuse(where, f"lacks {key}")
    path = PurePosixPath(pointer["artifact_dir"])
    if path.is_absolute() or ".." in path.parts:
        raise _refuse(f"{where}.artifact_dir", "is absolute or climbs out")
    commit = pointer.get("git_sha")
    if commit is not None and not (isinstance(commit, str) and _COMMIT.fullmatch(commit)):
        raise _refuse(f"{where}.git_sha", "is neither null nor 40 lowercase hex digits")
    _check_times(where, pointer)


def _check_times(where: str, holder: dict[str, Any]) -> None:
    for key in _TIMES:
        moment = holder.get(key)
        if moment is not None and not (isinstance(moment, str) and moment.endswith("Z")):
            raise _refuse(f"{where}.{key}", "does not end in Z")


def _refuse(where: str, what: str) -> Invalid:
    return Invalid(
        f"The engine refuses the registry: {visible(where)} {visible(what)}.", "Run `mlconsole check` on the file."
    )
