"""Kills and releases of engines that say of themselves that they see the switch on, under a real Prometheus.

Every engine is a past that was back-filled: scrapes before the request, which was 80 s ago, and some after it. Two
metrics contracts are in force at once: that of these engines, and the runbook's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.prometheus import Line, running

from ml.adapters.prometheus import Prometheus
from ml.emergency.questions import PROOFS, Code, Proving, Window
from ml.emergency.receipt import look
from ml.metrics_contract import RUNBOOK, parse_metrics

pytestmark = pytest.mark.xdist_group("kill contracts")

AFTER, BEFORE = 80.0, 600.0
CONTRACT = parse_metrics(
    {
        "latency": "served_seconds",
        "successes": {"name": "served_total", "where": {"outcome": "ok"}},
        "errors": {"name": "served_total", "where": {"outcome": "error"}},
        "receipt": {"active": "decides", "engaged": "switch_on", "inferred": ["served_total"]},
    }
)
BY = Proving.of([RUNBOOK, CONTRACT])
Curve = Callable[[float], float]


def flips(before: float, after: float, at: float = 0.0) -> Curve:
    """A gauge that changes once."""
    return lambda moment: before if moment < at else after


def rises(begin: float = -BEFORE, end: float = 1e9) -> Curve:
    """A counter that counts ten a second within a span, and stands still otherwise."""
    return lambda moment: 1000 + 10 * (min(max(moment, begin), end) - begin)


@dataclass(frozen=True)
class Engine:
    """One engine's series by name, the code that its samples mean, and seconds between two scrapes."""

    series: Mapping[str, Curve]
    code: Code
    every: float = 5.0


def own(says: Curve, served: Curve) -> Mapping[str, Curve]:
    return {"switch_on": says, "served_total": served}


SEES, STOPS = flips(0, 1), rises(end=0)
KILLED = {
    "obeys": Engine(own(SEES, STOPS), Code.BLOCKED),
    "infers": Engine(own(SEES, rises()), Code.INFERS),
    "does_not_say": Engine(own(flips(0, 0), rises(end=-300)), Code.IDLE),
    "took_it_back": Engine(own(lambda at: float(0 <= at < 40), rises(end=-300)), Code.IDLE),
    "decides": Engine({**own(SEES, STOPS), "decides": flips(1, 1)}, Code.STILL_ACTIVE),
    "shows_nothing_else": Engine({"switch_on": SEES}, Code.BLIND),
    "one_sample": Engine(own(SEES, STOPS), Code.SECOND_SAMPLE, every=70.0),
    "by_the_runbook": Engine({"grinder_ml_block_total": rises(0), "grinder_ml_inference_total": STOPS}, Code.BLOCKED),
}
RELEASED = {
    "free": Engine(own(flips(1, 0), rises(0)), Code.INFERS_AGAIN),
    "still_says_so": Engine(own(flips(1, 1), rises(end=-300)), Code.STILL_BLOCKED),
    "says_so_and_infers": Engine(own(flips(1, 1), rises(0)), Code.STILL_BLOCKED),
    "free_and_idle": Engine(own(flips(1, 0), rises(end=-300)), Code.IDLE),
}


def lines(name: str, engine: Engine, asked: float) -> Iterator[Line]:
    moments = [n * engine.every for n in range(round(-BEFORE / engine.every), round((AFTER + 60) / engine.every) + 1)]
    for metric, curve in engine.series.items():
        labels = {"job": "ml", "instance": name}
        if metric == "served_total":
            labels["outcome"] = "ok"
        if metric == "grinder_ml_block_total":
            labels["reason"] = "KILL_SWITCH_ENV"
        yield Line(metric, labels, [(asked + at, curve(at)) for at in moments])


@dataclass(frozen=True)
class Scene:
    metrics: Prometheus
    asked: datetime


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    asked = time.time() - AFTER
    history = [line for name, each in (KILLED | RELEASED).items() for line in lines(name, each, asked)]
    folder: Path = tmp_path_factory.mktemp("contracts")
    with running(folder, history=history) as server:
        yield Scene(Prometheus(server.url, timeout_s=20), datetime.fromtimestamp(asked, UTC))


@pytest.mark.parametrize("name", KILLED)
def test_a_kill_has_its_proof_by_either_contract(scene: Scene, name: str) -> None:
    found = dict(look(scene.metrics, scene.asked, engage=True, by=BY).named)
    assert found[name] is KILLED[name].code


@pytest.mark.parametrize("name", RELEASED)
def test_a_release_has_its_proof_by_either_contract(scene: Scene, name: str) -> None:
    found = dict(look(scene.metrics, scene.asked, engage=False, by=BY).named)
    assert found[name] is RELEASED[name].code


def test_the_runbooks_contract_alone_sees_its_own_engine_only(scene: Scene) -> None:
    found = dict(look(scene.metrics, scene.asked, engage=True).named)
    assert found == {"by_the_runbook": Code.BLOCKED}


def test_the_count_of_a_large_fleet_takes_the_same_engines_for_proven(scene: Scene) -> None:
    now = time.time()
    window = Window(now, scene.asked.timestamp() + 0.5, 5.0, (), BY)
    counts = {
        each.label("code"): each.points[0][1]
        for each in scene.metrics.query(window.counted(engage=True), datetime.fromtimestamp(now, UTC)).series
    }
    proven = sum(each.code in PROOFS for each in KILLED.values())
    among_released = {"still_says_so"}  # as after a kill, it says so in every sample and infers nothing
    assert counts[str(int(Code.PROVEN))] == proven + len(among_released)
    assert counts[str(int(Code.OPEN))] == len(KILLED | RELEASED) - proven - len(among_released)
