"""The engine's loop: one market snapshot at a time, at a set rate, until it is stopped."""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from logging import getLogger
from pathlib import Path

import numpy as np

from ml.artifacts.answers import Values
from ml.artifacts.questions import affordable, natural
from ml.errors import Invalid
from ml.serving.meters import KILLED, NOT_LOADED, Meters
from ml.serving.model import LoadedModel, ModelRefused, deployment
from ml.stage import Stage
from ml.text import visible

_log = getLogger("ml.serving")
_MARKET_ROWS = 4096
"""Distinct snapshots before the synthetic market repeats itself."""
_RETRY_S = 2.0
"""The pause before a registry or artifact that failed is tried again."""


class InjectedError(RuntimeError):
    """The failure that a drill asked for."""


class Engine:
    """One model in one stage: reload, kill switch, inference and counting, per snapshot."""

    def __init__(self, options: Options, meters: Meters) -> None:
        self._options = options
        self._meters = meters
        self._kill = KillInput(options.kill_file, at_start=options.env_at_start)
        self._fault = FaultInput(options.fault_file)
        self._snapshots: Iterator[Mapping[str, Values]] = iter(())
        self._random = np.random.default_rng(options.seed)
        self._model: LoadedModel | None = None
        self._commit = ""
        self._seen: tuple[Identity, Identity] | None = None
        self._retry_at = 0.0
        self._blocked = ""
        self._failing = False
        self._complaint = ""

    def run(self, stop: threading.Event) -> None:
        """Take snapshots at the set rate until ``stop`` is set. A late one is not made up for in a burst."""
        due = time.monotonic()
        while not stop.is_set():
            self.snapshot(stop)
            due = max(due + 1 / self._options.rate, time.monotonic() - 1.0)
            stop.wait(max(0.0, due - time.monotonic()))

    def snapshot(self, stop: threading.Event) -> None:
        """Take one snapshot: follow the registry, obey the switch, then infer and count."""
        self._follow_registry()
        reason = KILLED if self._kill.engaged() else "" if self._model else NOT_LOADED
        self._tell(reason)
        if reason:
            self._meters.block(reason)
        elif self._model:
            self._infer(self._model, stop)

    def _infer(self, model: LoadedModel, stop: threading.Event) -> None:
        fault = self._fault.now()
        question = next(self._snapshots)
        started = time.perf_counter()
        try:
            if fault.latency_ms:
                stop.wait(fault.latency_ms / 1000)
            if self._random.random() < fault.error_rate:
                raise InjectedError("injected by the drill")
            model.infer(question)
        except Exception as error:  # noqa: BLE001 - fail closed: whatever the model does, it is counted and trading goes on
            self._meters.error()
            if not self._failing:
                _log.error("ML_INFER_ERROR %s", visible(f"{type(error).__name__}: {error}", limit=400))
            self._failing = True
            return
        self._failing = False
        self._meters.success((time.perf_counter() - started) * 1000)

    def _tell(self, reason: str) -> None:
        """Log each change of being blocked once, and show the state in the metrics."""
        active = self._options.stage is Stage.ACTIVE
        if reason != self._blocked:
            if reason == KILLED:
                _log.warning("ML_KILL_SWITCH_ON")
            elif self._blocked == KILLED:
                _log.warning("ML_KILL_SWITCH_OFF")
            if reason and active:
                _log.warning("ML_ACTIVE_BLOCKED reason=%s", reason)
            self._blocked = reason
        serving = (self._model.deployment.artifact_id, self._commit) if self._model else None
        self._meters.state(active_on=active and not reason, serving=serving)

    def _follow_registry(self) -> None:
        """Load what the registry asks for whenever its file or its commit file was replaced."""
        current = identity(self._options.registry), identity(self._options.commit_file)
        if current == self._seen and not (self._retry_at and time.monotonic() >= self._retry_at):
            return
        self._seen, self._retry_at = current, 0.0
        try:
            self._load()
        except (Invalid, OSError) as error:
            # The model that serves now is better than none; the board shows that it is not the wanted one.
            self._retry_at = time.monotonic() + _RETRY_S
            self._complain(error)
        else:
            self._complaint = ""

    def _complain(self, error: Invalid | OSError) -> None:
        """Log why a load failed, once for as long as it keeps failing in the same way."""
        cause = error.cause if isinstance(error, Invalid) else f"{type(error).__name__}: {error}"
        event = "" if isinstance(error, ModelRefused) else "ML_REGISTRY_REFUSED "
        complaint = f"{event}{visible(cause, limit=600)}"
        if complaint != self._complaint:
            _log.error("%s", complaint)
        self._complaint = complaint

    def _load(self) -> None:
        options = self._options
        wanted = deployment(options.registry.read_bytes(), options.model, options.stage)
        commit = _commit(options.commit_file)
        if wanted is None:
            _log.warning("ML_REGISTRY_EMPTY model=%s stage=%s", visible(options.model), options.stage)
            self._model = None
        elif self._model is None or self._model.deployment != wanted:
            self._model = LoadedModel(wanted, options.repo_root, options.model)
            self._snapshots = _snapshots(self._model, options.seed)
            _log.info("ONNX_LOADED artifact_id=%s", visible(wanted.artifact_id))
        self._commit = commit
        _log.info("ML_REGISTRY_LOADED commit=%s", visible(commit) or "unknown")


