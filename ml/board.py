"""What the operator sees, as frozen values: one `Board` per poll, and the longer reports behind it.

Equal boards compare equal, so an interface that keeps the last one repaints nothing when nothing changed.
Ages are never stored: a value carries its moment, and whoever shows it subtracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ml.stage import Stage
from ml.verdict import Gate, Reading, Verdict


class Cell(StrEnum):
    """The judgement of one 5-minute window of a soak, in the letter that tapes are written with."""

    OK = "o"
    BREACH = "b"
    NO_DATA = "."
    RESTART = "r"
    KILLED = "k"


@dataclass(frozen=True, slots=True)
class Tape:
    """A soak seen through one objective. ``cells`` holds one `Cell` letter per window, oldest first.

    ``values`` are in ``unit`` and as long as ``cells``; ``worst`` is the index of the worst cell.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakReport:
    """Whether a shadow artifact's soak meets its objectives, and everything that was asked to know it.

    ``coverage`` is the share of the required windows that hold data, 0 to 1. ``eligible_at`` is the
    earliest moment at which the soak can pass if nothing breaches. ``queries`` are all PromQL texts run.
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


@dataclass(frozen=True, slots=True)
class Serving:
    """What one engine instance says that it serves (``grinder_ml_model_info``), and whether it is alive."""

    instance: str
    stage: Stage
    artifact_id: str
    registry_commit: str
    active_on: float | None = None
    up: bool | None = None


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
    by: str = ""
    notes: str = ""
    serving: tuple[Serving, ...] = ()
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that needs a person: where, what, and what to do. ``severe`` ones are shown first."""

    where: str
    what: str
    remedy: str = ""
    severe: bool = True


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model on the board. ``hop`` names the promotion that ``gates`` judge, such as ``shadow→active``."""

    name: str
    staging: StageView
    shadow: StageView
    active: StageView
    readings: tuple[Reading, ...] = ()
    hop: str = ""
    gates: tuple[Gate, ...] = ()
    soak: SoakReport | None = None
    condemned: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def stage(self, stage: Stage) -> StageView:
        """The pane of one stage."""
        return {Stage.STAGING: self.staging, Stage.SHADOW: self.shadow, Stage.ACTIVE: self.active}[stage]


class SourceState(StrEnum):
    """How a source of truth answers."""

    UNKNOWN = "unknown"
    OK = "OK"
    STALE = "STALE"
    ERROR = "ERROR"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Source:
    """A source such as Prometheus or the remote: its state, when it last answered well, and why not now."""

    name: str
    state: SourceState = SourceState.UNKNOWN
    as_of: datetime | None = None
    why: str = ""


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
    """Which registry is shown: the ref it was read at, its commit, and when the remote was last fetched."""

    ref: str
    commit: str
    path: str
    fetched: Source
    branches: tuple[OpenBranch, ...] = ()
    problem: str = ""
    """Why the registry is shown read-only: a sentence with line, column and field path; empty when it is sound."""


class Rung(StrEnum):
    """How far a kill or a release has been proven (SPEC §7)."""

    IDLE = "IDLE"
    REQUESTED = "REQUESTED"
    WRITTEN = "WRITTEN"
    APPLIED = "APPLIED"
    CONFIRMED = "CONFIRMED"
    UNCONFIRMED = "UNCONFIRMED"


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
    person takes by hand when the switch could not be confirmed.
    """

    engaged: bool | None
    rung: Rung = Rung.IDLE
    requested_at: datetime | None = None
    by: str = ""
    reason: str = ""
    instances: tuple[InstanceReceipt, ...] = ()
    manual: tuple[str, ...] = ()
    problem: str = ""


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


@dataclass(frozen=True, slots=True)
class Glance:
    """The first frame: which artifacts stand where, read in milliseconds and not judged yet."""

    ref: str
    commit: str
    models: tuple[tuple[str, tuple[str | None, str | None, str | None]], ...]
    problem: str = ""
