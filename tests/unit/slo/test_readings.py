"""The board's readings: requests within budget whatever the number of models, and what is shown when one is missed."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from support.fixed_metrics import NOW, POLICY, START, FixedMetrics

from ml.policy import parse_policy
from ml.slo.batch import BoardMemory
from ml.slo.readings import StageRead, board_readings
from ml.slo.source import Answer, Kind, SourceTimedOut
from ml.stage import Stage
from ml.verdict import Code, Reading, Verdict

OBJECTIVES = len(POLICY.objectives)
ROUND = OBJECTIVES + 1
"""Requests of a round: who is there, and each objective."""
SECOND = timedelta(seconds=1)


def selectors(count: int) -> bytes:
    return "".join(f"[model.m{number}]\nselector = 'model=\"m{number}\"'\n" for number in range(count)).encode()


A = StageRead("a")


def named(readings: tuple[Reading, ...], name: str) -> Reading:
    return next(each for each in readings if each.name == name)


def test_a_reading_says_what_how_much_of_what_and_since_when() -> None:
    reading = named(board_readings(FixedMetrics(), POLICY, [A], NOW)[A], "p99")
    assert reading.verdict is Verdict.PASS
    assert reading.why == "0.03 ms over 24h and 0.02 ms over 5m, below 100 ms."
    assert (reading.value, reading.limit, reading.unit, reading.window_s) == (0.03, 100.0, "ms", 86_400)
    assert (reading.samples, reading.series, reading.clamped, reading.gate) == (86_400, 1, False, True)
    assert reading.sampled_at == NOW - timedelta(seconds=5)
    assert reading.query.startswith("histogram_quantile(0.99, sum(rate(grinder_ml_inference_latency_ms_bucket")


@pytest.mark.parametrize("models", [2, 7, 200])
def test_a_round_costs_the_same_requests_and_letters_whatever_the_number_of_models(models: int) -> None:
    metrics = FixedMetrics()
    metrics.models = tuple(f"m{number}" for number in range(models))
    wanted = [StageRead(f"m{number}", stage) for number in range(models) for stage in (Stage.SHADOW, Stage.ACTIVE)]
    readings = board_readings(metrics, parse_policy(selectors(models)), wanted, NOW)
    assert len(metrics.asked) == ROUND + 2
    assert sum(len(ask.promql) for ask in metrics.asked) < 40_000
    assert list(readings) == wanted
    assert {reading.verdict for each in readings.values() for reading in each} == {Verdict.PASS}
    assert readings[wanted[0]][0].query.count('model="m0"') == 1


def test_models_of_many_ages_are_asked_about_in_few_windows() -> None:
    metrics = FixedMetrics()
    models = [f"m{number}" for number in range(200)]
    metrics.models = tuple(models)
    wanted = [
        StageRead(name, since=NOW - timedelta(minutes=7 * number + 1)) for number, name in enumerate(models, start=1)
    ]
    readings = board_readings(metrics, parse_policy(selectors(201)), wanted, NOW)
    windows = {found for ask in metrics.asked for found in re.findall(r"\[(\w+)\]", ask.promql)}
    assert len(windows) <= 16 + 2
    assert len(metrics.asked) < 25
    assert {reading.verdict for each in readings.values() for reading in each} == {Verdict.WAIT}


def test_a_selector_of_its_own_is_asked_for_beside_the_others() -> None:
    metrics = FixedMetrics()
    metrics.models = ("m0", "m1", "m2")
    policy = parse_policy(selectors(3) + b"[model.odd]\nselector = 'team=~\"odd|strange\"'\n")
    wanted = [StageRead(name) for name in ("m0", "m1", "m2", "odd")]
    readings = board_readings(metrics, policy, wanted, NOW)
    assert len(metrics.asked) == ROUND + 2
    assert 'team=~"odd|strange"' in metrics.asked[-1].promql
    assert {reading.verdict for each in readings.values() for reading in each} == {Verdict.PASS}


def test_a_text_that_objectives_share_is_asked_once_in_a_round() -> None:
    metrics = FixedMetrics()
    board_readings(metrics, POLICY, [A], NOW)
    asked = "".join(ask.promql for ask in metrics.asked[1:])
    assert asked.count("timestamp(grinder_ml_inference_latency_ms_count") == 1


def test_models_that_share_their_series_are_asked_about_once() -> None:
    metrics = FixedMetrics()
    b = StageRead("b")
    readings = board_readings(metrics, POLICY, [A, b], NOW)
    assert readings[A] == readings[b]
    assert sum(ask.promql.count("histogram_quantile(0.99,") for ask in metrics.asked) == 2


def test_no_model_asks_nothing() -> None:
    metrics = FixedMetrics()
    assert board_readings(metrics, POLICY, [], NOW) == {}
    assert metrics.asked == []


def test_a_model_is_read_on_its_own_stage_and_since_its_own_soak() -> None:
    metrics = FixedMetrics()
    a, b = StageRead("a", Stage.ACTIVE), StageRead("b", since=NOW - (NOW - START) / 4)
    readings = board_readings(metrics, POLICY, [a, b], NOW)
    assert 'mode="active"}[24h]' in metrics.asked[1].promql
    assert 'mode="shadow"}[6h]' in metrics.asked[1].promql
    assert named(readings[a], "p99").verdict is Verdict.PASS
    assert named(readings[b], "p99").verdict is Verdict.WAIT
    assert "[24h]" in named(readings[b], "p99").query


def test_when_only_the_short_window_breaches_it_is_the_one_shown() -> None:
    metrics = FixedMetrics()
    metrics.instant["short"] = [({"instance": "a"}, 20.0), ({"instance": "b"}, 120.0)]
    metrics.instant["lately"] = [({"instance": "a"}, 300.0), ({"instance": "b"}, 300.0)]
    reading = named(board_readings(metrics, POLICY, [A], NOW)[A], "p99")
    assert (reading.verdict, reading.value, reading.window_s, reading.series) == (Verdict.FAIL, 120.0, 300, 2)
    assert reading.why == "120 ms over 5m is not below 100 ms (worst of 2 engines: b)."


def test_a_short_window_with_too_few_inferences_says_nothing() -> None:
    metrics = FixedMetrics()
    metrics.instant["short"] = [({}, 1.0)]
    metrics.instant["lately"] = [({}, 3.0)]
    reading = named(board_readings(metrics, POLICY, [A], NOW)[A], "error_rate")
    assert reading.verdict is Verdict.NO_DATA
    assert reading.why == "Only 3 inferences in the last 5m; 4 are needed."


def test_a_clamped_value_says_so() -> None:
    metrics = FixedMetrics()
    metrics.instant["long"] = [({}, 500.0)]
    reading = named(board_readings(metrics, POLICY, [A], NOW)[A], "p99")
    assert reading.clamped
    assert reading.why.startswith("≥500 ms (clamped) over 24h is not below 100 ms")


def test_an_objective_that_failed_is_an_error_and_the_others_are_read() -> None:
    metrics = FixedMetrics()
    metrics.failures[1] = SourceTimedOut("No answer within 5 s.", "Wait.")
    readings = board_readings(metrics, POLICY, [A], NOW)[A]
    assert [each.verdict for each in readings] == [Verdict.ERROR, *[Verdict.PASS] * (OBJECTIVES - 1)]
    assert readings[0].why == "No answer within 5 s."
    assert readings[0].query
    assert readings[0].limit == 100


def test_when_nothing_was_answered_there_is_nothing_to_show() -> None:
    metrics = FixedMetrics()
    metrics.failures = {number: SourceTimedOut("No answer within 5 s.", "Wait.") for number in range(99)}
    with pytest.raises(SourceTimedOut):
        board_readings(metrics, POLICY, [A], NOW)


class Board:
    """Rounds of one board, a second apart."""

    def __init__(self) -> None:
        self.metrics = FixedMetrics()
        self.memory = BoardMemory()

    def round(self, seconds: float = 1) -> tuple[Reading, ...]:
        self.metrics.now += seconds * SECOND
        self.metrics.asked.clear()
        return board_readings(self.metrics, POLICY, [A], self.metrics.now, memory=self.memory)[A]

    def kinds(self) -> list[Kind]:
        return [ask.kind for ask in self.metrics.asked]


class TestMemory:
    def test_trends_come_one_objective_a_round_and_never_cost_a_request(self) -> None:
        board = Board()
        assert [each.trend for each in board.round()] == [()] * OBJECTIVES
        assert board.kinds() == [Kind.QUERY] * ROUND
        for number in range(OBJECTIVES):
            readings = board.round()
            assert len(board.metrics.asked) == ROUND
            assert board.kinds().index(Kind.RANGE) == number + 1
            assert [len(each.trend) for each in readings] == [24] * (number + 1) + [0] * (OBJECTIVES - number - 1)
        board.round()
        assert board.kinds() == [Kind.QUERY] * ROUND

    def test_they_are_fetched_again_after_five_minutes(self) -> None:
        board = Board()
        for _ in range(OBJECTIVES + 2):
            board.round()
        board.round(seconds=300)
        assert board.kinds().count(Kind.RANGE) == 1

    def test_the_reading_of_such_a_round_is_the_one_before(self) -> None:
        board = Board()
        before = board.round()[0]
        assert board.round()[0].sampled_at == before.sampled_at

    def test_a_missed_answer_leaves_the_reading_twice_and_makes_it_stale_the_third_time(self) -> None:
        board = Board()
        good = board.round()[3]
        for expected in (good.verdict, good.verdict, Verdict.STALE, Verdict.STALE):
            board.metrics.failures = {OBJECTIVES: SourceTimedOut("No answer within 5 s.", "Wait.")}
            reading = board.round(seconds=5)[3]
            assert reading.verdict is expected
            assert reading.value == good.value
            assert reading.sampled_at == good.sampled_at
        assert reading.why == "No good answer for 20s (4 polls). No answer within 5 s."
        board.metrics.failures = {}
        assert board.round()[3].verdict is Verdict.PASS


class Slow(FixedMetrics):
    """A source that needs twenty seconds for each answer; its newest samples are as new as the answer."""

    def query(self, promql: str, at: datetime | None = None) -> Answer:
        self.now += 20 * SECOND
        return super().query(promql, at)


def test_a_slow_round_does_not_take_new_samples_for_samples_of_the_future() -> None:
    readings = board_readings(Slow(), POLICY, [A], NOW)[A]
    assert [(each.verdict, each.code) for each in readings] == [(Verdict.PASS, Code.WITHIN_LIMIT)] * OBJECTIVES