def _snapshots(model: LoadedModel, seed: int) -> Iterator[Mapping[str, Values]]:
    """The market, without end, as the inputs of a model's contract."""
    questions = natural(model.contract, model.sizes, seed, affordable(model.sizes, _MARKET_ROWS))
    return cycle([questions.one(at) for at in range(len(questions))])


def _commit(path: Path | None) -> str:
    """The commit that a deployer noted beside the registry; empty when there is no such note."""
    try:
        return path.read_text("ascii").strip() if path else ""
    except FileNotFoundError:
        return ""


# Small files that operators and drills write while the engine runs: kill switch and injected faults.
#
# Each is looked at per snapshot. Writers replace files by rename, so that a look sees a whole old or new file.

KILL_VARIABLE = "ML_KILL_SWITCH"

Identity = tuple[int, int, int] | None


def identity(path: Path | None) -> Identity:
    """Return values that change when a file is replaced or rewritten; ``None`` while there is no such file."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class KillInput:
    """The kill switch as an engine reads it, from the environment or from the env file.

    With ``at_start`` the environment is read once, when the process starts, and nothing afterwards: that is how most
    deployed engines behave, and why a kill also needs an actuator that restarts them.
    """

    def __init__(self, file: Path | None, *, at_start: bool) -> None:
        self._file = file
        self._frozen = _environment_says() if at_start else None

    def engaged(self) -> bool:
        """The switch now. A file that is there but cannot be read counts as engaged: it fails safe."""
        if self._frozen is not None:
            return self._frozen
        return _environment_says() or (self._file is not None and _file_says(self._file))


def _environment_says() -> bool:
    return os.environ.get(KILL_VARIABLE) == "1"


def _file_says(path: Path) -> bool:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    assigned = f"{KILL_VARIABLE}=".encode()
    values = [line.removeprefix(assigned) for line in lines if line.startswith(assigned)]
    return values[-1:] == [b"1"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of a drill: milliseconds added to each inference, and the share of inferences that fail."""

    latency_ms: float = 0.0
    error_rate: float = 0.0


class FaultInput:
    """The drill's fault file, parsed again only when it was replaced. A broken file injects nothing."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen: Identity = None
        self._fault = Fault()

    def now(self) -> Fault:
        """The fault in force for this snapshot."""
        current = identity(self._file)
        if current != self._seen:
            self._seen = current
            self._fault = _fault(self._file) if self._file and current else Fault()
        return self._fault


def _fault(path: Path) -> Fault:
    try:
        document = json.loads(path.read_bytes())
        return Fault(max(0.0, float(document.get("latency_ms", 0))), float(document.get("error_rate", 0)))
    except (OSError, ValueError, TypeError, AttributeError):
        return Fault()


# The engine's command line, as one frozen value (contract §9).


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one engine process. ``rate`` is inferences per second; ``port`` 0 means a free one.

    ``registry`` is the engine's ``ml_registry_path``, resolved against ``repo_root`` when relative, as every
    pointer's ``artifact_dir`` is. ``model`` and ``stage`` are its ``ml_model_name`` and ``ml_stage``.
    """

    registry: Path
    model: str
    stage: Stage
    repo_root: Path
    port: int
    rate: float
    port_file: Path | None
    kill_file: Path | None
    env_at_start: bool
    fault_file: Path | None
    commit_file: Path | None
    counters: Path | None
    seed: int


def parse_options(argv: Sequence[str] | None = None) -> Options:
    """Read the command line; exits with 2 and a usage line when it is wrong."""
    known = vars(_parser().parse_args(argv))
    root = known["repo_root"].resolve()
    return Options(**known | {"repo_root": root, "registry": root / known["registry"]})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.serving", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--registry", type=Path, required=True, metavar="FILE", help="ml_registry_path, relative to --repo-root")
    add("--model", required=True, metavar="NAME", help="ml_model_name")
    add("--stage", type=Stage, required=True, choices=(Stage.SHADOW, Stage.ACTIVE), help="ml_stage")
    add("--repo-root", type=Path, default=Path(), metavar="DIR", help="where artifact_dir begins (default: here)")
    add("--port", type=int, default=0, help="metrics port on 127.0.0.1; 0 takes a free one (default)")
    add("--port-file", type=Path, metavar="FILE", help="write the port here once it listens")
    add("--rate", type=_positive, default=10.0, metavar="HZ", help="inferences per second (default 10)")
    add("--kill-file", type=Path, metavar="FILE", help="env file read per snapshot for ML_KILL_SWITCH=1")
    add("--env-at-start", action="store_true", help="read the kill switch once, from the environment, at start")
    add("--fault-file", type=Path, metavar="FILE", help='drill faults: {"latency_ms": 300, "error_rate": 0.1}')
    add("--commit-file", type=Path, metavar="FILE", help="holds the commit that --registry was taken from")
    add("--counters", type=Path, metavar="FILE", help='start values: {"NAME{label=\\"v\\"}": value}')
    add("--seed", type=int, default=0, help="of the synthetic features and the injected errors")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 10000")
    return value
