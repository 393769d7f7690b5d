"""Pictures of the views, each looked at by a person once: at the design size and wider, and on poor terminals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from fakes import (
    LIVE,
    SOAKING,
    FakeSession,
    FrozenClock,
    ago,
    alerts,
    board,
    changes,
    error_rate,
    healthy_model,
    kill_view,
    many_models,
    model_view,
    p95,
    p99,
    p999,
    soak_report,
    stage_view,
)
from support.pictures import SIZES, Compare
from support.views import VIEW_KEYS, in_view, settled
from support.walk import reads_soon
from textual.pilot import Pilot

from console.app import ConsoleApp
from ml.board import Board, ModelView, Problem, Rung, Source, SourceState, StageView
from ml.session.standings import breach_problem
from ml.stage import Stage
from ml.verdict import Verdict


def calm() -> Board:
    return board(healthy_model("regime_classifier"))


def trouble() -> Board:
    """Production on a bad night: stale metrics, a merge that is not deployed, a model to promote."""
    readings = (
        p99(value=500.0, clamped=True, verdict=Verdict.FAIL, why="≥500 ms is not below 100 ms."),
        p999(verdict=Verdict.VACUOUS, why="The top finite bucket is 100 ms, below the limit of 250 ms."),
        p95(sampled_at=ago(211)).stale("No good answer for three polls."),
        error_rate(),
        alerts(verdict=Verdict.ERROR, why="Prometheus refused the query: 400 bad_data."),
    )
    model = model_view(
        staging=stage_view(Stage.STAGING, "regime_v2026_02_17_001", serving=(), deployment=""),
        active=stage_view(Stage.ACTIVE, "regime_v2026_02_15_001", deployment="merged but not deployed"),
        readings=readings,
        problems=(Problem("regime_classifier", "Active is merged but not deployed.", "Deploy it, or roll back."),),
    )
    sick = Source("prometheus", SourceState.STALE, ago(211), "No good answer for three polls.")
    return board(model, prometheus=sick, kill=kill_view(Rung.CONFIRMED))


def sick_active() -> Board:
    """What is live breaches while its successor soaks well."""
    breach = p99(verdict=Verdict.FAIL, value=182.0, why="182 ms over 5m is not below 100 ms.")
    model = replace(healthy_model("regime_classifier"), active_readings=(breach, p999()))
    problem = breach_problem(model)
    assert problem is not None
    return board(replace(model, problems=(problem,)))


def broken_registry() -> Board:
    """A registry that cannot be read safely: the names that are there, what is wrong where, and nothing to change."""
    cause = (
        "ml/registry/models.json, line 8, column 25, at models.regime_classifier.shadow.artifact_dir: "
        "artifact_dir ('/etc') is no path that is relative to the repository and stays inside it."
    )
    remedy = "Correct this place in a commit of its own; until then the registry is read-only."
    stages = {stage: StageView(Stage(stage), artifact) for stage, artifact in (("shadow", SOAKING), ("active", LIVE))}
    model = ModelView("regime_classifier", staging=StageView(Stage.STAGING), **stages)
    shown = board(model, read_only=True, prometheus=Source("prometheus", SourceState.NONE))
    registry = replace(shown.registry, branches=(), problem=f"{cause} {remedy}")
    return replace(shown, registry=registry, problems=(Problem("registry", cause, remedy),))


@dataclass(frozen=True)
class Picture:
    """One state of one view. ``settings`` are the application's."""

    view: str
    shown: Board
    keys: tuple[str, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)


PICTURES = {
    "stages": Picture("stages", board()),
    "stages_calm": Picture("stages", calm()),
    "stages_trouble": Picture("stages", trouble()),
    "stages_many": Picture("stages", many_models(1000)),
    "soak": Picture("soak", board()),
    "history": Picture("history", board()),
    "log": Picture("log", board()),
    "changes": Picture("changes", board(), keys=("down", "down")),
}
POOR = {
    "stages_light": Picture("stages", board(), settings={"theme": "light"}),
    "stages_high_contrast": Picture("stages", trouble(), settings={"theme": "high-contrast"}),
    "stages_ansi": Picture("stages", trouble(), settings={"theme": "ansi"}),
    "stages_ascii": Picture("stages", board(), settings={"ascii_only": True}),
    "soak_ascii": Picture("soak", board(), settings={"ascii_only": True}),
    "stages_read_only": Picture("stages", board(read_only=True), settings={"read_only": True}),
    "stages_filter": Picture("stages", many_models(1000), keys=("slash", "4", "2")),
    "stages_sick_active": Picture("stages", sick_active()),
    "stages_broken_registry": Picture("stages", broken_registry()),
    "changes_ascii": Picture("changes", board(), keys=("down",), settings={"ascii_only": True}),
    "changes_local": Picture("changes", board()),
    "soak_breach": Picture("soak", board(), keys=("down", "down", "b")),
}


def draw(compare: Compare, picture: Picture, size: tuple[int, int]) -> bool:
    session = FakeSession(picture.shown)
    session.shown_soak = replace(soak_report(), model=picture.shown.models[0].name)
    session.shown_changes = changes()
    app = ConsoleApp(session, FrozenClock(), **picture.settings)  # type: ignore[arg-type]
    return compare(app, terminal_size=size, run_before=in_view(picture.view, *picture.keys))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PICTURES)
def test_view(compare: Compare, name: str, size: str) -> None:
    assert draw(compare, PICTURES[name], SIZES[size])


@pytest.mark.parametrize("name", POOR)
def test_poor_or_special(compare: Compare, name: str) -> None:
    assert draw(compare, POOR[name], (80, 24))


@pytest.mark.parametrize("name", [f"{view}_monochrome" for view in VIEW_KEYS])
def test_monochrome(compare: Compare, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert draw(compare, Picture(name.removesuffix("_monochrome"), trouble()), (80, 24))


@pytest.mark.parametrize("name", ["stages_first_frame"])
def test_before_anything_is_judged(compare: Compare, name: str) -> None:
    session = FakeSession()

    async def names_only(pilot: Pilot[object]) -> None:
        await reads_soon(pilot, "regime_v2026_02_15_001")

    app = ConsoleApp(session, FrozenClock(), environment="prod", production=True)
    with session.held("board"):
        assert compare(app, run_before=names_only)


@pytest.mark.parametrize("name", ["stages_narrow", "too_small"])
def test_small_terminals(compare: Compare, name: str) -> None:
    size = {"stages_narrow": (64, 20), "too_small": (50, 12)}[name]
    app = ConsoleApp(FakeSession(), FrozenClock())
    assert compare(app, terminal_size=size, run_before=settled)
