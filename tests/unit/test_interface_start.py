"""What the first frame may not import, and the values that it is made of."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from fakes import NOW, board, glance, kill_view

from console.status import glanced, problems_of, status_before, status_of
from console.themes import ANSI, DARK, LIGHT, SHORT_NAMES, THEMES, VARIABLES, theme_name
from ml.board import Glance, Problem, Rung, Source, SourceState
from ml.errors import Unavailable

HEAVY = ("pydantic", "git", "requests", "numpy", "scipy", "onnxruntime", "prometheus_api_client", "click", "_hashlib")
LATER = (
    "console.screens.promote.screen",
    "console.screens.soak",
    "console.verbs",
    "console.wiring",
    "ml.session.context",
    "ml.session.boards",
    "ml.session.registries",
    "ml.promotion",
    "ml.records",
    "ml.slo",
)


def test_nothing_is_imported_that_the_first_frame_can_do_without() -> None:
    first = "console.__main__, console.interface, console.invocation, console.app, console.terminal.driver"
    code = f"import sys, {first}; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "textual.app" in modules
    assert sorted(set(HEAVY) & {name.partition(".")[0] for name in modules}) == []
    assert sorted(name for name in modules if name.startswith(LATER)) == []


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_theme_has_every_variable_of_ours(theme: object) -> None:
    assert set(VARIABLES) <= set(theme.variables)  # type: ignore[attr-defined]


def test_the_theme_is_the_one_asked_for_except_where_there_are_no_colours() -> None:
    assert theme_name("", few_colors=False) == DARK
    assert theme_name("light", few_colors=False) == LIGHT
    assert theme_name("nord", few_colors=False) == "nord"
    assert theme_name("light", few_colors=True) == ANSI
    assert set(SHORT_NAMES.values()) == {theme.name for theme in THEMES}


def test_a_glance_names_artifacts_and_judges_nothing() -> None:
    (model,) = glanced(glance())
    assert model.active.artifact_id == "regime_v2026_02_15_001"
    assert model.staging.artifact_id is None
    assert model.readings == ()
    early = status_before("prod", production=True, read_only=False, glance=glance(), model=model.name)
    assert early.prometheus.state is SourceState.UNKNOWN
    assert early.kill is None


def test_the_header_takes_the_newest_of_remote_and_switch() -> None:
    remote = Source("origin", SourceState.ERROR, NOW, "Connection refused.")
    status = status_of(board(), "m", kill_view(Rung.WRITTEN), remote)
    assert status.fetched is remote
    assert status.kill is not None
    assert status.kill.engaged


def test_problems_come_from_everywhere_and_only_once() -> None:
    own = Problem("regime_classifier", "Merged but not deployed.")
    shown = board(
        replace(board().models[0], problems=(own,)),
        problems=(own,),
        prometheus=Source("prometheus", SourceState.ERROR, NOW, "Refused."),
    )
    failures = {"board": Unavailable("The poll failed.", "Retry.")}
    problems = problems_of(shown, None, failures)
    assert [problem.what for problem in problems] == ["The poll failed.", "Merged but not deployed.", "Refused."]
    sick = problems_of(None, Glance("main", "", (), "models.json: line 3: no."), {})
    assert [problem.what for problem in sick] == ["models.json: line 3: no."]
