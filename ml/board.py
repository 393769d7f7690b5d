"""Values for the interface, all frozen: one `Board` per poll, and the longer reports behind it.

Equal boards compare equal, so an interface that keeps the last one repaints nothing when nothing changed. Ages are
never stored: a value carries its moment, and the interface computes the age.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ml.stage import Stage
from ml.verdict import Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from ml.verdict import Gate, Reading


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


# Rungs of the receipt ladder.


class Rung(StrEnum):
    """The proof of a kill or a release so far (contract §7).

    UNCONFIRMED: the deadline passed without proof. UNPROVEN: an engine was seen in the last day and is silent now, so
    that nothing can be read from it, neither that it obeys nor that it does not.
    """

    IDLE = "IDLE"
    REQUESTED = "REQUESTED"
    WRITTEN = "WRITTEN"
    APPLIED = "APPLIED"
    CONFIRMED = "CONFIRMED"
    UNCONFIRMED = "UNCONFIRMED"
    UNPROVEN = "UNPROVEN"


# The kill switch: the request, the kill file's state, and the engines' proof.


@dataclass(frozen=True, slots=True)
class InstanceReceipt:
    """One engine instance's proof of the kill or release: its rung, since when, and by which observation."""

    instance: str
    rung: Rung
    at: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One actuator's part in a request: the file, a command on one host, an HTTP call; ``why`` explains a failure."""

    name: str
    done: bool
    why: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class KillView:
    """The kill switch: its state, the request and its author, and each instance's proof.

    ``engaged`` is the state of the switch: ``True`` where the kill file says on, or where engines prove that they are
    blocked whatever the file says (``by_engines``); ``False`` where the file says off and no engine contradicts it;
    ``None`` when it is unknown. ``unclear``: the file says neither exactly 1 nor exactly 0, so engines may read it
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
        """The switch in this clone's kill file; ``None`` where the file cannot be read or is unclear."""
        return False if self.by_engines else self.engaged

    @property
    def written(self) -> bool:
        """True if the kill file contains the request."""
        return self.file_says is not None and self.file_says != self.releases

    @property
    def unwritten(self) -> bool:
        """A kill was asked for, and the kill file does not say so."""
        return self.asked is True and self.file_says is False

    @property
    def releases(self) -> bool:
        """True for a release."""
        return self.engaged is False if self.asked is None else not self.asked

    @property
    def releasing(self) -> bool:
        """True while a release waits for the engines' proof. No screen may say yet that models act again."""
        return self.asked is False and self.rung not in (Rung.IDLE, Rung.CONFIRMED)

    @property
    def off(self) -> bool:
        """Models may act: the file says so, no engine contradicts it, and no release waits for its proof."""
        return self.engaged is False and not self.releasing and not self.unwritten

    @property
    def engines(self) -> int:
        """The number of engine instances that are judged."""
        return self.total or len(self.instances)

    @property
    def proven(self) -> int:
        """The number of engines that proved the request."""
        return self.confirmed if self.total else sum(each.rung is Rung.CONFIRMED for each in self.instances)


# The registry in the first frame.


@dataclass(frozen=True, slots=True)
class Glance:
    """The first frame: artifacts by stage, read in milliseconds and not judged yet."""

    ref: str
    commit: str
    models: tuple[tuple[str, tuple[str | None, str | None, str | None]], ...]
    problem: str = ""


# Problems that need a person.


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that needs a person: where, what, and what to do. ``severe`` ones are shown first."""

    where: str
    what: str
    remedy: str = ""
    severe: bool = True


# The registry: its commit, open branches, and history.


@dataclass(frozen=True, slots=True)
class OpenBranch:
    """A change branch that has not landed. ``pushed`` is false where the remote does not have it."""

    name: str
    commit: str
    action: str
    model: str
    artifact_id: str
    to_stage: str
    by: str
    at: datetime
    pushed: bool


@dataclass(frozen=True, slots=True)
class RegistryView:
    """The registry's place: the ref that was read, its commit, and the last fetch of the remote."""

    ref: str
    commit: str
    path: str
    fetched: Source
    branches: tuple[OpenBranch, ...] = ()
    problem: str = ""
    """The reason for showing the registry read-only, with line, column and field path; empty when it is sound."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One event of a model's history in the runbook's words, newest first when listed."""

    at: datetime | None
    action: str
    from_stage: str
    to_stage: str
    artifact_id: str
    by: str
    reason: str


# The engines' own report of their artifacts.


