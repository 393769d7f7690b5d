"""The twelve Prometheus faults of FAULTS.md: typed and in time, nothing written, no gate open, the kill key alive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import unquote_plus

import pytest
from fakes import FakeOperations, FrozenClock
from support.sick_server import Behaviour, Visit, drips, floods, hangs, response, says, sick
from support.switches import Bench
from textual import events

from console.app import ConsoleApp
from ml.adapters.prometheus import Prometheus
from ml.board import Board
from ml.policy import parse_policy
from ml.slo.promql import TAG
from ml.slo.readings import StageRead, board_readings
from ml.slo.soak import SoakSubject, judge_soak
from ml.slo.source import BadAnswer, MetricsError, QuestionRefused, SourceTimedOut, SourceUnreachable
from ml.verdict import Verdict

DEADLINE_S = 0.4
POLICY = parse_policy(None)
REGIME = StageRead("regime")
CLOSED = {Verdict.ERROR, Verdict.NO_DATA, Verdict.STALE}
_KEYS = re.compile(rf'"{TAG}", "(\w+)')


@dataclass(frozen=True)
class Sick:
    """One way to be sick: what the server does, and the failure that a question meets; ``None``: data, but bad."""

    behaviour: Behaviour | None
    error: type[MetricsError] | None = None
    cause: str = ""


def html() -> bytes:
    return response(b"<!doctype html><title>Sign in</title>", headers="Content-Type: text/html\r\n")


def envelope(**members: object) -> bytes:
    return response(json.dumps(members).encode())


def status(line: str) -> Sick:
    return Sick(says(response(b"{}", line)), SourceUnreachable, f"({line[:3]})|status {line[:3]}")


def answers(value: Callable[[str, float], Iterable[tuple[dict[str, str], str]]], **more: object) -> Behaviour:
    """A Prometheus whose answer to each part of a question is what ``value`` says, for the part's name and the time."""

    def act(visit: Visit) -> None:
        now = time.time()
        keys = _KEYS.findall(unquote_plus(visit.request)) or ["shown"]
        found = [({**labels, TAG: key}, text) for key in dict.fromkeys(keys) for labels, text in value(key, now)]
        if "/query_range" in visit.request:
            series = [{"metric": labels, "values": [[now - 300 * i, text] for i in range(3)]} for labels, text in found]
            data: dict[str, object] = {"resultType": "matrix", "result": series}
        else:
            series = [{"metric": labels, "value": [now, text]} for labels, text in found]
            data = {"resultType": "vector", "result": series}
        if "/rules" in visit.request or "/alerts" in visit.request:
            data = {"groups": [], "alerts": []}
        visit.connection.sendall(envelope(status="success", data=data, **more))

    return act


def healthy(age_s: float = 0, cells: float = 288) -> Callable[[str, float], Iterable[tuple[dict[str, str], str]]]:
    """A day that would pass, but for the age of its newest sample or the windows that hold data."""

    def value(key: str, now: float) -> Iterable[tuple[dict[str, str], str]]:
        if key in ("blind", "uncounted", "foreign", "killed"):
            return []
        numbers = {"newest": now - age_s, "covered": cells, "long": 0.01, "short": 0.01}
        return [({"le": "500.0"}, str(numbers.get(key, 90_000.0)))]

    return value


def everywhere(text: str) -> Behaviour:
    return answers(lambda key, now: [({}, text)])


def one_is_bad(key: str, now: float) -> Iterable[tuple[dict[str, str], str]]:
    well = list(healthy()(key, now))
    return [*well, ({"instance": "b"}, "9000")] if key in ("long", "short", "value") else well


