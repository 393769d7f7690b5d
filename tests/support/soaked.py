"""What a soak's evidence is about: the promotion of its artifact to active."""

from __future__ import annotations

from datetime import datetime

from ml.promotion.values import Target
from ml.slo.soak import SoakSubject
from ml.stage import Action, Stage


def target_of(subject: SoakSubject, opened_at: datetime) -> Target:
    """The frozen target of a step to active."""
    return Target(
        action=Action.PROMOTE,
        model=subject.model,
        from_stage=Stage.SHADOW,
        to_stage=Stage.ACTIVE,
        artifact_id=subject.artifact_id,
        artifact_dir=f"artifacts/onnx/{subject.artifact_id}",
        model_sha256=subject.model_sha256,
        base_commit="c" * 40,
        registry_blob="b" * 40,
        opened_at=opened_at,
        actor="operator@example.com",
    )
