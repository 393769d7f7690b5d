"""The trading engine's loader, written again from contract §2 and from nothing of ours: an oracle for what we write.

It knows JSON and the rules, not `ml.registry`. `complaints` lists every rule that a file breaks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

STAGES = ("staging", "shadow", "active")
TIMES = ("ts_utc", "created_at_utc", "promoted_at_utc")


def complaints(raw: bytes) -> list[str]:
    """Everything for which the engine refuses the file."""
    models = json.loads(raw.decode("utf-8"))["models"]
    return [f"{name}: {what}" for name, model in models.items() for what in _model(name, model)]


def event_complaints(event: dict[str, Any]) -> list[str]:
    """Everything for which the engine refuses one event."""
    return list(_event(event))


def runbook_complaints(event: dict[str, Any]) -> list[str]:
    """What the runbook's commands would miss in one event."""
    words = ("timestamp_utc", "action", "from_stage", "to_stage", "artifact_id", "by", "reason")
    return [f"lacks {word}" for word in words if word not in event]


def _model(name: str, model: dict[str, Any]) -> Iterator[str]:
    if not name or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789_"):
        yield "bad model name"
    if len(model.get("history", [])) > 50:
        yield "more than 50 events"
    for stage in STAGES:
        if model.get(stage) is not None:
            yield from _pointer(model[stage])
    if model.get("active") is not None:
        for key in ("git_sha", "dataset_id", "promoted_at_utc"):
            if model["active"].get(key) is None:
                yield f"active lacks {key}"
    for event in model.get("history", []):
        yield from _event(event)


def _event(event: dict[str, Any]) -> Iterator[str]:
    for key in ("ts_utc", "to_stage", "pointer"):
        if event.get(key) is None:
            yield f"event lacks {key}"
    if event.get("to_stage") not in STAGES:
        yield "to_stage is no stage"
    if "ts_utc" in event and not str(event["ts_utc"]).endswith("Z"):
        yield "time without Z"
    if event.get("pointer") is not None:
        yield from _pointer(event["pointer"])


def _pointer(pointer: dict[str, Any]) -> Iterator[str]:
    sha = pointer.get("git_sha")
    if sha is not None and not re.fullmatch("[0-9a-f]{40}", sha):
        yield "git_sha is no commit"
    for key in TIMES:
        if pointer.get(key) is not None and not str(pointer[key]).endswith("Z"):
            yield "time without Z"
    directory = pointer["artifact_dir"]
    if directory.startswith("/") or ".." in directory.split("/"):
        yield "path leads out"
