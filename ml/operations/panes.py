"""From registry values to the panes of the board; pure."""

from __future__ import annotations

from ml.board import OpenBranch, Serving, SoakReport, StageView
from ml.promotion.repository import BranchInfo
from ml.registry.history import chronological
from ml.registry.schema import Model, Pointer
from ml.stage import Stage
from ml.verdict import Gate, Verdict


def open_branch(branch: BranchInfo) -> OpenBranch:
    """A change branch as its commit's trailers tell it."""
    commit = branch.commit
    return OpenBranch(
        name=branch.name,
        commit=commit.sha,
        action=branch.name.partition("/")[0],
        model=commit.trailer("Model"),
        artifact_id=commit.trailer("Artifact"),
        to_stage=commit.trailer("To-Stage"),
        by=commit.author.email,
        at=commit.at,
        pushed=branch.pushed,
    )


def filled(model: Model, stage: Stage, pointer: Pointer, instances: tuple[Serving, ...]) -> StageView:
    """The pane of a stage that holds a pointer; since when and by whom are told by the event that brought it."""
    arrivals = [
        event for event in chronological(model) if event.to_stage == stage and event.artifact_id == pointer.artifact_id
    ]
    arrival = arrivals[-1] if arrivals else None
    return StageView(
        stage,
        artifact_id=pointer.artifact_id,
        model_sha256=pointer.model_sha256,
        artifact_dir=pointer.artifact_dir,
        since=(arrival.at if arrival else None) or pointer.promoted_at_utc or pointer.created_at_utc,
        by=(arrival.by if arrival else None) or pointer.actor or "",
        notes=pointer.notes or "",
        serving=instances,
    )


def hop(model: Model) -> str:
    """The promotion that comes next; empty when there is none."""
    if model.shadow is not None:
        return "shadow→active"
    return "staging→shadow" if model.staging is not None else ""


def gates(model: Model, report: SoakReport | None) -> tuple[Gate, ...]:
    """The gates of the next promotion as far as the board knows them; the wizard judges them all."""
    if model.shadow is None:
        return ()
    if report is None:
        return (Gate(name="soak", verdict=Verdict.WAIT, why="The soak is being judged."),)
    return report.gates
