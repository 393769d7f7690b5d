"""A session's parts: made with their first use, once, and never in the way of the kill switch."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes import FakeSession, glance

from ml.errors import Refused
from ml.records.audit import AuditLog
from ml.session import Kill, Session, _Part
from ml.session.artifacts import FolderArtifacts
from ml.session.boards import Boards
from ml.session.changes import Changes
from ml.session.checklists import Checklists
from ml.session.context import Context
from ml.session.details import Details
from ml.session.ladders import Ladders
from ml.session.registries import Registries
from ml.session.rollbacks import Rollbacks
from ml.session.rung_news import RungNews
from ml.session.soaks import Soaks

DEADLINE_S = 10.0
PARTS: dict[str, type] = {
    "boards": Boards,
    "soaks": Soaks,
    "registries": Registries,
    "audit": AuditLog,
    "artifacts": FolderArtifacts,
    "checklists": Checklists,
    "changes": Changes,
    "ladders": Ladders,
    "details": Details,
    "rungs": RungNews,
    "rollbacks": Rollbacks,
}


def parameters(method: Any) -> list[tuple[str, object]]:
    """Of a method, without ``self``: each name and its kind."""
    return [(each.name, each.kind) for each in inspect.signature(method).parameters.values() if each.name != "self"]


def context(**further: object) -> Context:
    told: list[tuple[str, str]] = []
    person = SimpleNamespace(at_once=lambda: "ann", full=lambda: "ann@example.com")
    made = {
        "person": person,
        "notifier": SimpleNamespace(tell=lambda event, text: told.append((event, text))),
        "kill_control": SimpleNamespace(
            kill=lambda by, reason, who: SimpleNamespace(rung=SimpleNamespace(value=f"{by} {reason} {who()}")),
            release=lambda by, reason: (by, reason),
            view=lambda: "view",
        ),
        "require_write": lambda: None,
        "told": told,
    }
    return cast("Context", SimpleNamespace(**made | further))


@pytest.mark.parametrize("name", PARTS)
def test_a_fake_part_takes_what_the_real_one_takes(name: str) -> None:
    for method, fake in vars(getattr(FakeSession(), name)).items():
        real = parameters(getattr(PARTS[name], method))
        assert [kind for _, kind in parameters(fake)] == [kind for _, kind in real][: len(parameters(fake))], method


def test_every_part_is_described_and_made_with_its_first_use_alone() -> None:
    assert {name for name, each in vars(Session).items() if isinstance(each, _Part) and not each.__doc__} == set()
    code = "import sys, ml.session; print(*(name for name in sys.modules if name.startswith('ml.session.')))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_threads_that_come_first_together_share_one_part() -> None:
    begun, go = threading.Barrier(8), threading.Event()
    made: list[object] = []

    class Slow(Session):
        @_Part
        def part(self) -> object:
            go.wait(DEADLINE_S)
            made.append(object())
            return made[-1]

    session, seen = Slow(context, glance), []

    def ask() -> None:
        begun.wait(DEADLINE_S)
        seen.append(session.part)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert len(made) == 1
    assert seen == made * 8


def test_a_part_that_could_not_be_made_is_tried_again() -> None:
    attempts = iter((OSError("disk"), None))

    class Failing(Session):
        @_Part
        def part(self) -> str:
            if error := next(attempts):
                raise error
            return "made"

    session = Failing(context, glance)
    with pytest.raises(OSError, match="disk"):
        _ = session.part
    assert session.part == "made"


def test_the_kill_switch_waits_for_no_other_part() -> None:
    """While another thread makes a part, as the first poll does for a second, F9 is through."""
    entered, go = threading.Event(), threading.Event()

    class Slow(Session):
        @_Part
        def part(self) -> None:
            entered.set()
            assert go.wait(DEADLINE_S)

    session = Slow(context, glance)
    maker = threading.Thread(target=lambda: session.part, daemon=True)
    maker.start()
    assert entered.wait(DEADLINE_S)
    pressed: list[object] = []
    key = threading.Thread(target=lambda: pressed.append(session.kill.engage(by_key=True)), daemon=True)
    key.start()
    key.join(DEADLINE_S)
    assert pressed
    assert maker.is_alive()
    go.set()
    maker.join(DEADLINE_S)


def test_a_kill_is_by_the_person_at_once_and_tells_the_team() -> None:
    here = context()
    view = Kill(here).engage(by_key=True)
    assert view.rung.value == "ann key ann@example.com"  # type: ignore[comparison-overlap]
    assert cast("Any", here).told == [("kill", "ann engaged the kill switch: ann key ann@example.com.")]


@pytest.mark.parametrize(("typed", "reason"), [("release", "fixed"), ("RELEASE ", "fixed"), ("RELEASE", "  ")])
def test_a_release_needs_the_word_and_a_reason(typed: str, reason: str) -> None:
    with pytest.raises(Refused):
        Kill(context()).release(typed, reason)
    assert Kill(context()).release("RELEASE", " fixed ") == ("ann@example.com", "fixed")


def test_a_read_only_session_kills_and_does_not_release() -> None:
    def refuse() -> None:
        raise Refused("This session is read-only.", "Start it without.")

    here = context(require_write=refuse)
    assert Kill(here).engage()
    with pytest.raises(Refused, match="read-only"):
        Kill(here).release("RELEASE", "fixed")