EMPTY: dict[str, object] = {"resultType": "vector", "result": []}
WHOLE = envelope(status="success", data=EMPTY)
FAULTS = {
    "refused": [Sick(None, SourceUnreachable, "cannot be reached: Connection refused")],
    "hang": [Sick(hangs, SourceTimedOut, "no complete answer within")],
    "slow drip": [Sick(drips(WHOLE), SourceTimedOut, "no complete answer within")],
    "5xx and 429": [status("500 Oops"), status("502 Bad Gateway"), status("503 Busy"), status("429 Too Many Requests")],
    "4xx and 401": [
        Sick(says(response(b"{}", "401 Unauthorized")), QuestionRefused, r"refuses our credentials \(401\)"),
        Sick(says(response(b"{}", "404 Not Found")), QuestionRefused, "status 404"),
        Sick(
            says(response(b'{"status":"error","errorType":"bad_data","error":"parse error"}', "400 Bad Request")),
            QuestionRefused,
            "Prometheus refused the query: parse error",
        ),
    ],
    "HTML with 200": [Sick(says(html()), BadAnswer, "not JSON; it begins with “<!doctype html>")],
    "status=error with 200": [
        Sick(says(envelope(status="error", error="boom", errorType="internal")), SourceUnreachable, "boom"),
        Sick(
            says(
                envelope(status="error", error="late", errorType="timeout", data={"resultType": "vector", "result": []})
            ),
            SourceTimedOut,
            "late",
        ),
    ],
    "truncated or huge body": [
        Sick(says(WHOLE[:-20]), BadAnswer, "breaks off"),
        Sick(says(response(b'{"status":"success","data"')), BadAnswer, "not JSON"),
        Sick(says(response(b"[" * 100_000)), BadAnswer, "not JSON"),
        Sick(floods(), BadAnswer, "more than 1 MiB"),
    ],
    "NaN and infinite": [Sick(everywhere("NaN")), Sick(everywhere("+Inf")), Sick(everywhere("-Inf"))],
    "empty or missing series": [
        Sick(says(WHOLE), None),
        Sick(answers(lambda key, now: [])),
        Sick(says(envelope(status="success")), BadAnswer, "holds no data"),
    ],
    "several series or wrong type": [
        Sick(answers(one_is_bad)),
        Sick(
            says(envelope(status="success", data={"resultType": "string", "result": [1, "x"]})),
            BadAnswer,
            "The query's result is a string",
        ),
        Sick(
            says(envelope(status="success", data={"resultType": "vector", "result": [{"metric": {}}]})),
            BadAnswer,
            "malformed",
        ),
    ],
    "warnings, stale samples, partial window": [
        Sick(answers(healthy(), warnings=["remote storage is not there"])),
        Sick(answers(healthy(age_s=240))),
        Sick(answers(healthy(cells=2))),
    ],
}


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
    assert time.monotonic() - started < DEADLINE_S + 0.3


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


class SickBoard(FakeOperations):
    """A façade whose board asks a sick Prometheus, as the real one does."""

    def __init__(self, prometheus: Prometheus) -> None:
        super().__init__()
        self.prometheus = prometheus
        self.rounds = 0

    def board(self) -> Board:
        self.rounds += 1
        with contextlib.suppress(MetricsError):
            board_readings(self.prometheus, POLICY, [REGIME], datetime.now(UTC))
        return super().board()


@pytest.mark.parametrize("behaviour", [hangs, drips(WHOLE), floods()], ids=["hang", "drip", "flood"])
async def test_a_sick_source_costs_a_key_press_less_than_100_ms(behaviour: Behaviour) -> None:
    """Against the same keys on a façade that asks nobody, because this machine may be busy with other tests."""
    well = await _median_key(FakeOperations())
    with sick(behaviour) as server:
        operations = SickBoard(Prometheus(server.url, timeout_s=2, max_bytes=1 << 20))
        ill = await _median_key(operations)
    assert operations.rounds >= 1
    assert ill - well < 0.1, (ill, well)


async def _median_key(operations: FakeOperations) -> float:
    app = ConsoleApp(operations, FrozenClock(), poll_seconds=0.05)
    views = ("2", "3", "4", "1")
    async with app.run_test(size=(80, 24)):
        for key in views:  # a view is loaded when it is first shown
            await _pressed(app, key)
        return median([await _pressed(app, key) for key in views * 3])


async def _pressed(app: ConsoleApp, key: str) -> float:
    """Seconds from a key to the screen that it shows. (The pilot's own `press` waits for an idle processor.)"""
    before, started = app.screen, time.monotonic()
    app.post_message(events.Key(key, key))
    while app.screen is before or not app.screen.is_current:
        assert time.monotonic() - started < 5
        await asyncio.sleep(0.001)
    return time.monotonic() - started
