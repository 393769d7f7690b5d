"""A pane tells in words what stands in a stage and whether it really serves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import (
    BLOCKED_GATES,
    LIVE,
    NOW,
    OPEN_GATES,
    SOAKING,
    alerts,
    error_rate,
    model_view,
    p95,
    p99,
    p999,
    serving,
    soak_report,
    stage_view,
)
from support.widget_host import screen, staged

from ml.board import ModelView
from ml.stage import Stage
from ml.verdict import Verdict
from widgets.stage_pane import StagePane


def with_active(**changes: object) -> ModelView:
    return model_view(active=stage_view(Stage.ACTIVE, LIVE, **changes))


async def drawn(
    model: ModelView, stage: Stage, *, checking: bool = False, width: int = 26, killed: bool = False
) -> str:
    pane = StagePane(stage)
    async with staged(pane, (width, 8)) as host:
        pane.now, pane.model, pane.checking, pane.killed = NOW, model, checking, killed
        await host.pilot.pause()
        return "\n".join(screen(pane))


async def test_shadow_shows_artifact_soak_and_deployment() -> None:
    text = await drawn(model_view(readings=(p99(),), gates=BLOCKED_GATES[:3]), Stage.SHADOW)
    assert "SHADOW · SOAKING" in text
    assert SOAKING in text
    assert "soak 18h22m/24h" in text
    assert "serving" in text


async def test_active_is_live_only_when_an_engine_says_so() -> None:
    assert "ACTIVE · LIVE" in await drawn(model_view(), Stage.ACTIVE)
    off = replace(serving(Stage.ACTIVE, LIVE), active_on=0.0)
    assert "ACTIVE · OFF" in await drawn(with_active(serving=(off,)), Stage.ACTIVE)
    both = (off, replace(off, active_on=1.0))
    assert "PARTLY LIVE" in await drawn(with_active(serving=both), Stage.ACTIVE)
    assert "ACTIVE · UNKNOWN" in await drawn(with_active(serving=()), Stage.ACTIVE)


@pytest.mark.parametrize("words", ["merged but not deployed", "deployed but not serving", "serving something else"])
async def test_a_difference_between_registry_and_engines_is_told_whole(words: str) -> None:
    assert words in await drawn(with_active(deployment=words), Stage.ACTIVE, width=28)


async def test_what_is_live_and_breaches_is_told_whatever_soaks() -> None:
    breach = p99(verdict=Verdict.FAIL, value=182.0, why="182 ms is not below 100 ms.")
    text = await drawn(model_view(active_readings=(p95(), breach, error_rate(verdict=Verdict.PASS))), Stage.ACTIVE)
    assert "✗ FAIL p99 182 ms" in text
    assert "serving" in text


async def test_what_is_live_and_well_is_told_quietly_and_gives_way_to_a_dead_instance() -> None:
    assert "✓ PASS p99 42.1 ms" in await drawn(model_view(active_readings=(p99(), p999())), Stage.ACTIVE)
    unread = p999(verdict=Verdict.NO_DATA, value=None)
    assert "? NO DATA p999" in await drawn(model_view(active_readings=(p99(), unread)), Stage.ACTIVE)
    down = replace(serving(Stage.ACTIVE, LIVE), up=False)
    text = await drawn(replace(with_active(serving=(down,)), active_readings=(p99(),)), Stage.ACTIVE)
    assert "1 down" in text
    assert "p99" not in text


async def test_a_firing_alert_belongs_to_no_stage() -> None:
    firing = alerts(verdict=Verdict.FAIL, why="MlInferenceLatencyHigh is firing.")
    assert "FAIL" not in await drawn(model_view(active_readings=(p99(), firing)), Stage.ACTIVE)


async def test_nothing_looks_well_before_it_is_judged() -> None:
    text = await drawn(model_view(), Stage.ACTIVE, checking=True)
    assert "checking …" in text
    assert "LIVE" not in text
    assert "serving" not in text


async def test_an_empty_stage_and_a_dead_instance_are_told() -> None:
    assert "(empty)" in await drawn(model_view(), Stage.STAGING)
    down = replace(serving(Stage.ACTIVE, LIVE), up=False)
    assert "1 down" in await drawn(with_active(serving=(down, serving(Stage.ACTIVE, LIVE))), Stage.ACTIVE)


@pytest.mark.parametrize(
    ("verdict", "word"), [(Verdict.PASS, "SOAKED"), (Verdict.FAIL, "BREACHED"), (Verdict.VACUOUS, "UNJUDGED")]
)
async def test_the_soak_is_told_in_the_title(verdict: Verdict, word: str) -> None:
    view = model_view(soak=soak_report(verdict=verdict), gates=OPEN_GATES, readings=(p99(),))
    assert f"SHADOW · {word}" in await drawn(view, Stage.SHADOW, width=30)


async def test_a_closed_gate_is_told_in_the_title_whatever_the_report_says() -> None:
    view = model_view(soak=soak_report(verdict=Verdict.PASS))
    assert "SHADOW · BREACHED" in await drawn(view, Stage.SHADOW, width=30)


@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.ACTIVE])
async def test_under_a_confirmed_kill_no_pane_looks_live(stage: Stage) -> None:
    text = await drawn(model_view(active_readings=(p99(),)), stage, width=30, killed=True)
    assert f"{stage.value.upper()} · KILLED" in text
    assert "stopped by the kill" in text
    assert not any(word in text for word in ("LIVE", "serving", "PASS", "SOAKED"))


async def test_ages_count_from_serving_where_somebody_saw_it_begin() -> None:
    seen = with_active(served_since=NOW - timedelta(minutes=20))
    assert "for 20m" in await drawn(seen, Stage.ACTIVE)
    assert "for 5d02h" in await drawn(with_active(), Stage.ACTIVE)
    merged = await drawn(with_active(deployment="merged but not deployed"), Stage.ACTIVE, width=28)
    assert "landed 5d02h ago" in merged
    assert "for 5d02h" not in merged


async def test_while_the_source_is_silent_no_pane_looks_live() -> None:
    silent = model_view(silent="Prometheus does not answer.", active_readings=(p99(),))
    text = await drawn(silent, Stage.ACTIVE, width=30)
    assert "ACTIVE · UNKNOWN" in text
    assert "last seen: serving" in text
    assert "1 seen before" in text
    assert "LIVE" not in text
    assert "PASS" not in text
