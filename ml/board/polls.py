"""Everything of one poll."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ml.board.kill import KillView
    from ml.board.problems import Problem
    from ml.board.registry import RegistryView
    from ml.board.sources import Source
    from ml.board.stages import ModelView


@dataclass(frozen=True, slots=True)
class WatchView:
    """The hour of watching over a model that has just become active; ``breaching`` says what breaches now."""

    model: str
    artifact_id: str
    keeper: str
    began_at: datetime
    ends_at: datetime
    breaching: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Everything of one poll. ``operator`` is the git identity that changes would be made under."""

    as_of: datetime
    environment: str
    production: bool
    read_only: bool
    operator: str
    registry: RegistryView
    prometheus: Source
    kill: KillView
    models: tuple[ModelView, ...] = ()
    watches: tuple[WatchView, ...] = ()
    problems: tuple[Problem, ...] = ()

    def model(self, name: str) -> ModelView | None:
        """The model of that name, if the registry has it."""
        return next((model for model in self.models if model.name == name), None)
