"""What a change is called: its branch, its title, the time in names, and the trailers of its commit. Pure."""

from __future__ import annotations

from datetime import datetime

from ml.clock import format_utc
from ml.promotion.values import Ack, Target
from ml.stage import Action


def stamp(moment: datetime) -> str:
    """A time as it stands in the names of branches and folders: ``20260216T100000Z``."""
    return format_utc(moment).replace("-", "").replace(":", "")


def title_of(target: Target) -> str:
    """The commit's first line, and the pull request's title."""
    artifact, model = target.artifact_id, target.model
    return {
        Action.STAGE: f"Stage {artifact} ({model})",
        Action.PROMOTE: f"Promote {artifact} to {target.to_stage} ({model})",
        Action.ROLLBACK: f"Roll back to {artifact} ({model})",
        Action.WITHDRAW: f"Withdraw {artifact} from {target.to_stage} ({model})",
    }[target.action]


def branch_of(target: Target, at: datetime) -> str:
    """The branch of a change, unlike that of any other (SPEC §5)."""
    way = "from" if target.action is Action.WITHDRAW else "to"
    return f"{target.action}/{target.model}/{target.artifact_id}-{way}-{target.to_stage}-{stamp(at)}"


def trailers_of(target: Target, evidence_sha256: str, ack: Ack | None) -> str:
    """The last paragraph of the commit message, by which scripts know a change."""
    known = {
        "Model": target.model,
        "Artifact": target.artifact_id,
        "From-Stage": str(target.from_stage or ""),
        "To-Stage": str(target.to_stage),
        "Evidence-SHA256": evidence_sha256,
        "Ack": ack.phrase if ack else "",
        "Ack-By": ack.by if ack else "",
    }
    return "".join(f"{key}: {value}\n" for key, value in known.items() if value)
