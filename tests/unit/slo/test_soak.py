"""The soak to the second: when it is long enough, what a cell is, what counts as covered, when it can pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from support.fixed_metrics import NOW, POLICY, START, SUBJECT, FixedMetrics

from ml.board import SoakReport
from ml.policy import parse_policy
from ml.slo.exchanges import Replay
from ml.slo.soak import Killed, judge_soak
from ml.slo.source import SourceUnreachable
from ml.verdict import Verdict


def judged(metrics: FixedMetrics, kills: tuple[Killed, ...] = (), policy: bytes | None = None) -> SoakReport:
    rules = POLICY if policy is None else parse_policy(policy)
    return judge_soak(metrics, rules, SUBJECT, metrics.now, kills).report


def verdicts(report: SoakReport) -> dict[str, Verdict]:
    return {gate.name: gate.verdict for gate in report.gates}


def why(report: SoakReport, gate: str) -> str:
    return next(each.why for each in report.gates if each.name == gate)


def between(
    begin: datetime, end: datetime, then: float | None, otherwise: float | None
) -> Callable[[float], float | None]:
    """One value at the ends of the cells within a time, another at all others."""
    return lambda at: then if begin.timestamp() < at <= end.timestamp() else otherwise


def test_exactly_a_day_passes() -> None:
    report = judged(FixedMetrics())
    assert verdicts(report) == dict.fromkeys(("soak", "p99", "p999", "error_rate", "alerts"), Verdict.PASS)
    assert report.verdict is Verdict.PASS
    assert report.started_at == START
    assert report.elapsed_s == report.required_s == 86_400
    assert report.eligible_at == NOW
    assert report.coverage == 1.0
    assert report.breaches == 0
    assert [len(tape.cells) for tape in report.tapes] == [288] * 4
    assert [tape.objective for tape in report.tapes] == ["p99", "p999", "p95", "error_rate"]
    assert why(report, "soak") == "24h soaked; 288 of the last 288 windows hold data, 0 breached."


@pytest.mark.parametrize("short_s", [1, 60])
def test_a_day_but_a_second_or_a_minute_waits(short_s: int) -> None:
    metrics = FixedMetrics(started=START + timedelta(seconds=short_s))
    report = judged(metrics)
    assert report.verdict is Verdict.WAIT
    assert report.eligible_at == NOW + timedelta(seconds=short_s)
    assert why(report, "soak").startswith("23h59m of 24h soaked; eligible at 2026-02-17T14:0")
    assert verdicts(report)["p99"] is Verdict.WAIT
    assert verdicts(report)["alerts"] is Verdict.PASS


def test_a_long_soak_is_judged_by_its_last_day() -> None:
    metrics = FixedMetrics(started=START - timedelta(days=2))
    metrics.ranged["value"] = [({}, between(START - timedelta(days=2), START, 9_000.0, 0.02))]
    report = judge_soak(metrics, POLICY, replace(SUBJECT, landed_at=START - timedelta(days=2, minutes=1)), NOW).report
    assert report.verdict is Verdict.PASS
    assert report.elapsed_s == 3 * 86_400
    assert report.tapes[0].started_at == START


def test_a_start_within_a_second_begins_at_the_next_whole_one() -> None:
    metrics = FixedMetrics(started=START - timedelta(seconds=0.4))
    assert judged(metrics).started_at == START


def test_the_landing_counts_when_inference_was_seen_before_it() -> None:
    metrics = FixedMetrics(started=SUBJECT.landed_at - timedelta(hours=1))
    assert judged(metrics).started_at == SUBJECT.landed_at


class TestBreaches:
    def burst(self) -> FixedMetrics:
        metrics = FixedMetrics()
        begin = START + timedelta(hours=13)
        metrics.ranged["value"] = [({}, between(begin, begin + timedelta(minutes=10), 612.0, 0.02))]
        return metrics

    def test_two_cells_fail_the_soak_with_their_time_and_value(self) -> None:
        report = judged(self.burst(), policy=b'[[objective]]\nname = "error_rate"\ngate = false\n')
        assert report.verdict is Verdict.FAIL
        assert report.breaches == 2
        assert report.tapes[0].cells.index("b") == 156
        assert report.tapes[0].worst == 156
        assert report.tapes[0].longest_clean == 156
        assert why(report, "p999") == (
            "p999 breached in 2 of 288 windows, worst 612 ms from 2026-02-17T03:00:00Z to 2026-02-17T03:05:00Z."
        )

    def test_it_can_pass_a_day_after_the_last_breach(self) -> None:
        assert judged(self.burst()).eligible_at == START + timedelta(hours=37, minutes=10)

    def test_a_policy_may_spare_some(self) -> None:
        report = judged(self.burst(), policy=b"[soak]\nmax_breaches = 2\n")
        assert verdicts(report)["soak"] is Verdict.PASS
        assert why(report, "soak").endswith("2 breached.")
        assert verdicts(report)["p99"] is Verdict.PASS

    def test_exactly_the_limit_breaches(self) -> None:
        metrics = FixedMetrics()
        metrics.ranged["value"] = [({}, between(START, START + timedelta(minutes=5), 100.0, 0.02))]
        report = judged(metrics)
        assert report.tapes[0].cells[:2] == "bo"
        assert report.tapes[1].cells[:2] == "oo"

    def test_the_worst_series_of_a_cell_counts(self) -> None:
        metrics = FixedMetrics()
        metrics.ranged["value"] = [({"instance": "a"}, lambda _: 0.01), ({"instance": "b"}, lambda _: 101.0)]
        assert set(judged(metrics).tapes[0].cells) == {"b"}

    def test_what_is_only_shown_blocks_nothing(self) -> None:
        metrics = FixedMetrics()
        shown = b'[[objective]]\nname = "p95"\nlimit = 0.001\n'
        report = judged(metrics, policy=shown)
        assert set(report.tapes[2].cells) == {"b"}
        assert report.verdict is Verdict.PASS
        assert next(each for each in report.readings if each.name == "p95").verdict is Verdict.FAIL


class TestCoverage:
    def missing(self, cells: int) -> FixedMetrics:
        metrics = FixedMetrics()
        begin = START + timedelta(hours=5)
        gone = between(begin, begin + timedelta(minutes=5 * cells), None, 0.02)
        metrics.ranged["value"] = [({}, gone)]
        return metrics

    def test_two_missing_cells_of_288_are_spared(self) -> None:
        report = judged(self.missing(2))
        assert report.tapes[0].cells.count(".") == 2
        assert verdicts(report)["soak"] is Verdict.PASS
        assert report.coverage == pytest.approx(286 / 288)
        assert report.eligible_at == NOW

    def test_three_are_not(self) -> None:
        report = judged(self.missing(3))
        assert verdicts(report)["soak"] is Verdict.NO_DATA
        assert why(report, "soak").startswith("Only 99.0 % of the windows hold data; 99 % are needed")
        assert report.eligible_at == START + timedelta(hours=29, minutes=5), "when the first of them is a day old"

    def test_a_cell_with_fewer_than_its_share_of_inferences_holds_no_data(self) -> None:
        metrics = FixedMetrics()
        metrics.ranged["count"] = [({}, between(START, START + timedelta(minutes=5), 3.0, 300.0))]
        assert judged(metrics).tapes[0].cells[:2] == ".o"

    def test_an_infinite_value_is_no_data(self) -> None:
        metrics = FixedMetrics()
        metrics.ranged["value"] = [({}, between(START, START + timedelta(minutes=5), float("inf"), 0.02))]
        assert judged(metrics).tapes[0].cells[:2] == ".o"

    def test_a_restart_cuts_the_streak_and_covers_its_cell(self) -> None:
        metrics = FixedMetrics()
        middle = START + timedelta(hours=12)
        metrics.ranged["resets"] = [({}, between(middle, middle + timedelta(minutes=5), 1.0, 0.0))]
        report = judged(metrics)
        assert report.tapes[0].cells[144] == "r"
        assert report.tapes[0].longest_clean == 144
        assert report.coverage == 1.0
        assert report.verdict is Verdict.PASS

    def test_a_new_instance_is_a_restart_but_a_first_one_is_not(self) -> None:
        metrics = FixedMetrics()
        middle = START + timedelta(hours=12)
        first = ({"instance": "a"}, between(START, middle, 20.0, None))
        second = ({"instance": "b"}, between(START, middle, None, 20.0))
        metrics.ranged["scrapes"] = [first, second]
        metrics.ranged["count"] = [
            (labels, lambda at, of=of: 300.0 if of(at) else None) for labels, of in (first, second)
        ]
        metrics.ranged["value"] = [
            (labels, lambda at, of=of: 0.02 if of(at) else None) for labels, of in (first, second)
        ]
        report = judged(metrics)
        assert report.tapes[0].cells == "o" * 144 + "r" + "o" * 143
        assert report.restarts == 1
        assert verdicts(report)["soak"] is Verdict.PASS


class TestKills:
    def test_a_kill_voids_each_cell_that_it_touches(self) -> None:
        begin = START + timedelta(hours=1, minutes=4)
        report = judged(FixedMetrics(), (Killed(begin, begin + timedelta(minutes=2)),))
        assert report.tapes[0].cells[11:15] == "okko"
        assert verdicts(report)["soak"] is Verdict.PASS

    def test_one_that_lasts_voids_all_that_follow(self) -> None:
        report = judged(FixedMetrics(), (Killed(NOW - timedelta(minutes=15)),))
        assert report.tapes[0].cells.endswith("okkk")
        assert verdicts(report)["soak"] is Verdict.NO_DATA

    def test_one_that_ended_where_a_cell_begins_does_not_touch_it(self) -> None:
        report = judged(FixedMetrics(), (Killed(START, START + timedelta(minutes=5)),))
        assert report.tapes[0].cells[:2] == "ko"

    def test_the_engines_own_counter_tells_too(self) -> None:
        metrics = FixedMetrics()
        metrics.ranged["killed"] = [({}, between(START, START + timedelta(minutes=5), 12.0, 0.0))]
        assert judged(metrics).tapes[0].cells[:2] == "ko"

    def test_a_kill_never_hides_a_breach(self) -> None:
        metrics = FixedMetrics()
        metrics.ranged["value"] = [({}, between(START, START + timedelta(minutes=5), 700.0, 0.02))]
        report = judged(metrics, (Killed(START, START + timedelta(minutes=5)),))
        assert report.tapes[0].cells[:2] == "bo"
        assert report.verdict is Verdict.FAIL


class TestSickness:
    def test_each_question_can_fail_without_a_gate_opening_by_it(self) -> None:
        questions = len(judge_soak(FixedMetrics(), POLICY, SUBJECT, NOW).responses)
        assert questions >= 15
        for number in range(questions):
            metrics = FixedMetrics()
            metrics.failures[number] = SourceUnreachable("Prometheus is gone.", "Start it.")
            report = judged(metrics)
            # p95 is only shown: what it asks (its value as shown, its parts, its tape) blocks nothing.
            shown = "0.95," in metrics.asked[number].promql
            assert report.verdict is (Verdict.PASS if shown else Verdict.ERROR), metrics.asked[number].promql

    def test_a_source_that_is_silent_twice_is_not_asked_again(self) -> None:
        metrics = FixedMetrics()
        metrics.failures = {number: SourceUnreachable("Prometheus is gone.", "Start it.") for number in range(99)}
        report = judged(metrics)
        assert len(metrics.asked) == 2
        assert report.verdict is Verdict.ERROR
        assert set(verdicts(report).values()) == {Verdict.ERROR}

    def test_every_question_is_told_and_played_back_to_the_same_report(self) -> None:
        metrics = FixedMetrics()
        judgement = judge_soak(metrics, POLICY, SUBJECT, NOW)
        assert len(judgement.report.queries) == len(metrics.asked)
        again = judge_soak(Replay(judgement.responses), POLICY, SUBJECT, NOW)
        assert again.report == judgement.report
        assert again.responses == judgement.responses

    def test_warnings_close_every_gate(self) -> None:
        metrics = FixedMetrics()
        metrics.warnings = ["store api missing"]
        report = judged(metrics)
        assert set(verdicts(report).values()) == {Verdict.NO_DATA}
        assert "store api missing" in report.why


def test_a_soak_that_has_only_just_begun_has_no_cells_yet() -> None:
    metrics = FixedMetrics(started=NOW - timedelta(minutes=2))
    report = judge_soak(metrics, POLICY, replace(SUBJECT, landed_at=NOW - timedelta(minutes=3)), NOW).report
    assert report.verdict is Verdict.WAIT
    assert [tape.cells for tape in report.tapes] == [""] * 4
    assert report.coverage == 0.0


def test_a_policy_without_a_gating_objective_proves_nothing() -> None:
    text = "".join(f'[[objective]]\nname = "{name}"\ngate = false\n' for name in ("p99", "p999", "error_rate"))
    report = judged(FixedMetrics(), policy=text.encode())
    assert verdicts(report)["soak"] is Verdict.VACUOUS
