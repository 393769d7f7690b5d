"""The tape's arithmetic to the second: its grid, its rows, kills, coverage, and from when a soak counts."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from support.fixed_metrics import NOW, POLICY, START, SUBJECT, FixedMetrics

from ml.board import Tape
from ml.policy import parse_policy
from ml.slo.engines import Engine
from ml.slo.exchanges import Recorder
from ml.slo.promql import Attribution, Scope
from ml.slo.source import Series
from ml.slo.tape import (
    Course,
    Events,
    Grid,
    Killed,
    Row,
    SoakSubject,
    Start,
    breach_cells,
    coverage,
    eligible_at,
    find_start,
    first_seen_query,
    killed_cells,
    replaced,
    row,
    rows,
    tape,
    uncovered_cells,
)
from ml.stage import Stage
from ml.verdict import Code, Verdict

P99 = POLICY.objectives[0]
A: Engine = (("instance", "a"),)
B: Engine = (("instance", "b"),)
GRID = Grid(START, 300, 4)
NOTHING = Events((False,) * 4, (False,) * 4)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class TestGrid:
    @pytest.mark.parametrize(
        ("passed_s", "cells", "skipped"),
        [
            (-1, 0, 0),
            (0, 0, 0),
            (299, 0, 0),
            (300, 1, 0),
            (599, 1, 0),
            (1_200, 4, 0),
            (1_499, 4, 0),
            (1_500, 4, 1),
            (3_000, 4, 6),
        ],
    )
    def test_complete_cells_count_and_at_most_a_soaks_are_shown(self, passed_s: int, cells: int, skipped: int) -> None:
        grid = Grid.of(START, at(passed_s), 300, 1_200)
        assert (grid.cells, grid.skipped, grid.start) == (cells, skipped, at(skipped * 300))
        assert grid.step_s == 300

    def test_a_cell_ends_where_it_is_evaluated(self) -> None:
        assert [GRID.end_of(index) for index in (0, 3)] == [at(300), at(1_200)]
        assert [GRID.index_at(at(seconds).timestamp()) for seconds in (300, 449, 451, 600, 1_200, 1_500, 0)] == [
            0,
            0,
            1,
            1,
            3,
            4,
            -1,
        ]


class TestRows:
    def test_the_worst_finite_number_of_a_cell(self) -> None:
        def series(name: str, *points: tuple[float, float]) -> Series:
            moments = tuple((at(seconds).timestamp(), value) for seconds, value in points)
            return Series((("instance", name), ("mode", "shadow")), moments)

        first = series("a", (0, 9.0), (300, 1.0), (600, 5.0), (900, math.nan), (1_200, math.inf), (1_500, 7.0))
        second = series("b", (300, 2.0), (600, 4.0), (900, 3.0))
        assert row(GRID, [first, second]) == (2.0, 5.0, 3.0, None)
        assert row(GRID, [series("a", (1_200, 6.0))]) == (None, None, None, 6.0)
        assert rows(GRID, [second, first]) == {A: (1.0, 5.0, None, None), B: (2.0, 4.0, 3.0, None)}


class TestKills:
    @pytest.mark.parametrize(
        ("kill", "touched"),
        [
            (Killed(at(300), at(600)), (1,)),
            (Killed(at(299), at(300)), (0,)),
            (Killed(at(299), at(301)), (0, 1)),
            (Killed(at(350), at(351)), (1,)),
            (Killed(at(600)), (2, 3)),
            (Killed(at(-500), at(0)), ()),
            (Killed(at(-500), at(1)), (0,)),
            (Killed(at(1_200)), ()),
            (Killed(at(1_199)), (3,)),
        ],
    )
    def test_which_cells_a_kill_touches(self, kill: Killed, touched: tuple[int, ...]) -> None:
        found = killed_cells(GRID, [kill], (None,) * 4)
        assert tuple(index for index, hit in enumerate(found) if hit) == touched

    def test_the_engines_own_counter_tells_of_kills_that_nobody_wrote_down(self) -> None:
        assert killed_cells(GRID, [], (None, 0.0, 0.5, 1.0)) == (False, False, True, True)


def drawn(values: Row, counts: Row = (300.0,) * 4, events: Events = NOTHING, scrapes: Row = (20.0,) * 4) -> Tape:
    course = Course(values={A: values}, counts={A: counts}, scrapes={A: scrapes}, expected=20.0)
    return tape(P99, GRID, course, events, least=4)


class TestCells:
    def test_what_a_cell_is_called_when_several_things_happened_in_it(self) -> None:
        kill, restart = (True, True, False, False), (True, False, True, False)
        found = drawn((150.0, 20.0, 20.0, 20.0), events=Events(restart, kill))
        assert found.cells == "bkro", "a breach is a breach, a kill voids, a restart covers"
        assert drawn((20.0,) * 4, (300.0, 300.0, 3.0, 300.0), Events(restart, (False,) * 4)).cells == "ro.o"

    def test_the_worst_is_the_first_of_the_highest_that_count(self) -> None:
        found = drawn((30.0, 60.0, 60.0, 10.0))
        assert (found.worst, found.longest_clean, found.limit, found.unit) == (1, 4, 100.0, "ms")
        assert (found.objective, found.started_at, found.step_s) == ("p99", START, 300)
        killed = Events((False,) * 4, (False, True, False, False))
        assert drawn((30.0, 60.0, 50.0, 10.0), events=killed).worst == 2
        assert drawn((None,) * 4).worst is None

    def test_the_longest_clean_streak(self) -> None:
        restart = Events((False, True, False, False), (False,) * 4)
        assert drawn((20.0,) * 4, events=restart).longest_clean == 2
        assert drawn((None,) * 4).longest_clean == 0

    def test_half_of_a_cell_must_have_been_scraped(self) -> None:
        assert drawn((20.0,) * 4, scrapes=(20.0, 10.0, 9.9, 20.0)).cells == "oo.o"

    def test_the_share_that_was_seen_is_kept_to_four_digits(self) -> None:
        assert drawn((20.0,) * 4, scrapes=(20.0, 13.33333, 19.0, 22.0)).seen == (1.0, 0.6667, 0.95, 1.05)


class TestCoverage:
    def test_the_tape_that_holds_least_decides_and_it_is_never_more_than_all(self) -> None:
        whole = drawn((20.0,) * 4)
        gap = replace(whole, cells="o.oo")
        assert coverage([whole], 4) == coverage([whole], 2) == 1.0
        assert coverage([whole, gap], 4) == 0.75
        assert coverage([], 4) == 0.0
        assert coverage([replace(whole, seen=(), cells="obrk")], 4) == 0.75

    def test_breaches_and_gaps_of_several_tapes_are_counted_once_a_cell(self) -> None:
        whole = drawn((20.0,) * 4)
        one, other = replace(whole, cells="b.bo"), replace(whole, cells="bko.")
        assert breach_cells([one, other]) == (0, 2)
        assert uncovered_cells([one, other]) == (1, 3)


class TestEligible:
    SOAK = parse_policy(b"[soak]\nhours = 0.5\nmin_coverage = 0.6\nmax_breaches = 1\n").soak

    def moment(self, cells: str) -> float:
        one = replace(drawn((20.0,) * 4), cells=cells)
        return (eligible_at(START, Grid(START, 300, len(cells)), [one], self.SOAK) - START).total_seconds()

    @pytest.mark.parametrize(
        ("cells", "seconds"),
        [
            ("oooooo", 1_800),
            ("booooo", 1_800),
            ("booboo", 300 + 1_800),
            ("bobobo", 900 + 1_800),
            ("..oooo", 1_800),
            ("...ooo", 300 + 1_800),
            ("....oo", 600 + 1_800),
            ("b.b.b.", 900 + 1_800),
        ],
    )
    def test_when_enough_of_what_is_wrong_is_older_than_a_soak(self, cells: str, seconds: float) -> None:
        assert self.moment(cells) == seconds

    def test_two_of_ten_cells_are_spared_by_eighty_percent(self) -> None:
        soak = parse_policy(b"[soak]\nhours = 1\ncell_minutes = 6\nmin_coverage = 0.8\n").soak
        one = replace(drawn((20.0,) * 4), cells="..oooooooo")
        assert eligible_at(START, Grid(START, 360, 10), [one], soak) == at(3_600)
        assert eligible_at(START, Grid(START, 360, 10), [replace(one, cells="...ooooooo")], soak) == at(360 + 3_600)


class TestReplaced:
    @pytest.mark.parametrize(("apart", "times"), [(0, 1), (2, 1), (3, 0), (-2, 1), (-3, 0)])
    def test_two_cells_apart_is_still_a_replacement(self, apart: int, times: int) -> None:
        gone: Row = tuple(20.0 if index <= 5 else None for index in range(12))
        came: Row = tuple(20.0 if index >= 5 + apart else None for index in range(12))
        assert replaced({A: gone, B: came}) == times

    def test_each_that_goes_is_replaced_once(self) -> None:
        gone: Row = (20.0, 20.0, None, None)
        came: Row = (None, None, 20.0, 20.0)
        two = {A: gone, B: came, (("instance", "c"),): came}
        assert replaced(two) == 1
        assert replaced({**two, (("instance", "d"),): gone}) == 2

    def test_one_that_was_never_scraped_neither_comes_nor_goes(self) -> None:
        assert replaced({A: (20.0, None), B: (None, None)}) == 0
        assert replaced({A: (20.0, None), B: (0.0, 20.0)}) == 1


class TestStart:
    def start(
        self, metrics: FixedMetrics, subject: SoakSubject = SUBJECT, serving: tuple[str, ...] = (), hours: float = 24
    ) -> Start:
        scope = Scope(Stage.SHADOW)
        seconds = int(hours * 3_600)
        return find_start(Recorder(metrics), scope, subject, NOW, required_s=seconds, serving=serving)

    def instead(self, **changed: object) -> tuple[Verdict, Code]:
        found = self.start(FixedMetrics(), replace(SUBJECT, **changed))  # type: ignore[arg-type]
        assert found.instead is not None
        return found.instead.verdict, found.instead.code

    def test_the_first_inference_after_the_landing(self) -> None:
        assert self.start(FixedMetrics(started=START)) == Start(START)
        assert self.start(FixedMetrics(started=START + timedelta(seconds=0.2))) == Start(at(1))

    def test_the_landing_where_inferences_were_there_before(self) -> None:
        assert self.start(FixedMetrics(started=START - timedelta(days=3))).at == SUBJECT.landed_at

    def test_a_landing_that_nobody_knows(self) -> None:
        assert self.instead(unknown="The clone is shallow.") == (Verdict.NO_DATA, Code.LANDING_UNKNOWN)

    @pytest.mark.parametrize(
        ("early_s", "expected"),
        [
            (0.0, (Verdict.WAIT, Code.LANDED_JUST_NOW)),
            (5.0, (Verdict.WAIT, Code.LANDED_JUST_NOW)),
            (5.5, (Verdict.NO_DATA, Code.LANDED_IN_FUTURE)),
        ],
    )
    def test_a_landing_of_this_moment_and_one_of_the_future(
        self, early_s: float, expected: tuple[Verdict, Code]
    ) -> None:
        assert self.instead(landed_at=NOW + timedelta(seconds=early_s)) == expected

    def test_a_second_after_the_landing_inferences_are_looked_for(self) -> None:
        metrics = FixedMetrics(started=NOW)
        assert self.start(metrics, replace(SUBJECT, landed_at=NOW - timedelta(seconds=1))) == Start(NOW)
        assert "[1s:15s]" in metrics.asked[0].promql

    def test_no_inference_at_all(self) -> None:
        metrics = FixedMetrics()
        metrics.instant["start"] = []
        found = self.start(metrics).instead
        assert found is not None
        assert (found.verdict, found.code) == (Verdict.NO_DATA, Code.NEVER_INFERRED)
        assert found.why == "No shadow inference was seen since it landed at 2026-02-16T13:59:00Z."
        told = self.start(metrics, serving=("old\u202e", "other")).instead
        assert told is not None
        assert told.why.endswith("13:59:00Z; the engines serve old\\u{202e}.")

    @pytest.mark.parametrize(("ahead_s", "believed"), [(0, True), (1, False)])
    def test_a_beginning_in_the_future_is_none(self, ahead_s: int, *, believed: bool) -> None:
        found = self.start(FixedMetrics(started=NOW + timedelta(seconds=ahead_s)))
        if believed:
            assert found == Start(NOW)
        else:
            assert found.instead is not None
            assert (found.instead.verdict, found.instead.code) == (Verdict.NO_DATA, Code.BEGINS_IN_FUTURE)

    @pytest.mark.parametrize(("hours", "days"), [(24, 8), (7 * 24, 8), (8 * 24, 9), (30 * 24, 31)])
    def test_an_old_landing_is_looked_for_no_further_back_than_needed(self, hours: float, days: int) -> None:
        metrics = FixedMetrics(started=NOW - timedelta(days=300))
        found = self.start(metrics, replace(SUBJECT, landed_at=NOW - timedelta(days=200)), hours=hours)
        assert found == Start(NOW - timedelta(days=days))
        assert f"[{days * 86_400}s:" in metrics.asked[0].promql


class TestFirstSeen:
    @pytest.mark.parametrize(("waited_s", "step_s"), [(1, 15), (75_000, 15), (75_001, 16), (691_200, 139)])
    def test_it_is_asked_in_at_most_five_thousand_steps_of_at_least_a_scrape(self, waited_s: int, step_s: int) -> None:
        assert first_seen_query(Scope(Stage.SHADOW), START, waited_s).endswith(f"[{waited_s}s:{step_s}s])")

    def test_engines_that_say_what_they_serve_must_serve_the_artifact(self) -> None:
        def query(attribution: Attribution) -> str:
            scope = Scope(Stage.SHADOW, artifact_id="regime_x", attribution=attribution)
            return first_seen_query(scope, START, 60)

        assert "regime_x" not in query(Attribution.MODE)
        assert " and on (instance, job) (max by (instance, job)" in query(Attribution.ARTIFACT)
        assert "unless" not in query(Attribution.ARTIFACT).partition("max by")[2]
        assert "unless" in query(Attribution.MIXED).partition("max by")[2]


class TestEnginesWithoutAValue:
    """An engine that inferred and has no value must not be covered by another one's."""

    def cells(self, *, own_values: bool, counts: Row = (9.0,) * 4) -> str:
        course = Course(values={A: (20.0,) * 4}, counts={A: (9.0,) * 4, B: counts}, own_values=own_values)
        return str(tape(P99, GRID, course, NOTHING, 4.0).cells)

    def test_its_cells_hold_no_data(self) -> None:
        assert self.cells(own_values=True) == "...."

    def test_a_free_query_has_no_value_of_each_engine(self) -> None:
        assert self.cells(own_values=False) == "oooo"

    def test_one_that_only_comes_within_a_cell_does_not_spoil_it(self) -> None:
        assert self.cells(own_values=True, counts=(None, None, 9.0, 9.0)) == "ooo."
