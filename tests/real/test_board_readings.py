"""The board's round on a real Prometheus: many models, few requests, and what really serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.engine_past import EnginePast, steady
from support.prometheus import RealPrometheus, running
from support.sick_server import response, says, sick

from ml.adapters.prometheus import Prometheus
from ml.board import Serving
from ml.policy import parse_policy
from ml.slo.batch import BoardMemory
from ml.slo.charts import measures
from ml.slo.exchanges import Recorder
from ml.slo.readings import StageRead, board_readings
from ml.slo.review import review
from ml.slo.roster import serving
from ml.slo.source import Kind
from ml.stage import Stage
from ml.verdict import Verdict

MODELS = 30
M0 = StageRead("m0")
BUCKETS = (10.0, 25.0, 50.0, 100.0, 250.0)
POLICY = parse_policy("".join(f"[model.m{n}]\nselector = 'model=\"m{n}\"'\n" for n in range(MODELS)).encode())


class TestManyModels:
    @pytest.fixture(scope="class")
    def server(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
        now = time.time()
        pasts = [
            EnginePast(
                model=f"m{number}",
                begin=now - 3600,
                end=now + 600,
                bounds=BUCKETS,
                latencies=steady({BUCKETS[number % 5]: 64.0}),
                errors=lambda _, number=number: float(number),  # type: ignore[misc]
            )
            for number in range(MODELS)
        ]
        sick = EnginePast(
            model="m0",
            begin=now - 3600,
            end=now + 600,
            mode="active",
            counter_mode="active",
            instance="live:8000",
            latencies=steady({250.0: 64.0}),
        )
        pasts.append(sick)
        lines = [line for past in pasts for line in past.lines()]
        with running(tmp_path_factory.mktemp("board"), history=lines) as prometheus:
            yield prometheus

    def test_each_model_has_its_own_numbers_for_seven_requests(self, server: RealPrometheus) -> None:
        recorder = Recorder(Prometheus(server.url, timeout_s=20))
        wanted = [StageRead(f"m{number}") for number in range(MODELS)]
        policy = parse_policy(POLICY.source + b"[soak]\nhours = 1\nmin_samples = 10\nmin_coverage = 0.9\n")
        readings = board_readings(_Asking(recorder), policy, wanted, datetime.now(UTC))
        assert [exchange.ask.kind for exchange in recorder.exchanges] == [Kind.QUERY] * 7
        for number, each in enumerate(wanted):
            p99, _, _, errors = readings[each]
            lower = (0.0, *BUCKETS)[number % 5]
            assert p99.value == pytest.approx(lower + 0.99 * (BUCKETS[number % 5] - lower), rel=1e-6)
            assert p99.verdict is (Verdict.FAIL if number % 5 == 4 else Verdict.PASS), p99.why
            assert errors.value == pytest.approx(number / (64 + number), rel=1e-6)

    def test_a_sick_active_is_seen_while_its_successor_soaks_well_for_no_further_request(
        self, server: RealPrometheus
    ) -> None:
        recorder = Recorder(Prometheus(server.url, timeout_s=20))
        policy = parse_policy(POLICY.source + b"[soak]\nhours = 1\nmin_samples = 10\nmin_coverage = 0.9\n")
        live = StageRead("m0", Stage.ACTIVE)
        readings = board_readings(_Asking(recorder), policy, [M0, live], datetime.now(UTC))
        assert [exchange.ask.kind for exchange in recorder.exchanges] == [Kind.QUERY] * 5
        assert readings[M0][0].verdict is Verdict.PASS
        assert readings[live][0].verdict is Verdict.FAIL
        assert readings[live][0].value == pytest.approx(100 + 0.99 * 150, rel=1e-6)

    def test_a_review_draws_shadow_against_active_and_names_what_is_odd(self, server: RealPrometheus) -> None:
        seen = review(Prometheus(server.url, timeout_s=20), POLICY, "m0", datetime.now(UTC))
        assert seen.problem == ""
        p99 = next(each for each in measures(seen.charts) if each.name == "p99")
        shadow, active = p99.of("shadow"), p99.of("active")
        assert shadow is not None
        assert active is not None
        assert (p99.windows, p99.limit, p99.chart.unit) == (288, 100.0, "ms")
        assert shadow.highest == pytest.approx(9.9, rel=1e-6)
        assert active.highest == pytest.approx(248.5, rel=1e-6)
        assert 10 <= p99.over <= 14
        assert shadow.values[0] is None
        assert any("p99 shadow was not measured in" in each for each in seen.oddities)

    def test_a_sparkline_is_a_day_of_hours(self, server: RealPrometheus) -> None:
        memory, metrics = BoardMemory(), Prometheus(server.url)
        for _ in range(2):
            readings = board_readings(metrics, POLICY, [M0], datetime.now(UTC), memory=memory)[M0]
        assert len(readings[0].trend) == 24
        assert readings[0].trend[:22] == (None,) * 22
        assert readings[0].trend[23] == pytest.approx(9.9, rel=1e-6)


class _Asking:
    """A recorder as the source that it asks; here every question is answered."""

    at_once = 1

    def __init__(self, recorder: Recorder) -> None:
        self.query = recorder.query
        self.query_range = recorder.query_range


METRICS = """# TYPE grinder_ml_model_info gauge
grinder_ml_model_info{mode="%s",artifact_id="%s",registry_commit="abc123"} 1
# TYPE grinder_ml_active_on gauge
grinder_ml_active_on %d
"""


def exporter(mode: Stage, artifact: str, active_on: int) -> bytes:
    text = (METRICS % (mode, artifact, active_on)).encode()
    return response(text, headers="Content-Type: text/plain; version=0.0.4\r\n")


def until(holds: Callable[[], object], deadline_s: float = 30.0) -> None:
    ends = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < ends, "this never came true"
        time.sleep(0.05)


def test_what_really_serves_and_what_has_fallen_silent(tmp_path: Path) -> None:
    policy = parse_policy(b"[model.regime]\nselector = 'model=\"regime\"'\n")
    with ExitStack() as stack:
        shadow = stack.enter_context(sick(says(exporter(Stage.SHADOW, "regime_v2026_02_16_001", 0))))
        dying = ExitStack()
        active = dying.enter_context(sick(says(exporter(Stage.ACTIVE, "regime_v2026_02_15_001", 1))))
        stack.push(dying)
        targets = ", ".join(f"'{each.url.removeprefix('http://')}'" for each in (shadow, active))
        static = f"[{{targets: [{targets}], labels: {{model: regime}}}}]"
        scrape = f"scrape_configs: [{{job_name: engine, static_configs: {static}}}]"
        prometheus = Prometheus(stack.enter_context(running(tmp_path, config=scrape)).url)

        def instances() -> dict[Stage, Serving]:
            found = serving(prometheus, policy, ["regime", "unselective"])
            assert found["regime"] == found["unselective"]
            return {each.stage: each for each in found["regime"] if each.up is not None}

        until(lambda: len(instances()) == 2)
        found = instances()
        assert found[Stage.SHADOW] == Serving(
            instance=shadow.url.removeprefix("http://"),
            stage=Stage.SHADOW,
            artifact_id="regime_v2026_02_16_001",
            registry_commit="abc123",
            active_on=0.0,
            up=True,
        )
        assert (found[Stage.ACTIVE].active_on, found[Stage.ACTIVE].up) == (1.0, True)

        dying.close()
        until(lambda: instances().get(Stage.ACTIVE, found[Stage.ACTIVE]).up is False)
        silent = instances()[Stage.ACTIVE]
        assert (silent.artifact_id, silent.active_on) == ("regime_v2026_02_15_001", None)
        assert instances()[Stage.SHADOW].up is True
