"""What the operator sees, as frozen values: one `Board` per poll, and the longer reports behind it.

Equal boards compare equal, so an interface that keeps the last one repaints nothing when nothing changed.
Ages are never stored: a value carries its moment, and whoever shows it subtracts.

A frozen dataclass takes a millisecond to define, and the first frame needs few of them, so each module of this
package is loaded when one of its names is first asked for (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml.board.kill import InstanceReceipt, KillView, Rung
    from ml.board.polls import Board, WatchView
    from ml.board.registry import Glance, HistoryRow, OpenBranch, RegistryView
    from ml.board.soaks import Cell, SoakReport, Tape
    from ml.board.sources import Source, SourceState
    from ml.board.stages import ModelView, Problem, Serving, StageView

_MODULES = {
    "kill": ("Rung", "InstanceReceipt", "KillView"),
    "polls": ("WatchView", "Board"),
    "registry": ("OpenBranch", "RegistryView", "HistoryRow", "Glance"),
    "soaks": ("Cell", "Tape", "SoakReport"),
    "sources": ("SourceState", "Source"),
    "stages": ("Serving", "StageView", "Problem", "ModelView"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Board",
    "Cell",
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
