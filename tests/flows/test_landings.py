"""The landing of a pointer in a real clone: the commit of the base's first-parent line that brought it there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.clones import Clones, Folder, clean_environment, make_clones

from console.config import load
from console.wiring import context
from ml.registry.schema import REGISTRY_PATH
from ml.session.landings import Landings, Place
from ml.session.registries import Registries
from ml.stage import Stage

HOUR = 3600.0
SHADOW, ACTIVE = ("m", Stage.SHADOW), ("m", Stage.ACTIVE)


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


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


def registry(**stages: str) -> dict[str, str | bytes]:
    """A registry of one model, each pointer with a digest of its own."""
    pointers = {
        stage: {"artifact_id": name, "artifact_dir": f"artifacts/onnx/{name}", "model_sha256": name[0] * 64}
        for stage, name in stages.items()
    }
    model: dict[str, Any] = {"staging": None, "shadow": None, "active": None, "history": []} | pointers
    return {REGISTRY_PATH: json.dumps({"schema_version": "v1", "models": {"m": model}})}


@pytest.fixture
def clones(tmp_path: Path) -> Clones:
    with committed(90):
        return make_clones(tmp_path, registry(active="a_1", shadow="b_1"))


def pushed(folder: Folder, hours_ago: float, **stages: str) -> None:
    with committed(hours_ago):
        folder.commit("Change", registry(**stages))
    folder.git("push", "-q", "origin", "main")


class Session:
    """One session's landings in a clone; ages in hours."""

    def __init__(self, folder: Folder) -> None:
        self.context = context(load(repo=str(folder.path)))
        self.registries, self.landings = Registries(self.context), Landings(self.context)

    def serving(self) -> dict[Place, float]:
        found = self.landings.serving(self.registries.now(), datetime.now(UTC))
        assert not [each for each in found.values() if each.unknown]
        return {place: age(each.at) for place, each in found.items()}

    def soaking(self) -> dict[Place, float]:
        return {place: age(each.at) for place, each in self.landings.soaking(self.registries.now()).items()}


def age(at: datetime) -> float:
    return (datetime.now(UTC) - at).total_seconds() / HOUR


def near(hours: float) -> Any:
    return pytest.approx(hours, abs=0.05)


def test_a_change_that_waited_counts_from_its_merge(clones: Clones) -> None:
    """The branch is 20 hours old, and was merged an hour ago."""
    here = clones.operator
    here.git("checkout", "-q", "-b", "promote")
    with committed(20):
        here.commit("Promote b", registry(active="b_1"))
    here.git("checkout", "-q", "main")
    with committed(1):
        here.git("merge", "-q", "--no-ff", "-m", "Merge", "promote")
    here.git("push", "-q", "origin", "main")
    assert Session(here).serving() == {ACTIVE: near(1)}


def test_each_stage_has_its_own_landing_and_a_second_change_dates_nothing_of_the_first(clones: Clones) -> None:
    here, session = clones.operator, Session(clones.operator)
    assert session.soaking() == {SHADOW: near(90)}
    assert session.serving()[ACTIVE] > 49
    pushed(here, 3, active="b_1")
    assert session.serving() == {ACTIVE: near(3)}
    assert session.soaking() == {}
    pushed(here, 1, active="b_1", shadow="c_1")
    assert session.serving() == {ACTIVE: near(3), SHADOW: near(1)}
    assert session.soaking() == {SHADOW: near(1)}
    assert Session(here).serving() == session.serving() | {ACTIVE: near(3), SHADOW: near(1)}


def test_an_artifact_that_left_and_came_back_counts_from_its_return(clones: Clones) -> None:
    here, session = clones.operator, Session(clones.operator)
    session.serving()
    pushed(here, 9, active="b_1")
    pushed(here, 4, active="a_1")
    assert session.serving() == {ACTIVE: near(4)}
    assert Session(here).serving() == {ACTIVE: near(4)}


def test_commits_without_a_change_of_the_registry_move_nothing(clones: Clones) -> None:
    here, session = clones.operator, Session(clones.operator)
    pushed(here, 6, active="b_1")
    before = session.serving()
    here.commit("Readme", {"README.md": "hello\n"})
    here.git("push", "-q", "origin", "main")
    assert session.serving() == {ACTIVE: near(before[ACTIVE])} == {ACTIVE: near(6)}


def test_an_old_date_on_a_young_commit_hides_no_landing(clones: Clones) -> None:
    """A branch that was written long ago, and put on top of the base by a fast-forward."""
    here = clones.operator
    pushed(here, 5, active="b_1")
    pushed(here, 80, active="b_1", shadow="c_1")
    assert Session(here).serving()[ACTIVE] == near(5)


def test_what_is_older_than_any_window_costs_no_reading_of_old_commits(
    clones: Clones, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = clones.operator
    for hours in range(89, 59, -1):
        pushed(here, hours, active="a_1", shadow=f"d_{hours}")
    pushed(here, 2, active="a_1", shadow="e_1")
    session = Session(here)
    objects, read = session.context.repository.objects, []
    original = objects.read
    base = session.registries.now()
    monkeypatch.setattr(objects, "read", lambda *asked: read.append(asked) or original(*asked), raising=True)
    found = session.landings.serving(base, datetime.now(UTC))
    assert found["m", Stage.ACTIVE].unknown == ""
    assert age(found["m", Stage.ACTIVE].at) > 49
    assert len(read) <= 3


def _shallow(clones: Clones) -> Folder:
    return clones.another("shallow", "--depth=1")


def _stands_in(clones: Clones) -> Folder:
    folder = clones.another("stale")
    folder.git("update-ref", "-d", "refs/remotes/origin/main")
    return folder


@pytest.mark.parametrize("make", [_shallow, _stands_in])
def test_a_clone_that_lacks_the_landing_says_so_and_is_believed_when_it_is_mended(
    clones: Clones, make: Callable[[Clones], Folder]
) -> None:
    pushed(clones.operator, 30, active="a_1", shadow="c_1")
    pushed(clones.operator, 2, active="a_1", shadow="f_1")
    folder = make(clones)
    session = Session(folder)
    found = session.landings.serving(session.registries.now(), datetime.now(UTC))
    assert "git fetch" in found["m", Stage.ACTIVE].unknown
    folder.git("fetch", "-q", *(["--unshallow"] if make is _shallow else []), "origin")
    assert Session(folder).serving()[ACTIVE] > 49
    assert session.serving()[ACTIVE] > 49
