"""Two answers to one question: noise, order, NaN, duplicates, and samples that arrived late."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from ml.policy import parse_policy
from ml.promotion.gate.remeasure import compare, measured_again
from ml.slo.source import Ask, Kind, Series
from ml.verdict import Code, Verdict

ASK = Ask(Kind.RANGE, "x", step_s=60)
OLD, EDGE, SETTLED = 1_770_000_000.0, 1_770_000_900.0, 1_770_000_600.0


def series(name: str, *points: tuple[float, float]) -> Series:
    return Series((("job", name),), points)


def differing(one: list[Series], other: list[Series]) -> int:
    return len(compare(ASK, one, other, SETTLED).differences)


def test_order_and_noise_are_no_difference() -> None:
    one = [series("a", (OLD, 0.1 + 0.2)), series("b", (OLD, 2.0))]
    assert compare(ASK, one, [series("b", (OLD, 2.0)), series("a", (OLD, 0.3))], SETTLED) == compare(ASK, [], [], 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0])
def test_what_is_no_number_agrees_with_itself_alone(value: float) -> None:
    assert differing([series("a", (OLD, value))], [series("a", (OLD, value))]) == 0
    assert differing([series("a", (OLD, value))], [series("a", (OLD, 1.0))]) == 1
    assert differing([series("a", (EDGE, value))], [series("a", (EDGE, 1.0))]) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([series("a", (OLD, 1.0))], [series("a", (OLD, 1.0 + 1e-6))]),
        ([series("a", (OLD, 1.0))], []),
        ([], [series("a", (OLD, 1.0))]),
        ([series("a", (OLD, 1.0))], [series("b", (OLD, 1.0))]),
        ([series("a", (OLD, 1.0), (OLD + 60, 1.0))], [series("a", (OLD, 1.0))]),
        ([series("a", (EDGE, 1.0))], []),
    ],
)
def test_numbers_and_series_that_differ(one: list[Series], other: list[Series]) -> None:
    assert differing(one, other) >= 1


def test_a_series_or_a_point_twice_is_no_answer() -> None:
    assert differing([series("a", (OLD, 1.0)), series("a", (OLD, 1.0))], [series("a", (OLD, 1.0))]) == 1
    assert differing([series("a", (OLD, 1.0), (OLD, 1.0))], [series("a", (OLD, 1.0))]) == 1


@pytest.mark.parametrize(
    ("told", "found", "late"),
    [
        (100.0, 104.0, True),
        (100.0, 106.0, False),
        (EDGE - 15, EDGE - 5, True),  # the time of the newest sample
        (EDGE, EDGE - 600, False),
        (OLD, OLD + 15, False),  # the time at which a soak began never moves
        (0.0, 1.0, False),
    ],
)
def test_late_samples_explain_a_little_at_the_edge_and_nothing_before(told: float, found: float, late: bool) -> None:
    at_the_edge = compare(ASK, [series("a", (EDGE, told))], [series("a", (EDGE, found))], SETTLED)
    assert (at_the_edge.late, bool(at_the_edge.differences)) == (late, not late)
    assert differing([series("a", (OLD, told))], [series("a", (OLD, found))]) == 1


def test_evidence_without_what_questions_are_made_of_is_unknown() -> None:
    class Nobody:
        at_once = 1

    for values in ({}, {"schema_version": "v2"}, {"schema_version": "v9", "soak_exchanges": []}):
        found = measured_again(values, parse_policy(None), Nobody())  # type: ignore[arg-type]
        assert (found.verdict, found.code) == (Verdict.ERROR, Code.INCOMPLETE)
    assert datetime.fromtimestamp(OLD, UTC).year == 2026
