"""Engines: what tells them apart, which of them are one, what they serve, how often they are scraped."""

from __future__ import annotations

import pytest

from ml.slo.buckets import Buckets, buckets_of
from ml.slo.engines import Engine, distinct, name_of, roster_of, scrape_interval
from ml.slo.promql import Attribution, Scope
from ml.slo.roster import several_models
from ml.slo.source import Series
from ml.stage import Stage


def series(value: float = 1.0, **labels: str) -> Series:
    return Series(tuple(sorted(labels.items())), ((1.0, value),))


def engine(**labels: str) -> Engine:
    return tuple(sorted(labels.items()))


class TestRoster:
    def test_labels_of_every_kind_of_metric_tell_engines_apart_and_those_of_one_kind_do_not(self) -> None:
        target = {"job": "j", "instance": "a", "cluster": "east", "mode": "shadow"}
        roster = roster_of(
            {
                "timed": [series(**target, symbol="S1"), series(**target, symbol="S2")],
                "counted": [series(**target)],
                "info": [series(**target, artifact_id="x", registry_commit="c")],
            }
        )
        assert roster.by == ("cluster", "instance", "job")
        assert roster.totals == {engine(job="j", instance="a", cluster="east"): 2.0}
        assert roster.serving == {engine(job="j", instance="a", cluster="east"): frozenset({"x"})}

    @pytest.mark.parametrize(
        ("served", "attribution"),
        [((), Attribution.MODE), (("a", "b"), Attribution.ARTIFACT), (("a",), Attribution.MIXED)],
    )
    def test_attribution_is_what_all_some_or_none_say(self, served: tuple[str, ...], attribution: Attribution) -> None:
        roster = roster_of(
            {
                "timed": [series(instance="a"), series(instance="b")],
                "info": [series(instance=each, artifact_id="x") for each in served],
            }
        )
        assert roster.attribution is attribution

    def test_what_is_told_with_zero_is_not_served(self) -> None:
        roster = roster_of({"timed": [series(instance="a")], "info": [series(0.0, instance="a", artifact_id="x")]})
        assert roster.attribution is Attribution.MODE

    def test_a_second_artifact_within_the_window_is_a_swap(self) -> None:
        roster = roster_of(
            {
                "timed": [series(instance="a")],
                "info": [series(instance="a", artifact_id=each) for each in ("old", "new")],
            }
        )
        assert roster.swapped("new")
        assert roster.others("new") == ("old",)
        scope = roster.narrowed(Scope(Stage.SHADOW, artifact_id="new"))
        assert (scope.by, scope.attribution, scope.swapped) == (("instance",), Attribution.ARTIFACT, True)

    @pytest.mark.parametrize(("modes", "modeless"), [(("shadow",), False), (("shadow", ""), True), ((), True)])
    def test_counters_without_a_mode_are_noticed(self, modes: tuple[str, ...], modeless: bool) -> None:
        counted = [series(instance="a", **({"mode": mode} if mode else {})) for mode in modes]
        assert roster_of({"timed": [series(instance="a")], "counted": counted}).modeless is modeless

    def test_errors_alone_may_lack_the_mode(self) -> None:
        parts = {"counted": [series(instance="a", mode="shadow")], "failed": [series()]}
        assert roster_of(parts).modeless


class TestTheSameEngine:
    @pytest.mark.parametrize("label", ["job", "replica", "prometheus", "prometheus_replica", "ha_replica", "monitor"])
    def test_who_looked_makes_no_other_engine(self, label: str) -> None:
        counts = {engine(instance="a", **{label: each}): 605.0 for each in "xy"}
        assert len(distinct(counts)) == 1

    @pytest.mark.parametrize("label", ["cluster", "namespace", "pod", "model", "region"])
    def test_any_other_label_does(self, label: str) -> None:
        counts = {engine(instance="a", **{label: each}): 605.0 for each in "xy"}
        assert len(distinct(counts)) == 2

    def test_two_instances_are_two_however_alike(self) -> None:
        assert len(distinct({engine(instance=each, job="j"): 605.0 for each in "ab"})) == 2

    def test_without_an_instance_nothing_is_known_to_be_one(self) -> None:
        assert len(distinct({engine(job=each): 605.0 for each in "ab"})) == 2

    @pytest.mark.parametrize(("other", "engines"), [(1000.0, 1), (1020.0, 1), (1021.0, 2)])
    def test_two_that_counted_differently_are_two(self, other: float, engines: int) -> None:
        counts = {engine(instance="a", job="x"): 1000.0, engine(instance="a", job="y"): other}
        assert len(distinct(counts)) == engines

    def test_the_smaller_count_stands_for_both(self) -> None:
        small, great = engine(instance="a", job="x"), engine(instance="a", job="y")
        assert distinct({great: 1001.0, small: 1000.0}) == (small,)


