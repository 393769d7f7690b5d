"""The twelve Prometheus faults of §14: typed and in time, nothing written, no gate open, the kill key alive."""

from __future__ import annotations

import contextlib
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.prometheus_matrix import FAULTS, Sick
from support.sick_server import sick
from support.switches import Bench

from ml.adapters.prometheus import Prometheus
from ml.policy import parse_policy
from ml.slo.readings import StageRead, board_readings
from ml.slo.soak import SoakSubject, judge_soak
from ml.slo.source import MetricsError
from ml.verdict import Verdict

DEADLINE_S, SLOW_MACHINE_S = 0.4, 1.5
POLICY = parse_policy(None)
REGIME = StageRead("regime")
CLOSED = {Verdict.ERROR, Verdict.NO_DATA, Verdict.STALE}


def test_the_matrix_has_its_twelve_rows() -> None:
    assert len(FAULTS) == 12


@pytest.mark.fault("prometheus")
@pytest.mark.parametrize("name", FAULTS)
def test_prometheus_fault(name: str, tmp_path: Path) -> None:
    for variant, each in enumerate(FAULTS[name]):
        with ExitStack() as stack:
            url = stack.enter_context(sick(each.behaviour)).url if each.behaviour else "http://127.0.0.1:1"
            prometheus = Prometheus(url, timeout_s=DEADLINE_S, max_bytes=1 << 20)
            _typed_and_in_time(prometheus, each)
            _no_gate_opens(prometheus, several=name.startswith("several"))
            _the_kill_key_answers(prometheus, tmp_path / str(variant))
        _nothing_is_left()


def _typed_and_in_time(prometheus: Prometheus, each: Sick) -> None:
    started = time.monotonic()
    if each.error is None:
        prometheus.query("up")
    else:
        with pytest.raises(MetricsError, match=each.cause) as caught:
            prometheus.query("up")
        assert type(caught.value) is each.error
        assert caught.value.remedy.endswith(".")
        assert caught.value.exit_code in (3, 4)
    assert time.monotonic() - started < DEADLINE_S + SLOW_MACHINE_S


def _no_gate_opens(prometheus: Prometheus, *, several: bool) -> None:
    now = datetime.now(UTC)
    subject = SoakSubject("regime", "regime_v2026_02_16_001", "5" * 64, now - timedelta(hours=25))
    report = judge_soak(prometheus, POLICY, subject, now).report
    assert not report.verdict.opens
    assert report.why
    for gate in report.gates:
        assert gate.verdict in {*CLOSED, Verdict.FAIL, Verdict.WAIT, Verdict.VACUOUS}, gate
        assert gate.why.endswith(".")
    readings = []
    with contextlib.suppress(MetricsError):  # not one objective got an answer: there is nothing that could be green
        readings = list(board_readings(prometheus, POLICY, [REGIME], now)[REGIME])
    for reading in readings:
        assert reading.verdict in (CLOSED | {Verdict.FAIL} if several else CLOSED), reading
        assert reading.why.endswith(".")


def _the_kill_key_answers(prometheus: Prometheus, folder: Path) -> None:
    """While a question is under way: the kill file is written within a second, and nothing else is."""
    bench = Bench(folder)
    registry = folder / "models.json"
    registry.parent.mkdir(parents=True, exist_ok=True)
    registry.write_bytes(b"{}\n")
    asking = threading.Thread(target=_ask, args=(prometheus,))
    asking.start()
    started = time.monotonic()
    assert bench.switch.engage("ann@example.com", "p99 spike").written
    assert time.monotonic() - started < 1.0
    asking.join(5)
    assert b"ML_KILL_SWITCH=1" in bench.file.read_bytes()
    assert bench.leftovers() == []
    assert registry.read_bytes() == b"{}\n"


def _ask(prometheus: Prometheus) -> None:
    with contextlib.suppress(MetricsError):
        prometheus.query("up")


def _nothing_is_left() -> None:
    ends = time.monotonic() + 3
    while any(thread.name == "http" for thread in threading.enumerate()):
        assert time.monotonic() < ends, "a request outlives its deadline"
        time.sleep(0.01)
