"""The kill switch as it is shown: what is asked for, what the file says, and what the engines prove."""

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
class Delivery:
    """One actuator's part in a request: the file, a command on one host, an HTTP call; ``why`` tells a failure."""

    name: str
    done: bool
    why: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class KillView:
    """The kill switch: its state, what was asked for, by whom, and what each instance proves.

    ``engaged`` is the state of the switch: ``True`` where the kill file says on, or where engines prove that they are
    blocked whatever the file says (``by_engines``); ``False`` where the file says off and no engine contradicts it;
    ``None`` where nobody can tell. ``unclear``: the file says neither exactly 1 nor exactly 0, so engines may read it
    differently. ``manual`` are the steps that a person takes by hand when the switch could not be confirmed. ``asked``
    is whether the request in force asks for a kill (or for a release); ``None`` where there is none.

    ``instances`` names at most some hundred engines, the unproven ones first; ``total`` and ``confirmed`` count all of
    them (0 and 0: count ``instances``). ``beside`` tells what disagrees with the state: a file, a part of the engines.
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
    by_engines: bool = False
    unclear: bool = False
    total: int = 0
    confirmed: int = 0
    beside: str = ""
    deliveries: tuple[Delivery, ...] = ()

    @property
    def file_says(self) -> bool | None:
        """What this clone's kill file says; ``None`` where it cannot be read or is unclear."""
        return False if self.by_engines else self.engaged

    @property
    def written(self) -> bool:
        """The kill file says what is asked for."""
        return self.file_says is not None and self.file_says != self.releases

    @property
    def unwritten(self) -> bool:
        """A kill was asked for, and the kill file does not say so."""
        return self.asked is True and self.file_says is False

    @property
    def releases(self) -> bool:
        """What is shown is a release."""
        return self.engaged is False if self.asked is None else not self.asked

    @property
    def releasing(self) -> bool:
        """A release was asked for and the engines have not proven it yet: nobody may say that models act again."""
        return self.asked is False and self.rung not in (Rung.IDLE, Rung.CONFIRMED)

    @property
    def off(self) -> bool:
        """Models may act: the file says so, no engine contradicts it, and no release waits for its proof."""
        return self.engaged is False and not self.releasing and not self.unwritten

    @property
    def engines(self) -> int:
        """How many engines are judged."""
        return self.total or len(self.instances)

    @property
    def proven(self) -> int:
        """How many engines proved what was asked for."""
        return self.confirmed if self.total else sum(each.rung is Rung.CONFIRMED for each in self.instances)
