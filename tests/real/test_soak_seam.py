"""A soak longer than the 11,000 points that Prometheus answers at a time: what happens at the seam of two requests.

A week in cells of a minute is asked for in two requests. A burst and an alert lie across the seam between them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from support.engine_past import HOUR, MINUTE, EnginePast, during, steady
from support.prometheus import Line, running
from support.situations_basics import RULES

from ml.adapters.prometheus import Prometheus
from ml.policy import parse_policy
from ml.slo.promql import split
from ml.slo.soak import SoakJudgement, SoakSubject, judge_soak
from ml.slo.source import Answer, Kind
from ml.verdict import Verdict

pytestmark = pytest.mark.xdist_group("situations")

MODEL = "long"
CELLS = 10_200
SEAM = 10_000
"""Cells of the first request."""
BURST_MINUTES = 8
POLICY = parse_policy(
    b'[soak]\nhours = 170\ncell_minutes = 1\n[alerts]\nquiet = ["FiredBefore"]\n'
    b"[model.long]\nselector = 'model=\"long\"'\n"
)
SLOW = steady({250.0: 20.0})


@dataclass(frozen=True)
class Long:
    """The judgement, with the number of inferences in each minute of the engine's past."""

    judgement: SoakJudgement
    per_minute: float = 60.0

    def parts(self, text: str) -> list[Answer]:
        """The answers to the range query that holds this text, oldest first."""
        ranges = [
            each
            for each in self.judgement.responses
            if isinstance(each, Answer) and each.ask.kind is Kind.RANGE and text in each.query
        ]
        return sorted(ranges, key=lambda each: each.ask.start or datetime.min.replace(tzinfo=UTC))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Long]:
    now = time.time()
    landed = now - CELLS * MINUTE - 10 * MINUTE
    # The newest cells are judged, so the seam lies this long ago, give or take the minutes in which the start is found.
    seam = now - (CELLS - SEAM) * MINUTE
    burst = (seam - BURST_MINUTES / 2 * MINUTE, seam + BURST_MINUTES / 2 * MINUTE)
    engine = EnginePast(
        model=MODEL,
        begin=landed - HOUR,
        end=now + 10 * MINUTE,
        step_s=20.0,
        bounds=(25.0, 100.0, 250.0, 500.0),
        latencies=during(*burst, SLOW, steady({25.0: 20.0})),
    )
    labels = {"alertname": "FiredBefore", "alertstate": "firing", "model": MODEL, "mode": "shadow"}
    alert = Line("ALERTS", labels, [(seam + offset, 1.0) for offset in (-90.0, -30.0, 30.0, 90.0)])
    history = [*engine.lines(), alert]
    with running(tmp_path_factory.mktemp("seam"), history=history, rules=RULES) as server:
        server.rules_evaluated()
        at = datetime.fromtimestamp(now, UTC)
        subject = SoakSubject(MODEL, "long_v2026_02_16_001", "5" * 64, datetime.fromtimestamp(landed, UTC))
        yield Long(judge_soak(Prometheus(server.url, timeout_s=120), POLICY, subject, at, stale_s=600))


QUANTILE = "histogram_quantile(0.99,"


@pytest.mark.parametrize("text", [QUANTILE, "ALERTS{", '"mlconsole", "scrapes"'])
def test_the_week_is_asked_for_in_two_requests_without_a_gap(long: Long, text: str) -> None:
    first, second = long.parts(text)
    assert first.ask.start is not None
    assert first.ask.end is not None
    assert second.ask.start == first.ask.end + timedelta(minutes=1)
    assert (first.ask.end - first.ask.start) == timedelta(minutes=SEAM - 1)
    assert second.ask.end == first.ask.start + timedelta(minutes=CELLS - 1)


def test_a_burst_across_the_seam_is_whole(long: Long) -> None:
    report = long.judgement.report
    p99 = next(tape for tape in report.tapes if tape.objective == "p99")
    assert len(p99.cells) == CELLS
    breached = [index for index, cell in enumerate(p99.cells) if cell == "b"]
    assert {SEAM - 1, SEAM} <= set(breached)
    assert breached == list(range(breached[0], breached[-1] + 1))
    # A cell is judged by what happened in it, so an edge of the burst may lie within one more.
    assert BURST_MINUTES <= len(breached) <= BURST_MINUTES + 2
    assert set(p99.cells) == {"o", "b"}
    verdicts = {gate.name: gate.verdict for gate in report.gates}
    assert (verdicts["soak"], verdicts["p99"]) == (Verdict.FAIL, Verdict.FAIL)
    assert report.breaches == len(breached)


def test_nothing_is_counted_twice(long: Long) -> None:
    counted = [split(each.series)["count"] for each in long.parts(QUANTILE)]
    points = [point for series in counted for each in series for point in each.points]
    assert len(points) == CELLS
    assert max(Counter(at for at, _ in points).values()) == 1
    assert sum(value for _, value in points) == pytest.approx(CELLS * long.per_minute, rel=0.001)
    assert long.judgement.report.coverage == pytest.approx(1.0, abs=0.001)


def test_an_alert_at_the_seam_is_found_with_its_time(long: Long) -> None:
    alerts = next(gate for gate in long.judgement.report.gates if gate.name == "alerts")
    assert alerts.verdict is Verdict.FAIL
    assert alerts.why.count("FiredBefore fired during the soak") == 1
