"""Constructed fleets under a real Prometheus, each with its right rung: what proves a kill or a release, what does not.

Every fleet is a past that was back-filled: some scrapes before the request, which was 80 s ago, and some after it.
One server judges them all in the same look; a fleet's name stands before the names of its instances.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.prometheus import Line, running

from ml.adapters.prometheus import Prometheus
from ml.board import KillView, Rung
from ml.emergency.questions import Code
from ml.emergency.receipt import Fleet as Seen
from ml.emergency.receipt import judge, look
from ml.emergency.switch import KillRequest

AFTER = 80.0
"""Seconds from the request to the look."""
BEFORE = 1_100.0
EVERY = 5.0

Curve = Callable[[float], float | None]
"""A value by seconds after the request; ``None``: the scrape does not show it."""


def rising(rate: float = 10.0, until: float = 1e9, start: float = 1e5, since: float = -1e9) -> Curve:
    """A counter that counts at a rate until a moment, from a moment, and stands still otherwise."""
    return lambda at: start + rate * (min(max(at, since), until) - max(since, -BEFORE))


def const(value: float) -> Curve:
    return lambda _at: value


def between(begin: float, end: float, curve: Curve) -> Curve:
    """Shown only in this span of time."""
    return lambda at: curve(at) if begin <= at < end else None


def steps(*changes: tuple[float, float | None]) -> Curve:
    """The value of the last change that is not later."""
    return lambda at: next((value for since, value in reversed(changes) if since <= at), None)


def bursts(period: float, size: float = 50.0, until: float = 1e9) -> Curve:
    """A burst at each full period, nothing between."""
    return lambda at: 1e5 + size * ((min(at, until) + BEFORE) // period)


def either(*curves: Curve) -> Curve:
    """The first of these that shows anything."""
    return lambda at: next((value for curve in curves if (value := curve(at)) is not None), None)


INFER, ERRORS, LATENCY = (
    "grinder_ml_inference_total",
    "grinder_ml_inference_errors_total",
    "grinder_ml_inference_latency_ms_count",
)
ACTIVE, BLOCK = "grinder_ml_active_on", "grinder_ml_block_total"


@dataclass(frozen=True)
class Fleet:
    """Series by (metric, further labels), the rung of a look after the deadline, and part of the reason."""

    series: Mapping[tuple[str, tuple[tuple[str, str], ...]], Curve]
    rung: Rung
    why: str
    every: float = EVERY
    engage: bool = True
    rungs: Mapping[str, Rung] = field(default_factory=dict)


def of(metric: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    usual = {"instance": "e:1"} | ({"reason": "KILL_SWITCH_ENV"} if metric == BLOCK else {})
    if metric in (INFER, ERRORS, LATENCY):
        usual["mode"] = "shadow"
    return metric, tuple(sorted((usual | labels).items()))


def engine(active: Curve, blocked: Curve | None, inferred: Curve | None, **labels: str) -> dict:
    told = {ACTIVE: active, BLOCK: blocked, INFER: inferred}
    return {of(metric, **labels): curve for metric, curve in told.items() if curve is not None}


OBEYS = engine(steps((-2000, 1), (0, 0)), rising(since=0, start=0), rising(until=0))
INFERS = engine(const(1), const(0), rising())
C, U, P = Rung.CONFIRMED, Rung.UNCONFIRMED, Rung.UNPROVEN

KILLS = {
    "obeys": Fleet(OBEYS, C, "blocked by the kill switch"),
    "shadow obeys": Fleet(engine(const(0), rising(since=0, start=0), rising(until=0)), C, "blocked"),
    "ignores it": Fleet(INFERS, U, "it still infers"),
    "infers, whatever else it exports": Fleet(engine(const(0), rising(since=0, start=0), rising()), U, "still infers"),
    "infers, and exports nothing else": Fleet({of(INFER): rising()}, U, "it still infers"),
    "only fails": Fleet({of(ERRORS): rising(), of(INFER): const(5)}, U, "it still infers"),
    "the shadow that only counts latencies": Fleet({of(LATENCY): rising(), of(ACTIVE): const(0)}, U, "still infers"),
    "idle": Fleet(engine(const(0), const(0), const(100)), U, "an idle engine shows the same"),
    "active_on stays 1": Fleet(engine(const(1), rising(since=0, start=0), rising(until=0)), U, "active_on is still 1"),
    "half dead: it hangs, its exporter lives": Fleet(
        engine(const(0), const(0), rising(until=-20)), U, "an idle engine shows the same"
    ),
    "dead since before the request": Fleet(
        {key: between(-2000, -30, curve) for key, curve in INFERS.items()}, P, "it is silent: it was last seen"
    ),
    "dead since ten minutes": Fleet(
        {key: between(-2000, -600, curve) for key, curve in INFERS.items()}, P, "it is silent: it was last seen"
    ),
    "lived for a moment only": Fleet(
        {key: between(-60, 10, curve) for key, curve in OBEYS.items()}, P, "it is silent: it was last seen at"
    ),
    "proven, then dead": Fleet({key: between(-2000, 12, curve) for key, curve in OBEYS.items()}, P, "it is silent"),
    "came back and infers": Fleet(
        engine(
            steps((-2000, 1), (0, 0), (30, 1)),
            rising(since=0, until=25, start=0),
            either(between(-2000, 30, rising(until=0)), rising(since=30)),
        ),
        U,
        "it still infers",
    ),
    "restarted after the kill, and blocked": Fleet(
        engine(
            steps((-2000, 1), (15, None), (25, 0)),
            steps((-2000, 0), (15, None), *((25 + 5 * n, 30.0 * (n + 1)) for n in range(8))),
            steps((-2000, 5000), (15, None), (25, 0)),
        ),
        C,
        "blocked",
    ),
    "restarted without the switch": Fleet(
        engine(
            steps((-2000, 1), (15, None), (25, 1)),
            steps((-2000, 0), (15, None), (25, 0)),
            steps((-2000, 5000), (15, None), *((25 + 5 * n, 30.0 * (n + 1)) for n in range(8))),
        ),
        U,
        "it still infers",
    ),
    "infers a little after its restart, then never": Fleet(
        engine(const(0), const(0), steps((-2000, 5000), (25, None), (35, 20))), U, "it still infers"
    ),
    "a block counter born after the kill with its value": Fleet(
        engine(const(0), steps((-2000, None), (40, 7)), rising(until=0)), C, "blocked by the kill switch"
    ),
    "a block counter born before the kill": Fleet(
        engine(const(0), steps((-2000, None), (-20, 7)), rising(until=0)), U, "an idle engine"
    ),
    "an inference counter born after the kill": Fleet(
        {of(ACTIVE): const(0), of(INFER): steps((-2000, None), (40, 7))}, U, "it still infers"
    ),
    "an old block count that stands still": Fleet(engine(const(0), const(900), rising(until=0)), U, "an idle engine"),
    "only inference counters, silent": Fleet({of(INFER): rising(until=0)}, C, "longer than it ever rested"),
    "only inference counters, bursty": Fleet({of(INFER): bursts(70)}, U, "an idle engine"),
    "bursty, with blocks instead of inferences": Fleet(
        engine(const(0), lambda at: 0 if at < 0 else 10 * (at // 12), bursts(12, until=0)), C, "blocked"
    ),
    "only block counters": Fleet({of(BLOCK): rising(since=0, start=0)}, U, "nothing that would show inferences"),
    "two workers by label, both blocked": Fleet(
        {
            of(BLOCK, pid="1"): rising(since=0, start=0),
            of(BLOCK, pid="2"): rising(since=0, start=0),
            of(INFER, pid="1"): rising(until=0),
            of(INFER, pid="2"): rising(until=0),
        },
        C,
        "blocked",
    ),
    "two workers by label, one infers": Fleet(
        {
            of(BLOCK, pid="1"): rising(since=0, start=0),
            of(BLOCK, pid="2"): const(0),
            of(INFER, pid="1"): rising(until=0),
            of(INFER, pid="2"): rising(rate=0.1),
        },
        U,
        "it still infers",
    ),
    "two workers by label, one says nothing": Fleet(
        {
            of(BLOCK, pid="1"): rising(since=0, start=0),
            of(BLOCK, pid="2"): const(0),
            of(INFER, pid="1"): rising(until=0),
            of(INFER, pid="2"): const(9),
        },
        U,
        "some of its workers",
    ),
    "workers that answer in turns": Fleet(
        engine(
            const(0),
            lambda at: (at // 5 % 2) * 500 + max(0, at),
            lambda at: 1000 if at // 5 % 2 else 400,
        ),
        U,
        "several processes answer",
    ),
    "renamed": Fleet(
        {
            key: between(-2000, -10, curve)
            for key, curve in engine(const(1), const(0), rising(), instance="old:1").items()
        }
        | {
            key: between(5, 1e9, curve)
            for key, curve in engine(const(0), rising(since=0, start=0), const(0), instance="new:1").items()
        },
        P,
        "it is silent",
        rungs={"old:1": P, "new:1": C},
    ),
    "one of two disobeys": Fleet(
        engine(const(0), rising(since=0, start=0), rising(until=0), instance="good:1")
        | engine(const(1), const(0), rising(), instance="bad:1"),
        U,
        "it still infers",
        rungs={"good:1": C, "bad:1": U},
    ),
    "the same engine by two Prometheis": Fleet(
        engine(const(0), rising(since=0, start=0), rising(until=0), replica="a")
        | engine(const(0), rising(since=0, start=0), rising(until=0), replica="b"),
        C,
        "blocked",
    ),
    "a second Prometheus that began late": Fleet(
        engine(const(0), const(900), rising(until=0), replica="a")
        | {
            key: between(40, 1e9, curve)
            for key, curve in engine(const(0), const(900), rising(until=0), replica="b").items()
        },
        U,
        "an idle engine",
    ),
    "one sample since": Fleet(
        {key: between(-2000, 1e9, curve) for key, curve in OBEYS.items()}, U, "a second must follow", every=70.0
    ),
    "scraped every 20 s": Fleet(OBEYS, C, "blocked", every=20.0),
    "returns unscraped for a while, and stood still": Fleet(
        {
            key: either(between(-2000, -300, curve), between(40, 1e9, curve))
            for key, curve in engine(const(0), const(900), const(5000)).items()
        },
        U,
        "an idle engine",
    ),
}

KILLED = engine(const(0), rising(), const(1000))
RELEASES = {
    "still blocked": Fleet(KILLED, U, "still blocked", engage=False),
    "infers again": Fleet(
        engine(steps((-2000, 0), (1, 1)), rising(until=0), rising(since=0)), C, "it infers again", engage=False
    ),
    "active again, no traffic": Fleet(
        engine(steps((-2000, 0), (1, 1)), rising(until=0), const(1000)), C, "active_on is 1 again", engage=False
    ),
    "free, but idle": Fleet(engine(const(0), rising(until=0), const(1000)), U, "not inferred yet", engage=False),
    "blocked by one of its workers": Fleet(
        {
            of(BLOCK, worker="1"): rising(until=0),
            of(BLOCK, worker="2"): rising(),
            of(INFER, worker="1"): rising(since=0),
        },
        U,
        "still blocked",
        engage=False,
    ),
    "no model": Fleet(
        engine(const(0), rising(until=0), const(0)) | {of(BLOCK, reason="MODEL_NOT_LOADED"): rising(since=0, start=0)},
        C,
        "no model",
        engage=False,
    ),
    "dead since": Fleet({key: between(-2000, 5, curve) for key, curve in KILLED.items()}, P, "silent", engage=False),
}


def lines(fleet: Fleet, name: str, asked: float) -> Iterator[Line]:
    """The back-filled series: samples at the fleet's pace, none where a scrape no longer shows them.

    The past runs on a little into the future, so that it is fresh when it is looked at.
    """
    moments = [n * fleet.every for n in range(round(-BEFORE / fleet.every), round((AFTER + 60) / fleet.every) + 1)]
    for (metric, labels), curve in fleet.series.items():
        told = dict(labels)
        points = [(asked + at, value) for at in moments if (value := curve(at)) is not None]
        yield Line(metric, told | {"job": "ml", "instance": f"{name}|{told['instance']}"}, points)


@dataclass(frozen=True)
class Looks:
    """One look at all fleets as after a kill, and one as after a release."""

    asked: datetime
    kill: Seen
    release: Seen

    def view(self, name: str, fleet: Fleet) -> KillView:
        """What a fleet by itself is judged to prove."""
        whole = self.kill if fleet.engage else self.release
        own = tuple((each.partition("|")[2], code) for each, code in whole.named if each.partition("|")[0] == name)
        seen = {
            each.partition("|")[2]: at for each, at in (whole.last_seen or {}).items() if each.startswith(f"{name}|")
        }
        request = KillRequest(fleet.engage, self.asked, "ann@example.com", "p99 spike", by_hand=("by hand",))
        late = self.asked + timedelta(seconds=AFTER)
        return judge(request, Seen(own, None, seen, whole.ahead_s, whole.at), late, 30)


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looks]:
    asked = time.time() - AFTER + 15
    history = [line for name, fleet in (KILLS | RELEASES).items() for line in lines(fleet, name, asked)]
    with running(tmp_path_factory.mktemp("fleets"), history=history) as prometheus:
        metrics = Prometheus(prometheus.url, timeout_s=20)
        time.sleep(max(0.0, asked + AFTER - time.time()))
        moment = datetime.fromtimestamp(asked, UTC)
        yield Looks(moment, look(metrics, moment, engage=True), look(metrics, moment, engage=False))


@pytest.mark.parametrize("name", KILLS | RELEASES)
def test_every_fleet_has_its_right_rung(looks: Looks, name: str) -> None:
    fleet = (KILLS | RELEASES)[name]
    view = looks.view(name, fleet)
    assert (view.rung, bool(view.instances)) == (fleet.rung, True), view
    assert fleet.why in view.instances[0].why
    if fleet.rungs:
        assert {each.instance: each.rung for each in view.instances} == fleet.rungs
    assert bool(view.manual) == (fleet.rung is not C)


LARGE = 600
"""More engines than are judged closely one by one."""


def crowd(asked: float, series: Mapping[tuple[str, tuple[tuple[str, str], ...]], Curve]) -> Iterator[Line]:
    """Many engines that do the same, and one that fell silent before the request."""
    for number in range(LARGE):
        yield from lines(Fleet(series, C, "", every=15.0), f"n{number}", asked)
    silent = {key: between(-2000, -300, curve) for key, curve in series.items()}
    yield from lines(Fleet(silent, P, "", every=15.0), "silent", asked)


@pytest.mark.parametrize(
    ("engage", "series", "rung"),
    [
        (True, engine(steps((-2000, 1), (0, 0)), None, rising(until=0)), C),
        (True, engine(const(0), const(0), const(100)), U),
        (False, engine(steps((-2000, 0), (1, 1)), rising(until=0), const(1000)), C),
    ],
    ids=["stopped, and no block counter", "idle", "active again, no traffic"],
)
def test_a_large_fleet_has_the_rung_of_a_small_one(
    tmp_path: Path, engage: bool, series: Mapping[tuple[str, tuple[tuple[str, str], ...]], Curve], rung: Rung
) -> None:
    """The silent one is named either way; without it the crowd would have its own rung."""
    asked = time.time() - AFTER
    with running(tmp_path, history=list(crowd(asked, series))) as prometheus:
        moment = datetime.fromtimestamp(asked, UTC)
        found = look(Prometheus(prometheus.url, timeout_s=60), moment, engage=engage)
    proven = LARGE if rung is C else 0
    assert (found.total, found.proven, found.problem) == (LARGE + 1, proven, "")
    if rung is C:
        assert found.named[0][0].startswith("silent|")
        assert found.named[0][1] is Code.SILENT
        assert found.last_seen
