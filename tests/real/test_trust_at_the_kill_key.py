"""F9 on a real terminal, in a clone whose pushed configuration nobody trusts: the last trusted target, no program."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.trusting import configure

from console.demo.layout import Layout, source_path
from console.demo.repository import make_repositories
from console.settings import CONFIG_NAME
from ml.records.audit import AuditLog

START_S, KILL_S = 40.0, 5.0
KILLED = "\nML_KILL_SWITCH=1\n"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.make()
    make_repositories(made, datetime.now(UTC), "")
    return made


def environment(layout: Layout) -> dict[str, str]:
    return dict(os.environ) | {
        "XDG_STATE_HOME": str(layout.state),
        "XDG_CONFIG_HOME": str(layout.root / "config"),
        "PYTHONPATH": str(source_path()),
    }


def console(layout: Layout) -> Terminal:
    return Terminal([sys.executable, "-m", "console"], cwd=layout.clone, env=environment(layout))


def wait_until(holds: Callable[[], object], running: Terminal) -> None:
    ends = time.monotonic() + KILL_S
    while not holds():
        assert time.monotonic() < ends, running.dump()
        time.sleep(0.005)


def delivered(layout: Layout) -> bool:
    """The kill has been recorded, so that every actuator that it has was called."""
    logs = layout.state.glob("mlconsole/*/audit.jsonl")
    return any(line.kind == "kill" for path in logs for line in AuditLog(path).read())


def pushed(layout: Layout) -> str:
    """What a stranger would like to happen at the kill key: another file, a program, and no key at all."""
    return (
        f'[kill_switch]\nfile = "{layout.root / "evil.env"}"\n'
        f'[[kill_switch.actuator]]\ntype = "command"\nargv = ["touch", "{layout.root / "ran"}"]\n'
        '[interface.keymap]\nkill = "f12"\nhelp = "f9"\n'
    )


def test_the_kill_key_writes_the_last_trusted_target_and_runs_no_pushed_program(layout: Layout) -> None:
    target = layout.root / "engines.env"
    configure(layout.clone, f'[kill_switch]\nfile = "{target}"\n', environment(layout))
    (layout.clone / CONFIG_NAME).write_text(pushed(layout))
    with console(layout) as running:
        running.wait_for("kill target", START_S)
        running.press("f9")
        wait_until(target.exists, running)
        wait_until(lambda: delivered(layout), running)
        running.wait_for("ignores untrusted settings", START_S)
    assert target.read_text().endswith(KILLED)
    assert not (layout.root / "evil.env").exists()
    assert not (layout.root / "ran").exists()


def test_a_trusted_program_is_run_at_the_kill_key_and_f9_is_still_the_key(layout: Layout) -> None:
    """The other half of the test above: it is the trust that decides, and no configuration unbinds F9."""
    configure(layout.clone, pushed(layout), environment(layout))
    with console(layout) as running:
        running.wait_for("STAGING", START_S)
        running.press("f9")
        wait_until((layout.root / "ran").exists, running)
    assert (layout.root / "evil.env").read_text().endswith(KILLED)
