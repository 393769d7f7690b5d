"""Groups of models that one label separates, and the recording rules for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.policy import parse_policy
from ml.slo.buckets import buckets_of, uniform_bounds, with_bounds
from ml.slo.groups import MOST_WINDOWS, Member, Separation, by_value, selector_of, separation, windows_of
from ml.slo.promql import Attribution, Scope
from ml.slo.questions import LONG, Windows, board_questions, questions
from ml.slo.recordings import all_of, recorded_as, recorded_texts, rule_file
from ml.slo.source import Series
from ml.stage import Stage

MONITORING = Path(__file__).parents[3] / "ml" / "monitoring"
POLICY = parse_policy(None)
DAY = Windows("24h", "5m")


def series(value: float = 1.0, **labels: str) -> Series:
    return Series(tuple(sorted(labels.items())), ((0.0, value),))


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ('model="a"', Separation("model", "a")),
        ('env="prod", model="a"', Separation("model", "a", 'env="prod"')),
        ('job="x",team=~"a|b"', Separation("job", "x", 'team=~"a|b"')),
        ('model=~"a|b"', None),
        ('model=""', None),
        ('model="a\\"b"', None),
        ('model="a",model!="b"', None),
        ("", None),
    ],
)
def test_a_selector_is_taken_apart_by_the_equality_that_separates_its_model(
    selector: str, found: Separation | None
) -> None:
    assert separation(selector) == found


def test_few_models_are_named_and_many_are_not() -> None:
    assert selector_of("model", ["a"], "") == 'model="a"'
    assert selector_of("model", ["b", "a.c"], 'env="prod"') == 'model=~"a\\\\.c|b",env="prod"'
    assert selector_of("model", [f"model_{number}" for number in range(100)], "") == 'model!=""'


def test_a_member_takes_only_its_own_artifact_and_loses_the_labels_of_the_question() -> None:
    answer = [
        series(1, model="a", instance="x", artifact_id="new"),
        series(2, model="a", instance="y", artifact_id="old"),
        series(3, model="b", instance="z"),
    ]
    found = by_value(answer, "model")
    assert Member("model", "a", "new", keeps_label=False).own(found) == (series(1, instance="x"),)
    assert Member("model", "a", "new", keeps_label=True).own(found) == (series(1, instance="x", model="a"),)
    assert Member("model", "b", "any", keeps_label=False).own(found) == (series(3, instance="z"),)
    assert Member("model", "c", "any", keeps_label=False).own(found) == ()


@given(st.lists(st.integers(1, 288), min_size=1, max_size=300))
def test_windows_are_few_never_longer_than_the_time_and_full_only_when_it_is(cells: list[int]) -> None:
    passed = [300 * each for each in cells]
    windows = windows_of(passed, 300, 86_400)
    assert len(set(windows.values())) <= MOST_WINDOWS
    for each in passed:
        assert 300 <= windows[each] <= each
        assert windows[each] > each / 2 or windows[each] == each
        assert (windows[each] == 86_400) == (each == 86_400)


def test_few_windows_stay_as_they_are() -> None:
    passed = [300 * each for each in range(1, MOST_WINDOWS + 1)]
    assert windows_of(passed, 300, 86_400) == {each: each for each in passed}


def test_buckets_that_every_engine_always_had_are_told_in_short() -> None:
    counted = [series(3.0, le=le, always="1") for le in ("10.0", "100.0", "+Inf")]
    bounds = uniform_bounds(counted)
    assert bounds is not None
    engine = series(42.0, instance="x")
    whole = buckets_of([series(1.0, instance="x", le=le) for le in ("10.0", "100.0", "+Inf")])
    assert buckets_of(with_bounds([engine], bounds)) == whole


@pytest.mark.parametrize(
    "odd",
    [
        series(2.0, le="250.0", always="1"),  # one engine lacks it
        series(3.0, le="250.0", always="0"),  # it was there for a part of the window
        series(1.0, le="100.0", always="0"),  # one of them had it for a part
    ],
)
def test_buckets_that_differ_are_not(odd: Series) -> None:
    counted = [series(3.0, le=le, always="1") for le in ("10.0", "100.0", "+Inf")]
    assert uniform_bounds([*counted, odd]) is None


def test_the_soaks_own_questions_know_nothing_of_groups() -> None:
    plain = Scope(Stage.SHADOW, 'model="a"', "a_v1", attribution=Attribution.ARTIFACT)
    for objective in POLICY.objectives:
        for text in questions(objective, plain, DAY).values():
            assert "count_values" not in text
            assert "group by" not in text
            assert "<= 0" not in text


def test_a_rule_is_used_for_its_own_question_only() -> None:
    scope = all_of(
        Scope(
            Stage.ACTIVE, by=("instance",), attribution=Attribution.ARTIFACT, split="model", born=False, modeless=False
        )
    )
    p99 = POLICY.objectives[0]
    asked = board_questions(p99, scope, DAY)
    rules = frozenset({recorded_as(LONG, asked[LONG])})
    used = recorded_texts(asked, asked, rules)
    name = recorded_as(LONG, asked[LONG])
    assert used[LONG] == f"({name} + 0 and time() - timestamp({name}) < 150)"
    assert {part: text for part, text in used.items() if part != LONG} == {
        part: text for part, text in asked.items() if part != LONG
    }
    other = board_questions(p99, scope, Windows("12h", "5m"))
    assert recorded_texts(other, other, rules) == other


def test_the_committed_rules_are_those_of_the_default_policy() -> None:
    assert (MONITORING / "ml_recordings.yml").read_text() == rule_file(POLICY)
