"""What is live and breaches while something soaks: one round reads both stages, and every answer tells it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

from fakes import FakeSession, board, error_rate, model_view, p99
from support.fixed_metrics import NOW, POLICY, FixedMetrics

from console import documents
from console.short import short
from console.verbs import lines
from ml.board import ModelView, SourceState
from ml.registry.schema import Model, Pointer
from ml.session.metrics import MetricsWatch
from ml.session.registries import Base
from ml.session.standings import breach_problem
from ml.slo.source import Kind, SourceTimedOut
from ml.verdict import Verdict

BREACH = p99(verdict=Verdict.FAIL, value=182.0, why="182 ms over 5m is not below 100 ms.")


def sick() -> ModelView:
    view = model_view(readings=(p99(),), active_readings=(BREACH, error_rate(verdict=Verdict.PASS)))
    problem = breach_problem(view)
    assert problem is not None
    return replace(view, problems=(problem,))


def base(**stages: str) -> Base:
    model = Model(**{stage: Pointer(artifact_id=name, artifact_dir=f"a/{name}") for stage, name in stages.items()})
    registry = SimpleNamespace(registry=SimpleNamespace(models={"regime": model}))
    return cast("Base", SimpleNamespace(document=registry, policy=POLICY))


class TestOneRound:
    def test_both_stages_for_the_requests_of_one(self) -> None:
        metrics = FixedMetrics()
        found = MetricsWatch(metrics).ask(base(shadow="b", active="a"), NOW, {}, 60)
        per_objective = [
            ask for ask in metrics.asked if ask.kind is Kind.QUERY and "histogram_quantile(0.99," in ask.promql
        ]
        assert len(per_objective) == 1
        assert 'mode="shadow"' in per_objective[0].promql
        assert 'mode="active"' in per_objective[0].promql
        assert [each.name for each in found.active["regime"]] == [each.name for each in found.readings["regime"]]
        assert 'mode="active"' in found.active["regime"][0].query

    def test_where_nothing_soaks_what_is_judged_is_what_is_live(self) -> None:
        found = MetricsWatch(FixedMetrics()).ask(base(active="a"), NOW, {}, 60)
        assert found.active == found.readings

    def test_where_nothing_is_live_nothing_is_read_of_it(self) -> None:
        assert MetricsWatch(FixedMetrics()).ask(base(shadow="b"), NOW, {}, 60).active == {}

    def test_after_three_silent_polls_both_are_stale(self) -> None:
        metrics = FixedMetrics()
        watch, models = MetricsWatch(metrics), base(shadow="b", active="a")
        watch.ask(models, NOW, {}, 60)
        for poll in range(3):
            metrics.failures = {number: SourceTimedOut("It hangs.", "Wait.") for number in range(999)}
            found = watch.ask(models, NOW + timedelta(seconds=5 * (poll + 1)), {}, 60, at_once=True)
        assert found.source.state is SourceState.STALE
        assert {reading.verdict for reading in (*found.readings["regime"], *found.active["regime"])} == {Verdict.STALE}


class TestTelling:
    def test_the_problem_names_artifact_objective_and_way_out(self) -> None:
        (problem,) = sick().problems
        assert problem.severe
        assert problem.what == "active regime_v2026_02_15_001 breaches p99: 182 ms over 5m is not below 100 ms."
        assert "mlconsole rollback regime_classifier" in problem.remedy

    def test_what_is_live_and_well_is_no_problem(self) -> None:
        assert breach_problem(model_view(active_readings=(p99(),))) is None

    def test_status_says_it_in_every_form(self) -> None:
        shown = board(sick())
        assert short(shown) == "KILL off | regime_classifier:active p99 FAIL"
        text = "\n".join(lines.status(shown))
        assert "[FAIL]    active p99" in text
        assert "regime_classifier: active regime_v2026_02_15_001 breaches p99" in text
        document = documents.status(shown)
        assert document["verdict"] == "FAIL"
        assert document["models"]["regime_classifier"]["active_readings"][0]["value"] == 182.0
        assert "breaches p99" in document["problems"][0]["what"]

    def test_the_fakes_readings_of_shadow_alone_are_no_breach_of_what_is_live(self) -> None:
        assert FakeSession().board().models[0].breaching == ()
