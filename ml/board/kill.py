"""The kill switch as it is shown: what is asked for, and what each instance proves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.board.rungs import Rung

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class InstanceReceipt:
    """How far one engine instance has provably obeyed, since when, and by which observation."""

    instance: str
    rung: Rung
    at: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class KillView:
    """The kill switch: what is asked for, by whom, and what each instance proves.

    ``engaged`` is what the kill file says, ``None`` when it cannot be read. ``manual`` are the steps that a
    person takes by hand when the switch could not be confirmed. ``asked`` is whether the request in force asks for a
    kill (or for a release); ``None`` where there is none.
    """

    engaged: bool | None
    rung: Rung = Rung.IDLE
    requested_at: datetime | None = None
    by: str = ""
    reason: str = ""
    instances: tuple[InstanceReceipt, ...] = ()
    manual: tuple[str, ...] = ()
    problem: str = ""
    asked: bool | None = None

    @property
    def written(self) -> bool:
        """The kill file says what is asked for."""
        return self.engaged is not None and self.engaged != self.releases

    @property
    def unwritten(self) -> bool:
        """A kill was asked for, and the kill file does not say so."""
        return self.asked is True and self.engaged is False

    @property
    def releases(self) -> bool:
        """What is shown is a release."""
        return self.engaged is False if self.asked is None else not self.asked
