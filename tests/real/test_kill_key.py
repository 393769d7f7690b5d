"""F9 on a real terminal kills while everything else is broken: the real console on a real clone, and its kill file.

How fast it is, is `benchmarks.kill_key`'s matter; here nothing may keep it from happening at once.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.terminal import Terminal

from console.demo.layout import Layout, source_path
from console.demo.repository import make_repositories
from ml.adapters.git_runner import GitRunner
from ml.adapters.processes import run
from ml.records.audit import AuditLine, AuditLog
from ml.registry.schema import REGISTRY_PATH

START_S = 40.0
KILL_S = 2.0
F9 = "f9"
CONSOLE = ("-m", "console")
FROZEN = """
from pathlib import Path
from console.app import ConsoleApp
def stand_still(app):
    Path("frozen").touch()
    while True:
        pass
ConsoleApp._tick = stand_still
from console.__main__ import main
main()
"""

FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
from console.__main__ import main
main()
"""
"""A disk on which the kernel lets every file have so many bytes and no more."""


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """The demo's repositories, and a Prometheus that takes connections and never answers."""
    made = Layout(tmp_path)
    made.make()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        make_repositories(made, datetime.now(UTC), f"http://127.0.0.1:{deaf.getsockname()[1]}")
        yield made


def terminal(layout: Layout, *program: str) -> Terminal:
    env = os.environ | {"XDG_STATE_HOME": str(layout.state), "PYTHONPATH": str(source_path())}
    return Terminal([sys.executable, *program], cwd=layout.clone, env=env)


def kills(layout: Layout, running: Terminal) -> None:
    """F9 puts the kill file in place at once, and a line of the audit log behind it."""
    begun = time.monotonic()
    running.press(F9)
    wait_until(layout.kill_file.exists, KILL_S - (time.monotonic() - begun), running)
    assert layout.kill_file.read_text().endswith("\nML_KILL_SWITCH=1\n")
    wait_until(lambda: [line.kind for line in audit(layout)] == ["kill"], KILL_S, running)


def audit(layout: Layout) -> list[AuditLine]:
    return [line for path in layout.state.glob("mlconsole/*/audit.jsonl") for line in AuditLog(path).read()]


def wait_until(holds: Callable[[], object], deadline_s: float, running: Terminal) -> None:
    ends = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < ends, running.dump()
        time.sleep(0.002)


def test_while_prometheus_hangs(layout: Layout) -> None:
    with terminal(layout, *CONSOLE) as running:
        running.wait_for("checking", START_S)
        kills(layout, running)


def test_while_git_is_locked(layout: Layout) -> None:
    for name in ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock"):
        (layout.clone / ".git" / name).touch()
    with terminal(layout, *CONSOLE) as running:
        running.wait_for("STAGING", START_S)
        kills(layout, running)


def test_while_the_registry_is_broken(layout: Layout) -> None:
    git = GitRunner(layout.clone, run)
    (layout.clone / REGISTRY_PATH).write_text('{"schema_version": "v1", "models": {"a": {"active": 1, "active": 2')
    git("commit", "-qam", "A registry that nobody can read")
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    with terminal(layout, *CONSOLE) as running:
        running.wait_for(REGISTRY_PATH, START_S)
        kills(layout, running)


def test_while_the_interface_stands_still_and_holds_the_interpreter(layout: Layout) -> None:
    """Not even a loop that never awaits, in the interface's own thread, keeps the key's thread from the switch."""
    with terminal(layout, "-c", FROZEN) as running:
        wait_until((layout.clone / "frozen").exists, START_S, running)
        try:
            kills(layout, running)
        finally:
            running.process.kill()


def test_while_the_disk_is_full_for_everything_but_the_kill_file(layout: Layout) -> None:
    with terminal(layout, "-c", FULL.format(room=200)) as running:
        running.wait_for("STAGING", START_S)
        begun = time.monotonic()
        running.press(F9)
        wait_until(layout.kill_file.exists, KILL_S - (time.monotonic() - begun), running)
        assert layout.kill_file.read_text().endswith("\nML_KILL_SWITCH=1\n")
        running.wait_for("The audit line could not be written", START_S)
        running.wait_for("KILL WRITTEN", START_S)
        assert audit(layout) == []


def test_when_even_the_kill_file_cannot_be_written_the_screen_says_so_and_what_to_do_by_hand(layout: Layout) -> None:
    with terminal(layout, "-c", FULL.format(room=0)) as running:
        running.wait_for("STAGING", START_S)
        running.press(F9)
        running.wait_for("could not be written: File too large", START_S)
        running.wait_for("ML_KILL_SWITCH=1", START_S)
        running.wait_for("By hand", START_S)
        running.wait_for("KILL NOT WRITTEN", START_S)
        assert "RELEASE" not in running.text()
        assert not layout.kill_file.exists() or not layout.kill_file.read_bytes()


def test_in_a_read_only_session(layout: Layout) -> None:
    with terminal(layout, *CONSOLE, "--read-only") as running:
        running.wait_for("RO", START_S)
        kills(layout, running)


def test_a_session_without_the_kill_key_says_how_to_kill(layout: Layout) -> None:
    with terminal(layout, *CONSOLE, "--no-kill") as running:
        running.wait_for("STAGING", START_S)
        running.press(F9)
        running.wait_for("The kill key is off in this session", KILL_S * 5)
        assert not layout.kill_file.exists()
        assert audit(layout) == []
