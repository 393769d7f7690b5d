"""Numbers of engines that do not report what they serve count for an artifact only from its landing on.

A real repository, in which changes wait before they land, and a real Prometheus with the engine of one model: it has
inferred in both modes for days, and does not export ``grinder_ml_model_info``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.clones import Clones, Folder, clean_environment, make_clones
from support.engine_past import HOUR, EnginePast
from support.prometheus import running
from support.trusting import trust

from console.invocation import Invocation
from ml.board import ModelView
from ml.clock import format_utc
from ml.codes import Code
from ml.registry.schema import REGISTRY_PATH
from ml.session import Session
from ml.verdict import Reading, Verdict

A_MINUTE = 60.0
"""Inferences of the engine in a minute, in each mode."""


@contextmanager
def committed(hours_ago: float) -> Iterator[None]:
    """Git commits as if it were so long ago."""
    at = f"{int(time.time() - hours_ago * HOUR)} +0000"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "support.clones.clean_environment",
            lambda home: clean_environment(home) | {"GIT_COMMITTER_DATE": at, "GIT_AUTHOR_DATE": at},
        )
        yield


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    now = time.time()
    pasts = [
        EnginePast(model="", mode=mode, counter_mode=mode, begin=now - 60 * HOUR, end=now + HOUR, omit=omit)
        for mode, omit in (("shadow", frozenset[str]()), ("active", frozenset({"grinder_ml_block_total"})))
    ]
    with running(
        tmp_path_factory.mktemp("prometheus"), history=[line for past in pasts for line in past.lines()]
    ) as it:
        yield it.url


def registry(promoted_hours_ago: float = 50.0, **stages: str) -> dict[str, str | bytes]:
    """A registry of one model; every pointer says that it was promoted so long ago."""
    promoted = format_utc(datetime.fromtimestamp(time.time() - promoted_hours_ago * HOUR, UTC))
    pointers = {
        stage: {
            "artifact_id": name,
            "artifact_dir": f"artifacts/onnx/{name}",
            "model_sha256": name[0] * 64,
            "git_sha": "a" * 40,
            "dataset_id": "d",
            "promoted_at_utc": promoted,
        }
        for stage, name in stages.items()
    }
    model: dict[str, Any] = {"staging": None, "shadow": None, "active": None, "history": []} | pointers
    return {REGISTRY_PATH: json.dumps({"schema_version": "v1", "models": {"m": model}})}


@pytest.fixture
def clones(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Clones:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    files = registry(active="a_1", shadow="b_1") | {"console.toml": f'[prometheus]\nurl = "{url}"\n'}
    with committed(49):
        clones = make_clones(tmp_path, files)
    trust(clones.operator.path, {"XDG_STATE_HOME": str(tmp_path / "state")})
    return clones


def merged(here: Folder, hours_ago: float, **stages: str) -> None:
    """A change of two days ago comes onto the base."""
    here.git("checkout", "-q", "-b", f"promote-{hours_ago}")
    with committed(48):
        here.commit("Change", registry(48.0, **stages))
    here.git("checkout", "-q", "main")
    with committed(hours_ago):
        here.git("merge", "-q", "--no-ff", "-m", "Merge", f"promote-{hours_ago}")
    here.git("push", "-q", "origin", "main")


def polled(session: Session) -> ModelView:
    (model,) = session.boards.poll(at_once=True).models
    return model


def p99(readings: tuple[Reading, ...]) -> Reading:
    found = next(each for each in readings if each.name == "p99")
    assert found.attribution == "mode"
    return found


def hours_of(reading: Reading) -> float:
    """The hours of the engine's work that a reading counts."""
    return (reading.samples or 0) / A_MINUTE / 60


def test_before_any_change_days_of_numbers_count(clones: Clones) -> None:
    model = polled(Invocation(repo=str(clones.operator.path)).session)
    for readings in (model.readings, model.active_readings):
        assert p99(readings).verdict is Verdict.PASS
        assert hours_of(p99(readings)) == pytest.approx(24, rel=0.02)


def test_a_change_that_waited_wears_no_numbers_of_its_predecessor(clones: Clones) -> None:
    merged(clones.operator, 2, active="b_1")
    found = p99(polled(Invocation(repo=str(clones.operator.path)).session).active_readings)
    assert (found.verdict, found.code) == (Verdict.WAIT, Code.WINDOW_YOUNG)
    assert hours_of(found) == pytest.approx(2, rel=0.06)


def test_a_second_change_of_a_session_is_not_dated_by_the_soak_before_it(clones: Clones) -> None:
    session = Invocation(repo=str(clones.operator.path)).session
    session.soaks.judge_all(["m"])
    before = polled(session)
    assert before.soak is not None
    assert before.soak.started_at is not None
    merged(clones.operator, 3, active="b_1")
    after = polled(session)
    assert after.readings == after.active_readings
    assert (p99(after.readings).verdict, p99(after.readings).code) == (Verdict.WAIT, Code.WINDOW_YOUNG)
    assert hours_of(p99(after.readings)) == pytest.approx(3, rel=0.06)


def test_just_after_the_landing_nothing_is_counted(clones: Clones) -> None:
    merged(clones.operator, 0, active="b_1", shadow="c_1")
    model = polled(Invocation(repo=str(clones.operator.path)).session)
    for readings in (model.readings, model.active_readings):
        found = p99(readings)
        assert (found.verdict, found.code) == (Verdict.WAIT, Code.LANDED_JUST_NOW)
        assert (found.samples, found.value) == (0, None)


def test_in_a_shallow_clone_nothing_counts_as_proven(clones: Clones, tmp_path: Path) -> None:
    merged(clones.operator, 30, active="a_1", shadow="c_1")
    shallow = clones.another("shallow", "--depth=1")
    trust(shallow.path, {"XDG_STATE_HOME": str(tmp_path / "state")})
    model = polled(Invocation(repo=str(shallow.path)).session)
    assert {p99(each).code for each in (model.readings, model.active_readings)} == {Code.LANDING_UNKNOWN}
    assert not p99(model.active_readings).verdict.opens
    shallow.git("fetch", "-q", "--unshallow", "origin")
    model = polled(Invocation(repo=str(shallow.path)).session)
    assert {p99(each).verdict for each in (model.readings, model.active_readings)} == {Verdict.PASS}
