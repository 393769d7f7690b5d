"""The history doctor: lists every fault and oddity of a registry that can be read (contract §2).

What does not open at all is named by `ml.registry.codec`. Nothing here changes anything; `repair_diff` only shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from ml.registry.codec import Document
from ml.registry.events import with_archive
from ml.registry.repair import repair_diff
from ml.registry.schema import Model
from ml.registry.symptoms import Finding, event_symptoms, model_symptoms, origins, pointer_symptoms, unknown_keys
from ml.stage import Stage

__all__ = ["Finding", "examine", "repair_diff"]


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
