"""Open changes by keys on real repositories with the real gate: staged, promoted, landed, closed, and told once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.clones import OPERATOR
from support.gatehouse import FRESH, MODEL, POLICY
from support.listeners import Listener, listening
from support.shared_remote import CHECKS, SharedRemote, guarded
from support.walk import reads, shown_on
from support.walk import until as until_soon
from textual.pilot import Pilot

from console.app import ConsoleApp
from console.config import load
from console.invocation import open_session
from console.screens.open_change import OpenChangeScreen
from console.screens.promote.screen import PromoteScreen
from ml.clock import SystemClock
from ml.registry.schema import POLICY_PATH

SECOND = "second@example.com"
FAR_S = 120.0
"""A landing runs the gate here and once more in the server's hook, which starts Python anew."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> SharedRemote:
    """An operator's clone, in which FRESH stands in staging, of a remote that is guarded by the hook."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return guarded(tmp_path, capfd)


@pytest.fixture
def webhook(desk: SharedRemote) -> Iterator[Listener]:
    """A webhook that the operator's own configuration names."""
    with listening() as listener:
        desk.own(f'[notify]\nurl = "{listener.url}"\n')
        yield listener


def to_shadow(desk: SharedRemote) -> str:
    code, done = desk.document("promote", MODEL, "--to", "shadow", "--reason", "as planned")
    assert code == 0
    return str(done["branch"])


@asynccontextmanager
async def console(desk: SharedRemote) -> AsyncIterator[Pilot[int]]:
    """The real console on the operator's clone, with its board shown."""
    app = ConsoleApp(open_session(load(repo=str(desk.path))), SystemClock(), poll_seconds=1.0, fetch_seconds=1.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.board is not None)
        yield pilot


async def until(pilot: Pilot[object], holds: Callable[[], object]) -> None:
    """Wait until something holds, as long as real git and the real hook may take on a busy machine."""
    ends = time.monotonic() + FAR_S
    while not holds() and time.monotonic() < ends:
        await asyncio.sleep(0.05)
    await until_soon(pilot, holds)


async def reads_soon(pilot: Pilot[object], text: str) -> None:
    await until(pilot, lambda: reads(pilot, text))


def squeezed(pilot: Pilot[object]) -> str:
    return "".join("".join(line.split()) for line in shown_on(pilot))


def rungs(webhook: Listener) -> list[str]:
    told = [json.loads(body) for _, _, body in webhook.posts]
    return [each["rung"] for each in told if each["event"] == "rung"]


async def test_a_change_is_opened_landed_and_followed_by_keys(desk: SharedRemote, webhook: Listener) -> None:
    branch = to_shadow(desk)
    commit = desk.clones.tip(branch)
    async with console(desk) as pilot:
        await pilot.press("5")
        await reads_soon(pilot, "1 open")
        await reads_soon(pilot, "MERGED waiting: main does not hold it.")
        assert branch in squeezed(pilot)
        await pilot.press("enter")
        await reads_soon(pilot, "PUSHED done")
        await pilot.press("right", "right")
        await reads_soon(pilot, f'"artifact_id": "{FRESH}"')
        await pilot.press("l")
        await reads_soon(pilot, "The gate lets it through")
        await until(pilot, lambda: reads(pilot, "unit_tests") or reads(pilot, "author"))
        assert desk.clones.tip() != commit
        await pilot.press("ctrl+l")
        await reads_soon(pilot, "MERGED done")
        assert desk.clones.tip() == commit
        await pilot.press("escape")
        await until(pilot, lambda: "merged" in rungs(webhook))
    assert rungs(webhook) == ["pushed", "checked", "merged"]

    async with console(desk) as pilot:
        await pilot.press("5")
        await reads_soon(pilot, "DEPLOYED")
    assert desk.document("change", "wait", branch, "--until", "merged")[0] == 0
    assert rungs(webhook) == ["pushed", "checked", "merged"]


