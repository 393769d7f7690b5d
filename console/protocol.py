"""Protocol of the application, as screens and the command palette see it.

The application imports its screens. Screens import only this protocol, so no import leads back to the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from console.polling import Jobs
    from ml.board import Board, HistoryRow, KillView, ModelView, Problem, SoakReport
    from ml.clock import Clock
    from ml.promotion.rungs import Ladder
    from ml.records.drafts import Drafts
    from ml.session import Session
    from ml.stage import Stage


class Console(Protocol):
    """The session, the latest results of its polls, and the choice that the views share.

    The results are reactives of the application. A screen follows one with ``self.watch(self.app, NAME, …)``.
    """

    read_only: bool
    """True when this session offers no change."""
    jobs: Jobs
    """Runs blocking actions off the event loop."""

    @property
    def session(self) -> Session:
        """The session. Its methods block, so only threads call them."""
        ...

    @property
    def clock(self) -> Clock:
        """The time of every age on screen."""
        ...

    @property
    def drafts(self) -> Drafts | None:
        """The store of the wizard's drafts; ``None`` keeps nothing."""
        ...

    @property
    def board(self) -> Board | None:
        """The last poll of the board; ``None`` before the first."""
        ...

    @property
    def checking(self) -> bool:
        """True until something was judged: only names are known."""
        ...

    @property
    def models(self) -> tuple[ModelView, ...]:
        """All models, as judged now."""
        ...

    @property
    def model(self) -> ModelView | None:
        """The chosen model."""
        ...

    @property
    def model_name(self) -> str:
        """Name of the chosen model; empty when there is none."""
        ...

    @property
    def kill(self) -> KillView | None:
        """The kill switch and its receipts; ``None`` until the first answer."""
        ...

    @property
    def soak(self) -> SoakReport | None:
        """The chosen model's soak; ``None`` until it was read."""
        ...

    @property
    def history(self) -> tuple[HistoryRow, ...] | None:
        """The chosen model's events; ``None`` until they were read."""
        ...

    @property
    def changes(self) -> tuple[Ladder, ...] | None:
        """The open changes, and those of the last day that are done; ``None`` until they were looked at."""
        ...

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems that need a person."""
        ...

    @property
    def now(self) -> datetime | None:
        """The time, once a second."""
        ...

    def offers(self, action: str) -> bool:
        """Return True when this session offers an action."""
        ...

    def select(self, name: str) -> None:
        """Choose a model."""
        ...

    def open_change(self, branch: str) -> None:
        """Open one change on top of what is shown."""
        ...

    async def go_to(self, model: str, stage: Stage) -> None:
        """Show one stage of a model."""
        ...
