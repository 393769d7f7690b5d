"""The dashboard review: what is odd is said with its size, what is not is not, and the drawing is always the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from support.fixed_metrics import NOW, POLICY, FixedMetrics

from ml.slo.charts import Chart, Line, draw
from ml.slo.review import Review, oddities, review
from ml.slo.source import SourceTimedOut

DAY = NOW - timedelta(days=1)
SVG = "{http://www.w3.org/2000/svg}"


def noisy(level: Callable[[int], float], seed: int = 7) -> tuple[float, ...]:
    """A day in five-minute steps with a tenth of noise."""
    chance = random.Random(seed)
    return tuple(level(index) * chance.uniform(0.95, 1.05) for index in range(288))


def chart(*lines: Line, unit: str = "ms") -> Chart:
    return Chart("Latency", unit, DAY, 300, lines, 100.0)


def shadow(values: Sequence[float | None], name: str = "p99") -> Line:
    return Line(name, "shadow", tuple(values))


class TestOddities:
    def test_a_quiet_day_has_none(self) -> None:
        flat = noisy(lambda _: 20.0)
        assert oddities([chart(shadow(flat), Line("p99", "active", noisy(lambda _: 20.5, seed=9)))]) == ()

    def test_a_rise_between_the_halves(self) -> None:
        found = oddities([chart(shadow(noisy(lambda index: 20.0 if index < 144 else 30.0)))])
        assert found == (
            "p99 shadow is higher: median 19.8 ms → 30.1 ms (effect 1.00 of 1, large) "
            "from the first half of the day to the second.",
        )

    def test_a_small_shift_is_none_however_sure_it_is(self) -> None:
        assert oddities([chart(shadow(noisy(lambda index: 20.0 if index < 144 else 21.5)))]) == ()

    def test_a_burst_is_no_shift_but_a_spike_with_its_time(self) -> None:
        found = oddities([chart(shadow(noisy(lambda index: 480.0 if index in (100, 101) else 20.0)))])
        assert len(found) == 1
        assert found[0].startswith("p99 shadow spikes in 2 of 288 windows, highest 4")
        assert "at 2026-02-16T22:30:00Z (over 99 deviations above the median)" in found[0]

    def test_shadow_against_active(self) -> None:
        slow, fast = shadow(noisy(lambda _: 40.0)), Line("p99", "active", noisy(lambda _: 20.0, seed=3))
        (found,) = oddities([chart(slow, fast)])
        assert found == "p99 shadow is higher: median 20 ms → 39.9 ms (effect 1.00 of 1, large) against active."

    def test_gaps_are_counted(self) -> None:
        gappy = [None if 40 <= index < 52 else value for index, value in enumerate(noisy(lambda _: 20.0))]
        assert oddities([chart(shadow(gappy))]) == ("p99 shadow was not measured in 12 of 288 windows.",)

    def test_blocks_are_counted_by_reason(self) -> None:
        blocks = chart(Line("KILL_SWITCH_ENV", "", (None, 600.0, 604.0)), unit="blocks")
        assert oddities([blocks]) == ("1,204 snapshots were blocked by KILL_SWITCH_ENV.",)

    def test_a_constant_line_and_a_short_one_are_no_puzzle(self) -> None:
        assert oddities([chart(shadow([0.0] * 288)), chart(shadow([1.0, 900.0]))]) == ()


class TestDrawing:
    def lines(self) -> tuple[Line, ...]:
        gappy = [None if 100 <= index < 110 else 20.0 + index % 7 for index in range(288)]
        return shadow(gappy), Line("<script>alert(1)</script>", "active", (90.0,) * 288)

    def test_the_same_data_gives_the_same_bytes(self) -> None:
        assert draw([chart(*self.lines())], "a") == draw([chart(*self.lines())], "a")

    def test_it_is_one_picture_in_which_text_is_text_and_a_gap_is_a_gap(self) -> None:
        root = ElementTree.fromstring(draw([chart(*self.lines())], "<b>&"))
        assert root.tag == f"{SVG}svg"
        texts = [each.text for each in root.iter(f"{SVG}text")]
        assert "<b>&" in texts
        assert "<script>alert(1)</script> active" in texts
        assert {"2026-02-16T14:05:00Z", "2026-02-17T14:00:00Z"} <= set(texts)
        assert len(list(root.iter(f"{SVG}polyline"))) == 3
        assert {each.tag for each in root.iter()} <= {
            f"{SVG}{name}" for name in ("svg", "g", "path", "polyline", "rect", "text")
        }

    def test_lines_differ_by_more_than_colour(self) -> None:
        """Four quantiles of two stages."""
        lines = [Line(str(number), "shadow", (1.0, 2.0)) for number in range(8)]
        root = ElementTree.fromstring(draw([chart(*lines)], "a"))
        assert len({each.get("stroke-dasharray") for each in root.iter(f"{SVG}polyline")}) == 8

    def test_nothing_measured_is_still_a_picture(self) -> None:
        assert ElementTree.fromstring(draw([chart()], "a")).tag == f"{SVG}svg"


class TestReview:
    def seen(self, metrics: FixedMetrics) -> Review:
        return review(metrics, POLICY, "regime_classifier", NOW)

    def day(self) -> FixedMetrics:
        metrics = FixedMetrics()
        metrics.ranged["shadow"] = [({}, lambda at: 20.0 + at % 3)]
        metrics.ranged["active"] = [({}, lambda at: 20.0 + at % 3)]
        metrics.ranged["blocks"] = [({"reason": "MODEL_NOT_LOADED"}, lambda _: 0.0)]
        return metrics

    def test_three_requests_give_three_charts_and_a_fourth_counts_restarts(self) -> None:
        metrics = self.day()
        seen = self.seen(metrics)
        assert len(metrics.asked) == 4
        assert [each.title for each in seen.charts] == ["Latency", "Error rate", "Blocked snapshots"]
        assert [line.title for line in seen.charts[0].lines] == [
            *("p50 shadow", "p95 shadow", "p99 shadow", "p99.9 shadow"),
            *("p50 active", "p95 active", "p99 active", "p99.9 active"),
        ]
        assert all(len(line.values) == 288 for each in seen.charts for line in each.lines)
        assert seen.charts[0].limit == 100
        assert seen.charts[1].limit == 5
        assert (seen.problem, seen.oddities) == ("", ())
        assert b"regime_classifier: the 24 hours to 2026-02-17T14:00:00Z" in seen.svg

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_a_failed_question_is_a_problem_and_not_a_quiet_day(self, number: int) -> None:
        metrics = self.day()
        metrics.failures[number] = SourceTimedOut("No answer within 5 s.", "Wait.")
        assert self.seen(metrics).problem == "No answer within 5 s."

    def test_so_are_a_warning_and_nothing_to_see(self) -> None:
        warned, empty = self.day(), self.day()
        warned.warnings = ["partial response"]
        assert "partial response" in self.seen(warned).problem
        empty.ranged["shadow"] = []
        assert "nothing to review" in self.seen(empty).problem
