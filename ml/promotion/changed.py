"""What a change is, in the words that the journal and the audit log keep of it."""

from __future__ import annotations

from ml.promotion.values import Target


def of_change(target: Target) -> dict[str, str]:
    """Action, person, model, artifact and stage of a change."""
    return {
        "action": str(target.action),
        "by": target.actor,
        "model": target.model,
        "artifact_id": target.artifact_id,
        "to_stage": str(target.to_stage),
    }
