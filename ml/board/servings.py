"""What an engine says that it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.stage import Stage


@dataclass(frozen=True, slots=True)
class Serving:
    """What one engine instance says that it serves (``grinder_ml_model_info``), and whether it is alive."""

    instance: str
    stage: Stage
    artifact_id: str
    registry_commit: str
    active_on: float | None = None
    up: bool | None = None
