"""What the operator sees, as frozen values: one `Board` per poll, and the longer reports behind it.

Equal boards compare equal, so an interface that keeps the last one repaints nothing when nothing changed.
Ages are never stored: a value carries its moment, and whoever shows it subtracts.

Each module of this package is loaded when one of its names is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.on_demand import on_demand

if TYPE_CHECKING:
    from ml.board.glances import Glance
    from ml.board.kill import Delivery, InstanceReceipt, KillView
    from ml.board.polls import Board, WatchView
    from ml.board.problems import Problem
    from ml.board.registry import HistoryRow, OpenBranch, RegistryView
    from ml.board.rungs import Rung
    from ml.board.servings import Serving
    from ml.board.soaks import Cell, SoakReport, Tape
    from ml.board.sources import Source, SourceState
    from ml.board.stages import ModelView, StageView

_MODULES = {
    "glances": ("Glance",),
    "kill": ("Delivery", "InstanceReceipt", "KillView"),
    "polls": ("WatchView", "Board"),
    "registry": ("OpenBranch", "RegistryView", "HistoryRow"),
    "rungs": ("Rung",),
    "soaks": ("Cell", "Tape", "SoakReport"),
    "sources": ("SourceState", "Source"),
    "stages": ("StageView", "ModelView"),
    "problems": ("Problem",),
    "servings": ("Serving",),
}
__all__ = [
    "Board",
    "Cell",
    "Delivery",
    "Glance",
    "HistoryRow",
    "InstanceReceipt",
    "KillView",
    "ModelView",
    "OpenBranch",
    "Problem",
    "RegistryView",
    "Rung",
    "Serving",
    "SoakReport",
    "Source",
    "SourceState",
    "StageView",
    "Tape",
    "WatchView",
]

__getattr__ = on_demand(__name__, {name: module for module, names in _MODULES.items() for name in names})
