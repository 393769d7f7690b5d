"""How what the registry says relates to what engines say that they serve, in words (SPEC §2, Truth)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ml.board import Serving, StageView
from ml.stage import Stage

SERVING = "serving"
MERGED = "merged but not deployed"
DEPLOYED = "deployed but not serving"
OTHER = "serving something else"
_MILDEST_FIRST = (SERVING, MERGED, DEPLOYED, OTHER)

PointerAt = Callable[[str, Stage], str | None]
"""The artifact that the registry of a commit points to in a stage; ``None`` for none, or an unknown commit."""


def describe(pane: StageView, instances: Sequence[Serving], pointer_at: PointerAt, *, killed: bool) -> str:
    """The worst relation of any instance to the pane's pointer; empty when no engine reports.

    ``killed``: an engaged kill switch is why an active engine does not act, so that is not a fault of deployment.
    """
    words = (_one(pane, instance, pointer_at, killed=killed) for instance in instances)
    return max(filter(None, words), key=_MILDEST_FIRST.index, default="")


def _one(pane: StageView, instance: Serving, pointer_at: PointerAt, *, killed: bool) -> str:
    deployed = pointer_at(instance.registry_commit, pane.stage) if instance.registry_commit else pane.artifact_id
    if deployed != pane.artifact_id:
        return MERGED
    if instance.artifact_id != (pane.artifact_id or ""):
        return OTHER if instance.artifact_id else DEPLOYED
    idle = pane.stage is Stage.ACTIVE and instance.active_on == 0 and not killed
    if pane.artifact_id and (instance.up is False or idle):
        return DEPLOYED
    return SERVING if pane.artifact_id else ""
