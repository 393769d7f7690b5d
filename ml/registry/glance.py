"""The registry for the first frame: names and artifacts, in milliseconds, not judged (contract §13).

Standard library only, so that nothing heavy is imported before the operator sees something; `ml.registry.codec`
judges the same bytes a moment later.
"""

from __future__ import annotations

import json

GlancedModel = tuple[str, tuple[str | None, str | None, str | None]]

_STAGES = ("staging", "shadow", "active")


def glance_models(raw: bytes) -> tuple[tuple[GlancedModel, ...], str]:
    """Each model with the artifacts in staging, shadow and active, and a sentence where there is nothing to show.

    Never raises for what the bytes hold.
    """
    try:
        models = json.loads(raw)["models"]
        return tuple((name, _artifacts(model)) for name, model in models.items()), ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return (), "The registry cannot be read; its problem is being located."


def _artifacts(model: dict[str, dict[str, str] | None]) -> tuple[str | None, str | None, str | None]:
    staging, shadow, active = ((model.get(stage) or {}).get("artifact_id") for stage in _STAGES)
    return staging, shadow, active