def test_an_engine_is_called_by_its_instance_and_what_tells_it_from_the_others() -> None:
    east, west = engine(instance="a", cluster="east"), engine(instance="a", cluster="west")
    assert name_of(east) == "a"
    assert name_of(east, [east, west]) == "a, cluster=east"
    assert name_of(engine(pod="p1")) == "p1"
    assert name_of(engine(job="j", zone="z")) == "job=j,zone=z"
    assert name_of(()) == ""


class TestScrapes:
    def scraped(self, *moments: float) -> Series:
        return Series((), tuple((at, 1.0) for at in moments))

    def test_the_usual_gap_counts_and_a_hole_does_not(self) -> None:
        assert scrape_interval([self.scraped(0, 15, 30, 150, 165, 180)]) == 15.0

    def test_of_several_engines_the_slowest_counts(self) -> None:
        assert scrape_interval([self.scraped(0, 5, 10), self.scraped(0, 60, 120)]) == 60.0

    def test_one_gap_is_no_rhythm(self) -> None:
        assert scrape_interval([self.scraped(0, 15)]) is None
        assert scrape_interval([]) is None


class TestBuckets:
    def test_a_bucket_at_the_limit_leaves_no_doubt(self) -> None:
        assert Buckets((50.0, 100.0, 200.0), 200.0).around(120.0, 100.0) is None

    @pytest.mark.parametrize(
        ("value", "around"),
        [(50.0, None), (50.1, (50.0, 200.0)), (199.9, (50.0, 200.0)), (200.0, (50.0, 200.0)), (200.1, None)],
    )
    def test_between_two_buckets_nobody_knows(self, value: float, around: tuple[float, float] | None) -> None:
        assert Buckets((50.0, 200.0, 500.0), 500.0).around(value, 100.0) == around

    def test_at_the_top_it_is_that_or_more(self) -> None:
        assert Buckets((50.0, 200.0), 200.0).around(200.0, 100.0) is None
        assert Buckets((50.0, 200.0), 200.0).around(199.0, 100.0) == (50.0, 200.0)

    def test_without_a_bound_below_the_range_begins_at_nothing(self) -> None:
        assert Buckets((500.0,), 500.0).around(12.0, 100.0) == (0.0, 500.0)

    def test_a_bucket_that_was_not_there_throughout_is_none(self) -> None:
        found = buckets_of([series(0.98, le="100.0"), series(0.99, le="250.0"), series(1.0, le="+Inf")])[()]
        assert found == Buckets((250.0,), 250.0)

    def test_two_spellings_of_a_bound_are_one(self) -> None:
        assert buckets_of([series(0.4, le="100"), series(0.6, le="100.0")])[()] == Buckets((100.0,), 100.0)

    def test_infinity_alone_is_no_histogram(self) -> None:
        assert buckets_of([series(1.0, le="+Inf")])[()].top is None


class TestSeveralModels:
    def found(self, *models: str, selector: str = "", others: tuple[str, ...] = (), says: bool = False) -> bool:
        timed = [series(instance=each or "a", **({"model": each} if each else {})) for each in models]
        info = [Series((*each.labels, ("artifact_id", "x")), each.points) for each in timed] if says else []
        roster = roster_of({"timed": timed, "info": info})
        return several_models(roster, "a", dict.fromkeys(others, ""), selector) is not None

    def test_one_model_is_no_doubt(self) -> None:
        assert not self.found("a")
        assert not self.found("", others=())

    def test_two_values_of_the_label_are(self) -> None:
        assert self.found("a", "b")
        assert self.found("a", "b", selector='team="x"')
        assert self.found("a", "b", says=True)

    def test_a_selector_and_engines_that_say_what_they_serve_are_enough(self) -> None:
        assert not self.found("a", "b", selector='team="x"', says=True)

    def test_nothing_tells_the_registrys_models_apart(self) -> None:
        assert self.found("", others=("b",))
        assert self.found("prod", others=("b",))
        assert not self.found("a", others=("b",))
        assert not self.found("", others=("b",), selector='job="a"')
        assert not self.found("", others=("b",), says=True)


class TestInstancesOfAlerts:
    """An alert about an engine that has no latencies is still about this stage."""

    def test_engines_that_serve_or_count_belong_to_the_stage(self) -> None:
        roster = roster_of(
            {
                "timed": [series(instance="a")],
                "info": [series(instance="b", artifact_id="x")],
                "counted": [series(instance="c", mode="shadow"), series(instance="any")],
                "failed": [series(instance="d", mode="shadow")],
            }
        )
        assert roster.instances == frozenset("abcd")