@dataclass(frozen=True, slots=True)
class Serving:
    """The artifact that one engine instance reports (``grinder_ml_model_info``), and its health."""

    instance: str
    stage: Stage
    artifact_id: str
    registry_commit: str
    active_on: float | None = None
    up: bool | None = None


# A soak and its tape: the data of the Soak view and of its verdict.


class Cell(StrEnum):
    """The judgement of one 5-minute window of a soak, in the letter that tapes are written with."""

    OK = "o"
    BREACH = "b"
    NO_DATA = "."
    RESTART = "r"
    KILLED = "k"


@dataclass(frozen=True, slots=True)
class Tape:
    """The tape of one objective in a soak. ``cells`` holds one `Cell` letter per window, oldest first.

    ``values`` are in ``unit`` and as long as ``cells``; ``worst`` is the index of the worst cell.
    ``seen`` is the share of each cell in which its engines were scraped, a little above 1 where a scrape more fell in.
    """

    objective: str
    started_at: datetime
    step_s: int
    cells: str
    values: tuple[float | None, ...]
    limit: float
    unit: str
    worst: int | None = None
    longest_clean: int = 0
    seen: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakReport:
    """A shadow artifact's soak: its verdict, and all data behind the verdict.

    ``coverage`` is the share of the required windows that hold data, 0 to 1. ``eligible_at`` is the earliest moment at
    which the soak can pass if nothing breaches. ``queries`` are all PromQL texts run. ``silences`` are Alertmanager's
    silences of the alerts, a sentence each. ``attribution`` is the tie between the numbers and the artifact:
    ``artifact`` (each engine says what it serves), ``mode`` (mode and time), or ``mixed``. ``restarts`` counts restarts
    and replacements of engines; ``engines`` names them, each once. ``scrape_s`` is the number of seconds between two
    scrapes, ``None`` when unknown.
    """

    model: str
    artifact_id: str
    model_sha256: str
    as_of: datetime
    verdict: Verdict
    why: str
    required_s: int
    started_at: datetime | None = None
    elapsed_s: int = 0
    coverage: float = 0.0
    breaches: int = 0
    eligible_at: datetime | None = None
    gates: tuple[Gate, ...] = ()
    tapes: tuple[Tape, ...] = ()
    readings: tuple[Reading, ...] = ()
    queries: tuple[str, ...] = ()
    silences: tuple[str, ...] = ()
    attribution: str = ""
    restarts: int = 0
    engines: tuple[str, ...] = ()
    scrape_s: float | None = None


# Sources of truth and their health.


class SourceState(StrEnum):
    """The health of a source of truth."""

    UNKNOWN = "unknown"
    OK = "OK"
    STALE = "STALE"
    ERROR = "ERROR"
    NONE = "none"
    UNASKED = "not asked"
    """The source exists, but its answer would be of no use at present."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source such as Prometheus or the remote: its state, when it last answered well, and why not now."""

    name: str
    state: SourceState = SourceState.UNKNOWN
    as_of: datetime | None = None
    why: str = ""


# One model on the board: its three stages, the engines there, and its next need.


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
    """The first sight of the artifact in service here; ``None`` if unseen. ``since`` is the time of its landing."""
    by: str = ""
    notes: str = ""
    serving: tuple[Serving, ...] = ()
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model on the board. ``step`` is the next promotion that ``gates`` judge, such as ``shadow→active``.

    ``readings`` are those of the stage that is judged: shadow while something soaks there, else active.
    ``active_readings`` are of what is live, whatever soaks. Alerts belong to no stage and are among both.
    """

    name: str
    staging: StageView
    shadow: StageView
    active: StageView
    readings: tuple[Reading, ...] = ()
    active_readings: tuple[Reading, ...] = ()
    step: str = ""
    gates: tuple[Gate, ...] = ()
    soak: SoakReport | None = None
    condemned: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    silent: str = ""
    """The reason why the source of the readings does not answer; empty while it does. Without it, no reading is proven.
    """

    @property
    def breaching(self) -> tuple[Reading, ...]:
        """The objectives that the live artifact does not meet now."""
        return tuple(each for each in self.active_readings if each.verdict is Verdict.FAIL and each.limit is not None)

    def stage(self, stage: Stage) -> StageView:
        """The pane of one stage."""
        return {Stage.STAGING: self.staging, Stage.SHADOW: self.shadow, Stage.ACTIVE: self.active}[stage]


# The whole board of one poll.


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
