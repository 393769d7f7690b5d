"""Referee of a drill: injects the fault at its moment, then records when each step was really reached.

It ignores the operator's claims. It only reads the audit log on disk, the remote, and the metrics in Prometheus.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random

from console.demo.engines import ENGINES, EngineSpec
from console.demo.stack import Stack
from console.switch import AUDIT_NAME
from ml.adapters.prometheus import Prometheus
from ml.board import Rung
from ml.errors import ConsoleError
from ml.records.audit import AuditLine, AuditLog
from ml.stage import Stage

# The fault of a drill. A seed chooses it, and the engine reads it from a file at every snapshot.


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of an engine: added latency per inference in milliseconds, and the share of inferences that fail."""

    latency_ms: float = 0.0
    error_rate: float = 0.0

    @property
    def words(self) -> str:
        """The fault in words, such as ``380 ms more latency``."""
        return f"{self.latency_ms:.0f} ms more latency" if self.latency_ms else f"{self.error_rate:.0%} errors"


def choose(random: Random) -> Fault:
    """Choose added latency or errors, strong enough to breach a 5-minute window within half a minute."""
    if random.random() < 0.5:
        return Fault(latency_ms=random.uniform(300, 450))
    return Fault(error_rate=random.uniform(0.6, 0.95))


def inject(file: Path, fault: Fault) -> None:
    """Write a fault for the engine that reads this file. An all-zero `Fault` clears it."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(fault)), "utf-8")
    os.replace(part, file)


_LOOK_S = 0.25
ENGINE: EngineSpec = next(each for each in ENGINES if each.stage is Stage.ACTIVE)
"""The model that a drill breaks."""


class Step(StrEnum):
    """Steps that an operator has to reach, in the runbook's order."""

    NOTICED = "noticed"
    KILLED = "killed"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rollback pushed"
    SERVING = "serving again"


@dataclass(slots=True)
class Observed:
    """Seconds from the injection to each step that was reached; empty before the injection."""

    injected_at: float | None = None
    seconds: dict[Step, float] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[Step, ...]:
        """Steps that were not reached."""
        return tuple(step for step in Step if step not in self.seconds)


class Referee(threading.Thread):
    """Waits ``delay_s``, injects the fault, and observes until every step is reached or `stop` is called."""

    def __init__(self, stack: Stack, fault: Fault, delay_s: float, bad_artifact: str) -> None:
        super().__init__(name="referee", daemon=True)
        self._stack = stack
        self._fault = fault
        self._delay_s = delay_s
        self._metrics = Prometheus(stack.url)
        self._stopped = threading.Event()
        self._file = stack.layout.fault_file(ENGINE.name)
        engine = f'instance="{ENGINE.name}"'
        self._replaced = f'grinder_ml_model_info{{{engine},artifact_id!="{bad_artifact}"}}'
        self._serving = f"{self._replaced} and on (instance) grinder_ml_active_on{{{engine}}} == 1"
        self.observed = Observed()

    def run(self) -> None:
        """Inject the fault and observe."""
        if self._stopped.wait(self._delay_s):
            return
        lines_before = len(self._audit())
        inject(self._file, self._fault)
        self.observed.injected_at = time.monotonic()
        while self.observed.missing and not self._stopped.wait(_LOOK_S):
            self._look(self._audit()[lines_before:])

    def stop(self) -> Observed:
        """Stop observing, and return the observations."""
        self._stopped.set()
        self.join()
        return self.observed

    def _look(self, lines: tuple[AuditLine, ...]) -> None:
        for line in lines:
            for step in _reached(line.kind, line.fields):
                self._reach(step)
        if Step.ROLLED_BACK in self.observed.seconds and self._holds(self._replaced):
            inject(self._file, Fault())  # The fault belongs to the artifact and ends with it.
            if self._holds(self._serving):
                self._reach(Step.SERVING)

    def _reach(self, step: Step) -> None:
        assert self.observed.injected_at is not None
        self.observed.seconds.setdefault(step, round(time.monotonic() - self.observed.injected_at, 2))

    def _holds(self, promql: str) -> bool:
        try:
            return bool(self._metrics.query(promql).series)
        except ConsoleError:
            return False

    def _audit(self) -> tuple[AuditLine, ...]:
        return tuple(line for path in _logs(self._stack.layout.state) for line in AuditLog(path).read())


def _reached(kind: str, event: Mapping[str, object]) -> tuple[Step, ...]:
    """Return the steps that a line of the audit log proves. The first of them also proves that the operator noticed."""
    if kind == "kill" and event.get("written"):
        return Step.NOTICED, Step.KILLED
    if kind == "receipt" and (event.get("of"), event.get("rung")) == ("kill", Rung.CONFIRMED):
        return (Step.CONFIRMED,)
    if kind == "rollback":
        return (Step.NOTICED, Step.ROLLED_BACK) if event.get("pushed") else (Step.NOTICED,)
    return ()


def _logs(state: Path) -> list[Path]:
    return sorted(state.glob(f"mlconsole/*/{AUDIT_NAME}"))
