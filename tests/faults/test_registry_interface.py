"""The interface on a broken registry (§14: read-only view with line and field, no write), for all fifteen faults.

The real session on a real clone, the real application; once more as the whole program on a pseudo-terminal.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from support.clones import clean_environment
from support.registries import event, model, name, pointer, registry
from support.terminal import Terminal
from support.views import console_of, told
from support.walk import reads_soon, until
from test_registry_faults import DAMAGES, SOUND, opened, own_home, traces
from textual.pilot import Pilot

from console.app import ConsoleApp
from console.screens.promote.screen import PromoteScreen
from console.screens.rollback import RollbackScreen
from ml.adapters.git import open_repository
from ml.clock import SystemClock
from ml.errors import ConsoleError
from ml.registry.codec import parse
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH
from widgets.banners import ProblemLine

__all__ = ["own_home"]

BROKEN: dict[str, bytes | None] = {fault: damages[0].raw for fault, damages in DAMAGES.items()} | {"missing": None}
ODD = {
    "unknown fields": registry(regime={**model(1, shadow=2, history=[event(1, 2, "staging>shadow")]), "x_owner": "é"}),
    "two stages with one artifact": registry(regime=model(1, shadow=1, staging=1)),
    "history over fifty": registry(
        regime=model(1, shadow=2, history=[event(n, 2, "staging>shadow") for n in range(60)])
    ),
}
FAR_S = 60.0


def problem(raw: bytes | None) -> tuple[str, str]:
    """What must be on the screen: the cause with line, column and field, and what to do."""
    if raw is None:
        return f"origin/main has no registry at {REGISTRY_PATH}.", "let `mlconsole init` propose a first registry"
    with pytest.raises(ConsoleError) as refused:
        parse(raw)
    return refused.value.cause, refused.value.remedy


def squeezed(text: str) -> str:
    """A text without the spaces and frames that wrapping puts into it."""
    return re.sub(r"[\s│▌]+", "", text)


def foot(pilot: Pilot[object]) -> str:
    """What the lines at the foot of the screen say."""
    line = pilot.app.screen.query_one(ProblemLine)
    rows = (line.render_line(at) for at in range(line.size.height))
    return squeezed("".join("".join(segment.text for segment in strip) for strip in rows))


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_registry_is_shown_with_its_place_and_changes_nothing(fault: str, tmp_path: Path) -> None:
    clones, session = opened(tmp_path, BROKEN[fault])
    before = list(traces(clones))
    cause, remedy = problem(BROKEN[fault])
    app = ConsoleApp(session, SystemClock())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.board is not None and bool(app.screen.query(ProblemLine)))
        await until(pilot, lambda: squeezed(cause) in foot(pilot) and squeezed(remedy) in foot(pilot))
        await reads_soon(pilot, "GATE closed: registry or policy cannot be read safely")
        await reads_soon(pilot, " RO ")
        await pilot.press("p", "r", "f9")
        for what in ("A promotion", "A rollback"):
            await until(pilot, lambda what=what: f"{what} is not possible: {cause}" in told(pilot))
        kill_file = clones.operator.path / "var/kill_switch.env"
        await until(pilot, kill_file.exists)
    kill_file.unlink()
    kill_file.parent.rmdir()
    assert list(traces(clones)) == before


@pytest.mark.parametrize("fault", ODD)
async def test_an_odd_registry_opens_and_can_be_changed(fault: str, tmp_path: Path) -> None:
    _, session = opened(tmp_path, ODD[fault])
    app = ConsoleApp(session, SystemClock())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.board is not None)
        await reads_soon(pilot, " RW ")
        await reads_soon(pilot, name(1))
        assert not app.board or not app.board.registry.problem


async def test_what_can_be_read_is_still_shown_and_a_mended_registry_is_writable_again(tmp_path: Path) -> None:
    raw = registry(regime={**model(1), "shadow": pointer(2, artifact_dir="/etc")})
    clones, session = opened(tmp_path, raw)
    app = ConsoleApp(session, SystemClock())
    async with app.run_test(size=(80, 24)) as pilot:
        await reads_soon(pilot, " RO ")
        await reads_soon(pilot, name(1))
        await reads_soon(pilot, name(2))
        await pilot.press("s", "w")
        for what in ("Staging", "A withdrawal"):
            said = f"{what} is not possible: ml/registry/models.json, line 8"
            await until(pilot, lambda said=said: said in told(pilot))
        await pilot.press("2")
        await reads_soon(pilot, "No soak is judged as long as the registry cannot be read.")
        await pilot.press("3")
        await reads_soon(pilot, "cannot be read")
        await pilot.press("1")
        clones.operator.commit("Mend", {REGISTRY_PATH: registry(regime=model(1, shadow=2))})
        clones.operator.git("push", "-q", "origin", "main")
        console_of(pilot).action_refresh()
        await reads_soon(pilot, " RW ")
        await until(pilot, lambda: REGISTRY_PATH not in foot(pilot))


async def test_a_broken_policy_closes_the_gate_and_leaves_the_way_back_open(tmp_path: Path) -> None:
    clones, session = opened(tmp_path, SOUND)
    clones.operator.commit("A slip", {POLICY_PATH: "[sock]\n"})
    clones.operator.git("push", "-q", "origin", "main")
    app = ConsoleApp(session, SystemClock())
    async with app.run_test(size=(80, 24)) as pilot:
        await reads_soon(pilot, "GATE closed: registry or policy cannot be read safely")
        await until(pilot, lambda: "thekeysockisunknown" in foot(pilot))
        await reads_soon(pilot, " RW ")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PromoteScreen) and not app.screen.query(ProblemLine))
        await reads_soon(pilot, "the key sock is unknown")
        await pilot.press("escape", "r")
        await until(pilot, lambda: isinstance(app.screen, RollbackScreen))
        await reads_soon(pilot, "No earlier active artifact verifies")


def test_the_whole_program_on_a_broken_registry(tmp_path: Path) -> None:
    raw = BROKEN["bad id or path"]
    clones, _ = opened(tmp_path, raw)
    before = list(traces(clones))
    cause, remedy = problem(raw)
    env = clean_environment(tmp_path) | {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    argv = [sys.executable, "-m", "console", "--repo", str(clones.operator.path)]
    with Terminal(argv, cwd=tmp_path, env=env) as terminal:
        terminal.wait_until(lambda screen: squeezed(cause + remedy) in squeezed(screen), "the problem in full", FAR_S)
        terminal.wait_for("GATE closed", FAR_S)
        assert name(1) in terminal.text()
        terminal.press("r")
        terminal.wait_for("A rollback is not possible", FAR_S)
        terminal.press("f9")
        terminal.wait_for("KILL", FAR_S)
        kill_file = clones.operator.path / "var/kill_switch.env"
        terminal.wait_until(lambda _: kill_file.exists(), "the kill file", FAR_S)
        terminal.go("escape", "q")
        assert terminal.wait_exit(FAR_S) == 0
    kill_file.unlink()
    kill_file.parent.rmdir()
    assert list(traces(clones)) == before
    assert open_repository(clones.operator.path).objects.read("main", REGISTRY_PATH) == raw