async def test_a_closed_gate_lands_nothing(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    other = desk.clones.another("colleague", email=SECOND)
    (desk.clones.remote.path / "hooks" / "pre-receive").unlink()
    other.git("checkout", "-q", branch)
    other.commit("Rules of my own", {POLICY_PATH: POLICY + CHECKS + "[soak]\nhours = 1\n"})
    other.git("push", "-q", "origin", branch)
    main = desk.clones.tip()
    async with console(desk) as pilot:
        await pilot.press("5")
        await reads_soon(pilot, "1 open")
        await pilot.press("l")
        await reads_soon(pilot, "The gate refuses it")
        await pilot.press("ctrl+l", "enter")
        await pilot.pause()
    assert desk.clones.tip() == main


async def test_a_branch_that_moves_while_a_person_reads_is_not_landed(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    main = desk.clones.tip()
    async with console(desk) as pilot:
        await pilot.press("5")
        await reads_soon(pilot, "1 open")
        await pilot.press("l")
        await reads_soon(pilot, "Press ^L to land it")
        shown = desk.clones.tip(branch)
        amended = desk.clones.another("colleague", email=OPERATOR)
        amended.git("checkout", "-q", branch)
        amended.git("commit", "-q", "--amend", "--no-edit", "--date", "2026-01-01T00:00:00Z")
        (desk.clones.remote.path / "hooks" / "pre-receive").unlink()
        amended.git("push", "-q", "--force", "origin", branch)
        assert desk.clones.tip(branch) != shown
        await pilot.press("ctrl+l")
        await until(pilot, lambda: f"{shown[:12]}wasshown" in squeezed(pilot))
    assert desk.clones.tip() == main


async def test_a_change_is_closed_by_keys_and_stays_here(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    commit = desk.clones.tip(branch)
    async with console(desk) as pilot:
        await pilot.press("5")
        await reads_soon(pilot, "1 open")
        await pilot.press("x")
        await reads_soon(pilot, "The branch goes from the remote.")
        await pilot.press("ctrl+l")
        await reads_soon(pilot, "It is closed")
        await reads_soon(pilot, f"CLOSED: {OPERATOR} closed it.")
    assert desk.clones.tip(branch) == ""
    assert desk.clones.operator.git("rev-parse", branch) == commit


async def test_a_second_promotion_is_told_in_both_faces_and_a_rollback_is_not_held_up(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    code, said, err = desk.say("promote", MODEL, "--to", "shadow", "--reason", "again")
    assert (code, said) == (5, "")
    assert f"{OPERATOR} opened this step of {MODEL}" in err
    assert branch in err
    assert "--again" in err
    code, _, err = desk.say("promote", MODEL, "--to", "shadow", "--reason", "again", "--dry-run")
    assert code == 0
    assert branch in err

    async with console(desk) as pilot:
        await pilot.press("h", "h", "p")
        await until(pilot, lambda: isinstance(pilot.app.screen, PromoteScreen))
        await reads_soon(pilot, "This step, staging to shadow, is open already.")
        assert branch in squeezed(pilot)
        assert reads(pilot, f"by {OPERATOR}")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, OpenChangeScreen))

    assert desk.say("rollback", MODEL, "--reason", "EMERGENCY")[0] == 0
    desk.say("change", "close", branch)
    again = ("promote", MODEL, "--to", "shadow", "--reason", "again")
    while (done := desk.document(*again)[1]).get("branch") == branch or "error" in done:
        assert "open" not in done.get("error", {}).get("cause", "")  # one second has room for one branch of a name
    assert done["pushed"] is True


def test_again_promotes_once_more_and_says_what_is_open(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    while True:
        code, said, err = desk.say("promote", MODEL, "--to", "shadow", "--reason", "again", "--again")
        assert f"opened this step of {MODEL}" in err
        if code == 0:
            break
    assert branch not in said


def test_a_colleagues_promotion_counts_before_anything_was_fetched(desk: SharedRemote) -> None:
    branch = to_shadow(desk)
    desk.clones.operator.git("branch", "-q", "-D", branch)
    desk.clones.operator.git("update-ref", "-d", f"refs/remotes/origin/{branch}")
    code, _, err = desk.say("promote", MODEL, "--to", "shadow", "--reason", "mine")
    assert (code, branch in err) == (5, True)
