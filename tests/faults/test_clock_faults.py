"""The four clock faults of contract §14: a soak that would pass is NO_DATA as soon as no time can be trusted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.engine_past import EnginePast
from support.prometheus import RealPrometheus, running
from support.switches import Bench

from ml.adapters.prometheus import Prometheus
from ml.board import SoakReport
from ml.policy import parse_policy
from ml.slo.readings import StageRead, board_readings
from ml.slo.soak import SoakSubject, judge_soak
from ml.verdict import Verdict

pytestmark = pytest.mark.xdist_group("clocks")

POLICY = parse_policy(b"[alerts]\nquiet = ['Quiet']\n")
RULES = "groups: [{name: quiet, rules: [{alert: Quiet, expr: 'rate(grinder_ml_inference_total[5m]) > 1e9'}]}]"
SOAKED = timedelta(hours=24, minutes=2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    now = time.time()
    past = EnginePast(model="regime", begin=now - 25 * 3600, end=now + 600)
    with running(tmp_path_factory.mktemp("clocks"), history=past.lines(), rules=RULES) as prometheus:
        prometheus.rules_evaluated()
        yield prometheus


class Clock:
    """The machine's clock, ``off`` by so much; it jumps by ``jump`` after it was read ``steady`` times."""

    def __init__(self, off: timedelta = timedelta(), jump: timedelta = timedelta(), steady: int = 10**9) -> None:
        self.off, self.jump, self.steady = off, jump, steady

    def __call__(self) -> datetime:
        self.steady -= 1
        return datetime.now(UTC) + self.off + (self.jump if self.steady < 0 else timedelta())


def judged(server: RealPrometheus, clock: Clock, landed: timedelta = SOAKED) -> SoakReport:
    now = clock()
    subject = SoakSubject("regime", "regime_v2026_02_16_001", "5" * 64, now - landed)
    return judge_soak(Prometheus(server.url, now=clock), POLICY, subject, now).report


def closed(report: SoakReport, sentence: str) -> None:
    """NO_DATA for the soak and each objective, with the reason; and the kill key needs no clock that is right."""
    assert report.verdict is Verdict.NO_DATA
    for gate in report.gates:
        if gate.name != "alerts":
            assert gate.verdict is Verdict.NO_DATA
            assert sentence in gate.why


def test_with_a_clock_that_is_right_this_soak_passes(server: RealPrometheus) -> None:
    report = judged(server, Clock())
    assert report.verdict is Verdict.PASS, report.why


@pytest.mark.fault("clock")
def test_the_wall_clock_steps_back(server: RealPrometheus, tmp_path: Path) -> None:
    closed(judged(server, Clock(jump=timedelta(hours=-1), steady=5)), "The wall clock went back by 59m")
    behind = Clock(off=timedelta(hours=-1))
    regime = StageRead("regime")
    readings = board_readings(Prometheus(server.url, now=behind), POLICY, [regime], behind())[regime]
    assert {reading.verdict for reading in readings} == {Verdict.NO_DATA}
    started = time.monotonic()
    assert Bench(tmp_path).switch.engage("ann@example.com", "spike").written
    assert time.monotonic() - started < 1


@pytest.mark.fault("clock")
def test_prometheus_has_another_time(server: RealPrometheus) -> None:
    for off_s, side in ((-90, "ahead of"), (90, "behind")):
        closed(judged(server, Clock(off=timedelta(seconds=off_s))), f"{side} ours, so no age can be trusted")


@pytest.mark.fault("clock")
def test_the_pointer_landed_in_the_future(server: RealPrometheus) -> None:
    closed(judged(server, Clock(), landed=-timedelta(hours=3)), "in the future: a clock is wrong")


@pytest.mark.fault("clock")
def test_the_machine_was_suspended_meanwhile(server: RealPrometheus) -> None:
    closed(judged(server, Clock(jump=timedelta(hours=8), steady=4)), "The wall clock went forward by")
