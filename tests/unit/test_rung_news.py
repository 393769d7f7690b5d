"""Rungs of changes are told to the webhook once, also after a restart and with two consoles on one machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes import BRANCH, LANDED, change_facts, change_ladder, change_subject

from ml.errors import Unavailable
from ml.promotion.ladder import ladder
from ml.promotion.rungs import Ladder, RemoteFacts
from ml.session.context import Context
from ml.session.rung_news import RungNews


@dataclass
class Machine:
    """One machine's state folder and audit log; each console on it tells the same webhook."""

    state: Path
    branches: tuple[str, ...] = (BRANCH,)
    read_only: bool = False
    told: list[dict[str, str]] = field(default_factory=list)

    def console(self) -> RungNews:
        lines = [SimpleNamespace(kind="promote", fields={"branch": each}) for each in self.branches]
        lines.append(SimpleNamespace(kind="land", fields={"branch": "promote/m/of-somebody-else"}))
        context = SimpleNamespace(
            place=SimpleNamespace(state=self.state, read_only=self.read_only),
            audit=SimpleNamespace(read=lambda: lines),
            notifier=SimpleNamespace(tell=self._tell),
        )
        return RungNews(cast("Context", context))

    def _tell(self, event: str, text: str, **fields: str) -> None:
        self.told.append({"event": event, "text": text, **fields})

    def rungs(self) -> list[str]:
        """The rungs told since the last call."""
        found = [each["rung"] for each in self.told]
        self.told.clear()
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "state")


def unpushed() -> Ladder:
    return change_ladder(
        remote=RemoteFacts(name="origin"), forge=replace(change_facts(change_subject()).forge, requests=())
    )


def later(found: Ladder, hours: float) -> Ladder:
    return replace(found, as_of=found.as_of + timedelta(hours=hours))


def test_each_rung_is_told_once_and_in_order(machine: Machine) -> None:
    console = machine.console()
    console.tell([unpushed()])
    assert machine.rungs() == ["approved"]
    console.tell([change_ladder()])
    assert machine.rungs() == ["pushed", "checked"]
    console.tell([change_ladder()])
    assert machine.rungs() == []
    assert console.tell([change_ladder(landed=True, serves=True)]) == 3
    assert machine.told[0]["event"] == "rung"
    assert machine.told[0]["branch"] == BRANCH
    assert LANDED.commit[:12] in machine.told[0]["text"]
    assert "MERGED, by operator@example.com" in machine.told[0]["text"]
    assert machine.rungs() == ["merged", "deployed", "serving"]


def test_a_restart_and_a_second_console_repeat_nothing(machine: Machine) -> None:
    machine.console().tell([change_ladder()])
    assert machine.rungs() == ["pushed", "checked", "approved"]
    for console in (machine.console(), machine.console()):
        console.tell([change_ladder()])
    assert machine.rungs() == []


def test_a_rung_that_is_lost_and_comes_back_is_not_told_again(machine: Machine) -> None:
    console = machine.console()
    for found in (
        change_ladder(landed=True, serves=True),
        change_ladder(landed=True),
        change_ladder(landed=True, serves=True),
    ):
        console.tell([found])
    assert machine.rungs().count("serving") == 1


def test_changes_of_other_machines_are_theirs_to_tell(machine: Machine) -> None:
    machine.branches = ()
    machine.console().tell([change_ladder()])
    machine.branches = ("promote/m/of-somebody-else-too",)
    machine.console().tell([change_ladder()])
    assert machine.rungs() == []


def test_an_old_change_that_was_never_seen_is_no_news_and_its_next_rung_is(machine: Machine) -> None:
    console = machine.console()
    console.tell([later(change_ladder(), 23)])
    assert machine.rungs() == []
    console.tell([later(change_ladder(landed=True), 23.1)])
    assert machine.rungs() == ["merged"]


@pytest.mark.parametrize(
    "written", [b"", b"{", b"[]", b'{"told": []}', b'{"told": {"x": {"rungs": 1, "seen": "y"}}}', b"\xff"]
)
def test_notes_that_cannot_be_read_make_nothing_be_told_twice(machine: Machine, written: bytes) -> None:
    console = machine.console()
    console.tell([change_ladder()])
    machine.rungs()
    (machine.state / "rungs.json").write_bytes(written)
    console.tell([change_ladder()])
    assert machine.rungs() == []
    console.tell([change_ladder(landed=True)])
    assert machine.rungs() == ["merged"]


def test_what_cannot_be_noted_is_not_told(machine: Machine, tmp_path: Path) -> None:
    machine.state.parent.mkdir(exist_ok=True)
    machine.state.write_text("a file where the folder must be")
    with pytest.raises(Unavailable, match="until then no rung is told"):
        machine.console().tell([change_ladder()])
    assert machine.rungs() == []


def test_a_read_only_session_tells_and_writes_nothing(machine: Machine) -> None:
    machine.read_only = True
    assert machine.console().tell([change_ladder()]) == 0
    assert not machine.state.exists()


def test_a_branch_that_nobody_sees_any_more_is_forgotten(machine: Machine) -> None:
    console = machine.console()
    console.tell([change_ladder()])
    other = change_subject(branch="promote/m/other", at=change_subject().at + timedelta(days=40))
    machine.branches = (BRANCH, "promote/m/other")
    moved = replace(ladder(other, change_facts(other), other.at), as_of=other.at)
    machine.console().tell([moved])
    notes: dict[str, Any] = json.loads((machine.state / "rungs.json").read_text())["told"]
    assert set(notes) == {"promote/m/other"}


def test_many_changes_at_once_are_one_write(machine: Machine) -> None:
    found: Sequence[Ladder] = [change_ladder(change_subject(branch=f"promote/m/{number}")) for number in range(300)]
    machine.branches = tuple(each.subject.branch for each in found)
    assert machine.console().tell(found) == 900
    assert machine.console().tell(found) == 0
