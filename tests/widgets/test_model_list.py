"""Models: those that need somebody first, found by a few letters, and a thousand as quick as ten."""

from __future__ import annotations

from dataclasses import replace

from fakes import healthy_model, many_models, model_view
from support.widget_host import shown, staged

from ml.board import Problem
from ml.verdict import Verdict
from widgets.model_list import ModelList, by_need, matching


def names(models: object) -> list[str]:
    return [each.model.name for each in models]  # type: ignore[attr-defined]


def test_models_with_problems_come_first_then_names() -> None:
    ordered = by_need((healthy_model("a"), model_view("z"), healthy_model("b")))
    assert names(ordered) == ["z", "a", "b"]


def test_the_worst_verdict_comes_first_then_the_name() -> None:
    waits = replace(healthy_model("c"), gates=())
    stale = replace(healthy_model("d"), silent="Prometheus does not answer.")
    broken = replace(healthy_model("b"), problems=(Problem("b", "broken"),))
    ordered = by_need((healthy_model("a"), waits, stale, broken))
    assert names(ordered) == ["b", "d", "c", "a"]
    assert [each.verdict for each in ordered] == [Verdict.FAIL, Verdict.STALE, Verdict.WAIT, Verdict.PASS]


def test_letters_in_order_find_a_model() -> None:
    models = by_need(tuple(healthy_model(name) for name in ("regime_classifier", "spacing", "risk_gate")))
    assert names(matching(models, "rcl")) == ["regime_classifier"]
    assert names(matching(models, "")) == ["regime_classifier", "risk_gate", "spacing"]
    assert names(matching(models, "xyz")) == []


async def test_moving_chooses_and_polls_keep_the_choice() -> None:
    models = ModelList()
    async with staged(models, (100, 20)) as stage:
        models.models = tuple(healthy_model(name) for name in "abc")
        models.focus()
        await stage.pilot.press("down")
        assert [message.name for message in stage.heard(ModelList.Chosen)] == ["b"]
        models.models = (model_view("zz"), *(healthy_model(name) for name in "abc"))
        await stage.pilot.pause()
        assert [message.name for message in stage.heard(ModelList.Chosen)] == ["b"]
        assert shown(models)[models.cursor].split()[:4] == ["▸", "✓", "PASS", "b"]


async def test_filtering_chooses_the_best_match_and_clearing_keeps_it() -> None:
    models = ModelList()
    async with staged(models, (100, 20)) as stage:
        models.models = many_models(1000).models
        models.pattern = "0421"
        await stage.pilot.pause()
        assert models.count == 1
        assert stage.heard(ModelList.Chosen)[-1].name == "model_0421"
        models.pattern = ""
        await stage.pilot.pause()
        assert models.count == 1000
        assert "model_0421" in "\n".join(shown(models))
