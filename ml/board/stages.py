"""One model on the board: its three stages, what serves there, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.stage import Stage
from ml.verdict import Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from ml.board.problems import Problem
    from ml.board.servings import Serving
    from ml.board.soaks import SoakReport
    from ml.verdict import Gate, Reading


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage of one model: its pointer in the registry against what really serves.

    ``deployment`` says in words how both relate, or is empty where nothing can be known: ``serving``,
    ``merged but not deployed``, ``deployed but not serving``, ``serving something else``.
    """

    stage: Stage
    artifact_id: str | None = None
    model_sha256: str | None = None
    artifact_dir: str | None = None
    since: datetime | None = None
    served_since: datetime | None = None
    """When its artifact was first seen serving here; ``None`` where nobody saw that. ``since`` is when it landed."""
    by: str = ""
    notes: str = ""
    serving: tuple[Serving, ...] = ()
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model on the board. ``hop`` names the promotion that ``gates`` judge, such as ``shadow→active``.

    ``readings`` are those of the stage that is judged: shadow while something soaks there, else active.
    ``active_readings`` are of what is live, whatever soaks. Alerts belong to no stage and are among both.
    """

    name: str
    staging: StageView
    shadow: StageView
    active: StageView
    readings: tuple[Reading, ...] = ()
    active_readings: tuple[Reading, ...] = ()
    hop: str = ""
    gates: tuple[Gate, ...] = ()
    soak: SoakReport | None = None
    condemned: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    silent: str = ""
    """Why the source of the readings does not answer; empty while it does. Then nothing of them is proven."""

    @property
    def breaching(self) -> tuple[Reading, ...]:
        """The objectives that what is live does not meet now."""
        return tuple(each for each in self.active_readings if each.verdict is Verdict.FAIL and each.limit is not None)

    def stage(self, stage: Stage) -> StageView:
        """The pane of one stage."""
        return {Stage.STAGING: self.staging, Stage.SHADOW: self.shadow, Stage.ACTIVE: self.active}[stage]
