"""Small programs for the benchmarks: ``python -m benchmarks.scenes SCENE``.

``empty``, ``still`` and ``live`` (all values change at every poll), ``models COUNT``; and, writing memory and handles
into a file after every so many polls, ``polls CLONE POLLS FILE`` (the real session) and ``painted POLLS FILE``.
"""

from __future__ import annotations

import gc
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from ml.board import (
    Board,
    Glance,
    KillView,
    ModelView,
    RegistryView,
    Serving,
    Source,
    SourceState,
    StageView,
)
from ml.clock import SystemClock
from ml.stage import Stage
from ml.verdict import Gate, Reading, Verdict

_COMMIT = "d3e950d41f0b7c6a9e2d8f5b1c3a7e9d0f2b4c6a"
_LIMITS = {"p99": 100.0, "p999": 250.0, "p95": 50.0, "error_rate": 0.05}
_CHANCE = random.Random(7)  # noqa: S311 - no secret


class Scene:
    """The few questions that the views ask, answered with values that all change at every poll when ``live``."""

    def __init__(self, models: int, *, live: bool) -> None:
        self._names = tuple(f"model_{number:04}" for number in range(models))
        self._live = live
        self._models = tuple(_model(name) for name in self._names)

    def glance(self) -> Glance:
        """Names at once."""
        return Glance("origin/main", _COMMIT, tuple((name, (None, "m_v1", "m_v0")) for name in self._names))

    @property
    def boards(self) -> Scene:
        """The part that polls: this object."""
        return self

    @property
    def rollbacks(self) -> Scene:
        """The part that prepares rollbacks: this object."""
        return self

    def poll(self, *, at_once: bool = False) -> Board:
        """One poll."""
        now = datetime.now(UTC)
        models = tuple(_model(name) for name in self._names) if self._live else self._models
        return Board(
            as_of=now,
            environment="bench",
            production=False,
            read_only=False,
            operator="operator@example.com",
            registry=RegistryView("origin/main", _COMMIT, "ml/registry/models.json", self.fetch()),
            prometheus=Source("prometheus", SourceState.OK, now),
            kill=KillView(engaged=False),
            models=models,
        )

    def keep_armed(self) -> tuple[str, ...]:
        """Nobody rolls back here."""
        return ()

    def fetch(self) -> Source:
        """The remote is always there."""
        return Source("origin", SourceState.OK, datetime.now(UTC))


def _model(name: str) -> ModelView:
    now = datetime.now(UTC)
    readings = tuple(_reading(each, limit, now) for each, limit in _LIMITS.items())
    gates = tuple(Gate(name=each.name, verdict=each.verdict, why=each.why) for each in readings)
    return ModelView(
        name,
        staging=StageView(Stage.STAGING),
        shadow=_stage(Stage.SHADOW, now),
        active=_stage(Stage.ACTIVE, now),
        readings=readings,
        step="shadow→active",
        gates=gates,
    )


def _stage(stage: Stage, now: datetime) -> StageView:
    artifact = f"regime_v2026_02_15_00{len(stage) % 7}"
    serving = Serving("engine-1:9100", stage, artifact, _COMMIT, active_on=1.0, up=True)
    return StageView(stage, artifact, since=now - timedelta(days=5), serving=(serving,), deployment="serving")


def _reading(name: str, limit: float, now: datetime) -> Reading:
    value = limit * _CHANCE.uniform(0.3, 0.6)
    return Reading(
        name=name,
        verdict=Verdict.PASS,
        why=f"{value:.4g} is below {limit:g}.",
        query="histogram_quantile(0.99, sum(rate(m[5m])) by (le))",
        value=value,
        limit=limit,
        unit="ms" if limit > 1 else "",
        window_s=300,
        sampled_at=now - timedelta(seconds=2),
        samples=_CHANCE.randint(1_000, 9_999),
        trend=tuple(_CHANCE.random() for _ in range(24)),
    )


def _empty() -> None:
    from textual.app import App  # noqa: PLC0415 the floor pays for nothing of ours

    class Empty(App[None]):
        """Nothing."""

    Empty().run(mouse=False)


def _console(scene: Any, poll_seconds: float = 5.0) -> None:
    from console.app import ConsoleApp  # noqa: PLC0415
    from console.interface import collect_later  # noqa: PLC0415

    collect_later()
    ConsoleApp(scene, SystemClock(), environment="bench", poll_seconds=poll_seconds).run()


class _Counted:
    """A session or a scene that notes what this process holds, after every so many boards."""

    def __init__(self, asked: Any, polls: int, told: Path) -> None:
        self._asked = asked
        self._polls = polls
        self._told = told
        self._seen = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asked, name)

    @property
    def boards(self) -> _Counted:
        """The part that polls: this object."""
        return self

    def fetch(self) -> Source:
        """The remote's state, as asked."""
        fetched: Source = self._asked.boards.fetch()
        return fetched

    def poll(self, *, at_once: bool = False) -> Board:
        """One poll."""
        seen: Board = self._asked.boards.poll(at_once=at_once)
        # The console collects no garbage in its first seconds (`console.interface`). It polls twice in them; where an
        # hour takes seconds, that would be an hour or two.
        self._seen += gc.isenabled()
        if gc.isenabled() and self._seen % self._polls == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            with self._told.open("a") as told:
                told.write(f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**20:.2f} {len(os.listdir('/proc/self/fd'))}\n")
        return seen


def _polls(clone: str, polls: int, told: Path) -> NoReturn:
    """Make the pollers' calls at their real rates: the remote is asked at every sixth board."""
    from console.config import load  # noqa: PLC0415
    from console.invocation import open_session  # noqa: PLC0415

    counted = _Counted(open_session(load(repo=clone)), polls, told)
    print("polling", flush=True)
    while True:
        counted.fetch()
        counted.rollbacks.keep_armed()
        for _ in range(6):
            assert counted.boards.poll().registry.commit


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["empty"]:
            _empty()
        case ["live"]:
            _console(Scene(1, live=True))
        case ["still"]:
            _console(Scene(1, live=False))
        case ["polls", clone, polls, told]:
            _polls(clone, int(polls), Path(told))
        case ["painted", polls, told]:
            _console(_Counted(Scene(1, live=True), int(polls), Path(told)), poll_seconds=0.005)
        case ["models", count]:
            _console(Scene(int(count), live=False))
        case _:
            sys.exit(__doc__)
