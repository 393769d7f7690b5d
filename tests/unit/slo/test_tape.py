"""The cells of a tape by engine: who must have moved, who only comes or goes, and what share was scraped."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.fixed_metrics import POLICY, START

from ml.board import Tape
from ml.slo.engines import Engine
from ml.slo.tape import Course, Events, Grid, Row, coverage, replaced, tape

P99 = POLICY.objectives[0]
A: Engine = (("instance", "a"),)
B: Engine = (("instance", "b"),)
CELLS = 6
FULL: Row = (20.0,) * CELLS
MANY: Row = (300.0,) * CELLS
GOOD: Row = (25.0,) * CELLS
GRID = Grid(START, 300, CELLS)
QUIET = Events((False,) * CELLS, (False,) * CELLS)


def drawn(
    values: dict[Engine, Row],
    counts: dict[Engine, Row],
    scrapes: dict[Engine, Row] | None = None,
    expected: float | None = 20.0,
    **more: object,
) -> Tape:
    course = Course(values=values, counts=counts, scrapes=scrapes or {}, expected=expected, **more)  # type: ignore[arg-type]
    return tape(P99, GRID, course, QUIET, least=4)


def but(row: Row, **cells: float | None) -> Row:
    """A row with other values in some cells, such as ``c2=None``."""
    return tuple(cells.get(f"c{index}", value) for index, value in enumerate(row))


class TestOneEngine:
    def one(self, counts: Row = MANY, scrapes: Row = FULL, values: Row = GOOD) -> Tape:
        return drawn({A: values}, {A: counts}, {A: scrapes})

    def test_a_good_one(self) -> None:
        assert self.one().cells == "oooooo"
        assert self.one().seen == (1.0,) * CELLS

    @pytest.mark.parametrize(("count", "cell"), [(4.0, "o"), (3.9, "."), (0.0, ".")])
    def test_it_must_have_inferred(self, count: float, cell: str) -> None:
        assert self.one(counts=but(MANY, c2=count)).cells[2] == cell

    @pytest.mark.parametrize(("value", "cell"), [(99.9, "o"), (100.0, "b"), (100.1, "b"), (None, ".")])
    def test_its_value_must_be_below_the_limit(self, value: float | None, cell: str) -> None:
        assert self.one(values=but(GOOD, c2=value)).cells[2] == cell

    @pytest.mark.parametrize(("scrapes", "cell"), [(20.0, "o"), (10.0, "o"), (9.0, "."), (None, ".")])
    def test_it_must_have_been_seen_for_half_of_the_cell(self, scrapes: float | None, cell: str) -> None:
        assert self.one(scrapes=but(FULL, c2=scrapes)).cells[2] == cell

    def test_it_covers_what_was_seen_of_it(self) -> None:
        assert coverage([self.one(scrapes=(12.0,) * CELLS)], CELLS) == pytest.approx(0.6)
        assert coverage([self.one()], CELLS) == 1.0
        assert coverage([self.one()], CELLS * 2) == 0.5

    def test_a_scrape_more_makes_up_for_one_less_and_no_more_does(self) -> None:
        assert coverage([self.one(scrapes=(19.0, 21.0) * 3)], CELLS) == 1.0
        assert coverage([self.one(scrapes=(10.0, 60.0) * 3)], CELLS) == pytest.approx((0.5 + 1.05) / 2)

    def test_where_the_rhythm_is_unknown_each_cell_covers_itself(self) -> None:
        assert coverage([drawn({A: GOOD}, {A: MANY}, {A: (3.0,) * CELLS}, expected=None)], CELLS) == 1.0


class TestSeveralEngines:
    def test_one_that_stands_still_leaves_the_cell_unproven(self) -> None:
        still = but(MANY, c3=0.0)
        assert drawn({A: GOOD, B: GOOD}, {A: MANY, B: still}, {A: FULL, B: FULL}).cells == "ooo.oo"

    def test_one_that_breaches_breaches(self) -> None:
        slow = but(GOOD, c3=400.0)
        found = drawn({A: GOOD, B: slow}, {A: MANY, B: MANY}, {A: FULL, B: FULL})
        assert (found.cells, found.values[3], found.worst) == ("ooobo" + "o", 400.0, 3)

    def test_a_breach_of_too_few_is_none_and_proves_nothing(self) -> None:
        found = drawn({A: GOOD, B: but(GOOD, c3=400.0)}, {A: MANY, B: but(MANY, c3=3.0)}, {A: FULL, B: FULL})
        assert found.cells == "ooo.oo"

    def test_the_one_that_was_seen_least_says_what_is_covered(self) -> None:
        found = drawn({A: GOOD, B: GOOD}, {A: MANY, B: MANY}, {A: FULL, B: but(FULL, c1=12.0)})
        assert found.seen == (1.0, 0.6, 1.0, 1.0, 1.0, 1.0)

    def test_one_that_was_away_in_the_middle_is_missed(self) -> None:
        gone = but(FULL, c2=None, c3=None)
        assert drawn({A: GOOD, B: GOOD}, {A: MANY, B: MANY}, {A: FULL, B: gone}).cells == "oo..oo"

    def test_one_that_left_or_came_is_not(self) -> None:
        left, came = but(FULL, c4=None, c5=None), but(FULL, c0=None, c1=None)
        assert drawn({A: GOOD, B: GOOD}, {A: MANY, B: MANY}, {A: FULL, B: left}).cells == "oooooo"
        assert drawn({A: GOOD, B: GOOD}, {A: MANY, B: MANY}, {A: FULL, B: came}).cells == "oooooo"

    def test_in_a_cell_where_one_takes_the_others_place_both_together_count(self) -> None:
        first, second = but(FULL, c2=8.0, c3=None, c4=None, c5=None), but(FULL, c0=None, c1=None, c2=12.0)
        counts = {A: but(MANY, c2=2.0), B: but(MANY, c2=2.0)}
        found = drawn({A: GOOD, B: GOOD}, counts, {A: first, B: second})
        assert found.seen[2] == 1.0
        assert drawn({A: GOOD, B: GOOD}, counts, {A: but(first, c2=18.0), B: but(second, c2=18.0)}).seen[2] == 1.0
        assert found.cells == "oo.ooo", "four inferences together are enough, but no value rests on enough of them"


class TestDoubt:
    def test_a_value_on_either_side_of_the_limit_proves_nothing(self) -> None:
        found = drawn({A: but(GOOD, c1=120.0)}, {A: MANY}, {A: FULL}, unclear=lambda engine, value: value == 120.0)
        assert found.cells == "o.oooo"

    def test_buckets_that_change_within_a_cell_prove_nothing_there(self) -> None:
        changed = {A: but((None,) * CELLS, c4=5.0)}
        assert drawn({A: but(GOOD, c4=500.0)}, {A: MANY}, {A: FULL}, changed=changed).cells == "oooo.o"

    def test_another_engines_breach_stands_all_the_same(self) -> None:
        changed = {A: but((None,) * CELLS, c4=5.0)}
        found = drawn({A: GOOD, B: but(GOOD, c4=500.0)}, {A: MANY, B: MANY}, {A: FULL, B: FULL}, changed=changed)
        assert found.cells == "oooobo"

    def test_a_free_querys_value_rests_on_all_inferences(self) -> None:
        assert drawn({(("queue", "x"),): GOOD}, {A: MANY}, {A: FULL}).cells == "oooooo"
        assert drawn({(("queue", "x"),): GOOD}, {A: but(MANY, c0=1.0)}, {A: FULL}).cells == ".ooooo"


@pytest.mark.parametrize(("first_after", "times"), [(3, 1), (4, 1), (5, 1), (1, 1), (0, 0)])
def test_an_engine_that_comes_when_another_goes_replaces_it(first_after: int, times: int) -> None:
    left = but(FULL, c4=None, c5=None, c3=20.0)
    came: Row = tuple(20.0 if index >= first_after else None for index in range(CELLS))
    assert replaced({A: left, B: came}) == times


def test_one_that_only_comes_or_only_goes_replaces_nobody() -> None:
    assert replaced({A: FULL, B: but(FULL, c0=None, c1=None)}) == 0
    assert replaced({A: FULL, B: but(FULL, c5=None)}) == 0


def test_the_grid_ends_where_the_soak_stands() -> None:
    grid = Grid.of(START, START + timedelta(minutes=31), 300, 1800)
    assert (grid.cells, grid.skipped) == (6, 0)
