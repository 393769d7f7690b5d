"""Screens of the views and of each task. A screen's module is imported when the screen is first opened.

The function of a task returns its screen, or a sentence that says why there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from textual.screen import Screen

    from console.protocol import Console


def _stages() -> Screen[None]:
    from console.screens.stages import StagesScreen  # noqa: PLC0415

    return StagesScreen()


def _soak() -> Screen[None]:
    from console.screens.soak import SoakScreen  # noqa: PLC0415

    return SoakScreen()


def _history() -> Screen[None]:
    from console.screens.history import HistoryScreen  # noqa: PLC0415

    return HistoryScreen()


def _log() -> Screen[None]:
    from console.screens.history import LogScreen  # noqa: PLC0415

    return LogScreen()


def _changes() -> Screen[None]:
    from console.screens.changes import ChangesScreen  # noqa: PLC0415

    return ChangesScreen()


VIEWS: Mapping[str, Callable[[], Screen[None]]] = {
    "stages": _stages,
    "soak": _soak,
    "history": _history,
    "log": _log,
    "changes": _changes,
}
"""The views by mode."""

_NO_MODEL = "There is no model yet. Put one into staging: s."


def promotion(console: Console, stage: Stage | None) -> Screen[None] | str:
    """Return the promotion wizard for the stage in focus, or for the next possible step."""
    from console.screens.promote.screen import PromoteScreen  # noqa: PLC0415

    to_stage = stage.above if stage else None
    return PromoteScreen(console.model_name, to_stage) if console.model is not None else _NO_MODEL


def rollback(console: Console) -> Screen[None] | str:
    """Return the rollback screen for the chosen model."""
    from console.screens.rollback import RollbackScreen  # noqa: PLC0415

    return RollbackScreen(console.model_name) if console.model is not None else _NO_MODEL


def staging(console: Console) -> Screen[None]:
    """Return the screen that puts an artifact into staging. It works without any model too."""
    from console.screens.change import StageScreen  # noqa: PLC0415

    near = next(iter(_artifact_directories(console)), "")
    return StageScreen(console.model_name, near)


def withdrawal(console: Console, stage: Stage | None) -> Screen[None] | str:
    """Return the withdrawal screen for the stage in focus, or for the stage that holds an artifact."""
    from console.screens.change import WithdrawScreen  # noqa: PLC0415

    if console.model is None:
        return "There is no model yet, so there is nothing to withdraw."
    filled = [each for each in (Stage.STAGING, Stage.SHADOW) if console.model.stage(each).artifact_id]
    if stage is Stage.ACTIVE:
        return "An active model is rolled back, not withdrawn: r."
    if stage is not None and stage not in filled:
        return f"There is nothing to withdraw: {stage} is empty."
    if stage is None and len(filled) != 1:
        return "Go to staging or shadow first (h, l)." if filled else "Staging and shadow are empty."
    return WithdrawScreen(console.model_name, stage or filled[0])


def comparison(console: Console) -> Screen[None] | str:
    """Return the comparison of the chosen model's newest artifact with the one in the next stage."""
    from console.screens.compare import CompareScreen  # noqa: PLC0415

    directories = _artifact_directories(console)
    if len(directories) < 2:
        return "There is nothing to compare: fewer than two stages hold an artifact."
    return CompareScreen(directories[-2], directories[-1])


def review(console: Console) -> Screen[None] | str:
    """Return the charts of the chosen model's last 24 hours."""
    from console.screens.review import ReviewScreen  # noqa: PLC0415

    return ReviewScreen(console.model_name) if console.model is not None else _NO_MODEL


def change(branch: str) -> Screen[None]:
    """Return the screen of one change."""
    from console.screens.open_change import OpenChangeScreen  # noqa: PLC0415

    return OpenChangeScreen(branch)


def release() -> Screen[None]:
    """Return the screen that releases the kill switch."""
    from console.screens.kill import ReleaseScreen  # noqa: PLC0415

    return ReleaseScreen()


def _artifact_directories(console: Console) -> list[str]:
    """Return the artifact directories of the chosen model, from staging to active."""
    views = [console.model.stage(stage) for stage in Stage] if console.model is not None else []
    return [view.artifact_dir for view in views if view.artifact_dir]
