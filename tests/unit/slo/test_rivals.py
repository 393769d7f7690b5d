"""Selectors that claim another model's series: which may, and which do, by the labels of the series."""

from __future__ import annotations

import time

import pytest
from support.fixed_metrics import NOW, FixedMetrics

from ml.policy import parse_policy
from ml.slo.readings import StageRead, board_readings
from ml.slo.rivals import MOST_RIVALS, others_of, rival_of, rivals_of
from ml.verdict import Code, Verdict

SERIES = (("env", "prod"), ("instance", "a:1"), ("job", "engine"))


class TestWhichMay:
    def test_the_same_selector_is_a_rival(self) -> None:
        assert rivals_of({"a": 'env="prod"', "b": 'env="prod"'}) == {"a": ("b",), "b": ("a",)}

    @pytest.mark.parametrize(
        ("one", "other"),
        [('model="a"', 'model="b"'), ('env="x",job="j"', 'job="k"'), ('env="x",model="a"', 'env="y",model="a"')],
    )
    def test_two_values_of_one_label_exclude_each_other(self, one: str, other: str) -> None:
        assert rivals_of({"a": one, "b": other}) == {"a": (), "b": ()}

    @pytest.mark.parametrize(("one", "other"), [('job="a"', 'env="prod"'), ('job="a"', 'job=~"a|b"'), ('job="a"', "")])
    def test_any_other_pair_may_overlap(self, one: str, other: str) -> None:
        assert rivals_of({"a": one, "b": other}) == {"a": ("b",), "b": ("a",)}

    def test_a_few_are_enough(self) -> None:
        assert {len(found) for found in rivals_of(dict.fromkeys(map(str, range(50)), 'env="prod"')).values()} == {
            MOST_RIVALS
        }

    def test_a_thousand_models_that_one_label_separates_cost_little(self) -> None:
        selectors = {f"m{number}": f'model="m{number}",shard="{number}"' for number in range(4_000)}
        begun = time.process_time()
        assert not any(rivals_of(selectors).values())
        assert time.process_time() - begun < 2.0  # all pairs would take far longer

    def test_rivals_stand_before_any_other_model(self) -> None:
        assert others_of("a", ("z",), ("a", "b", "c", "d", "z")) == ("z", "b", "c")
        assert others_of("a", (), ("a", "b")) == ("b",)


class TestWhichDo:
    def rival(self, selector: str, theirs: str, *series: tuple[tuple[str, str], ...]) -> str:
        return rival_of("a", selector, {"b": theirs}, series or (SERIES,))

    @pytest.mark.parametrize(
        "theirs",
        [
            'env="prod"',
            'job="engine"',
            'instance=~"a:.*|b:1"',
            'env!="test"',
            'env!~"test|dev"',
            'pod=""',
            'pod!="x"',
            'instance=~"(a+)+:1"',
            'instance=~"a\\\\:1"',
        ],
    )
    def test_a_series_that_both_take_is_in_doubt(self, theirs: str) -> None:
        assert self.rival('env="prod"', theirs) == "b"

    @pytest.mark.parametrize(
        "theirs", ['env="test"', 'env="prod",job="other"', 'instance=~"b:.*"', 'env!="prod"', 'env!~"pr.*"', 'pod="x"']
    )
    def test_a_selector_that_takes_none_of_them_is_no_rival(self, theirs: str) -> None:
        assert self.rival('env="prod"', theirs) == ""

    def test_the_narrower_selector_is_not_in_doubt_and_the_wider_one_is(self) -> None:
        assert self.rival('env="prod",job="engine"', 'env="prod"') == ""
        assert self.rival('env="prod",job="engine"', "") == ""
        assert self.rival('env="prod"', 'env="prod",job="engine"') == "b"

    def test_one_series_of_many_is_enough(self) -> None:
        other = (("env", "prod"), ("instance", "b:1"))
        assert self.rival('env="prod"', 'instance="b:1"', SERIES, other) == "b"

    def test_the_label_model_tells_whose_it_is(self) -> None:
        assert self.rival('env="prod"', 'env="prod"', (*SERIES, ("model", "a"))) == ""
        assert self.rival('env="prod"', 'job="other"', (*SERIES, ("model", "b"))) == "b"

    def test_a_hostile_expression_costs_nothing(self) -> None:
        begun = time.process_time()
        assert self.rival('env="prod"', f'job=~"{".*" * 40}!"', (("job", "e" * 5_000),)) == "b"
        assert self.rival('env="prod"', 'job=~".*.*.*!"', (("job", "e" * 300),)) in ("", "b")
        assert time.process_time() - begun < 2.0


@pytest.mark.parametrize("stated", [False, True])
def test_the_board_says_it_of_both_models(stated: bool) -> None:
    metrics = FixedMetrics()
    metrics.instant["timed"] = [({"env": "prod", "instance": "x"}, 86_400.0)]
    metrics.instant["info"] = [({"env": "prod", "instance": "x", "artifact_id": "a_v1"}, 1.0)] if stated else ()
    policy = parse_policy(b"[model.a]\nselector = 'env=\"prod\"'\n[model.b]\nselector = 'env=\"prod\"'\n")
    wanted = [StageRead("a", artifact_id="a_v1", others=("b",)), StageRead("b", artifact_id="b_v1", others=("a",))]
    readings = board_readings(metrics, policy, wanted, NOW)
    for each in wanted:
        codes = {(reading.verdict, reading.code) for reading in readings[each]}
        assert (codes == {(Verdict.VACUOUS, Code.SEVERAL_MODELS)}) is not stated
