"""What the kill key may import: a tired operator's key does not wait for a library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# dataclasses pulls in inspect and ast; the others are whole subsystems.
_HEAVY = ("dataclasses", "inspect", "asyncio", "http", "ssl", "socket", "subprocess", "logging", "pathlib", "ml.board")
_LIBRARIES = ("pydantic", "requests", "git", "textual", "click", "numpy", "urllib3")


@pytest.mark.parametrize(
    "module",
    [
        "ml.emergency.switch",
        "ml.emergency.actuators",
        "ml.emergency.killformats",
        "ml.records.audit",
        "ml.records.durable",
    ],
)
def test_the_kill_path_stays_light(module: str) -> None:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _path() + code], capture_output=True, check=True, text=True
    )
    loaded = set(ended.stdout.split())
    assert module in loaded
    assert loaded.isdisjoint((*_HEAVY, *_LIBRARIES))


@pytest.mark.parametrize("form", ["env", "json", "toml"])
def test_a_kill_command_loads_no_library(tmp_path: Path, form: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "console.toml").write_text('[environment]\nname = "prod"\n[prometheus]\npoll_seconds = 9\n')
    (tmp_path / ".git" / "own" / "mlconsole").mkdir(parents=True)
    own = "" if form == "env" else f'[kill_switch]\nformat = "{form}"\nkey = "trading.disabled"\n'
    (tmp_path / ".git" / "own" / "mlconsole" / "config.toml").write_text(own)
    words = ["kill", "on", "--no-wait", "--repo", str(tmp_path)]
    code = f"import sys; from console.kill import run_kill; run_kill({words!r}); print('\\n'.join(sys.modules))"
    environ = os.environ | {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / ".git" / "own"),
    }
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _path() + code], capture_output=True, check=True, text=True, env=environ
    )
    assert (tmp_path / "var/kill_switch.env").exists()
    loaded = set(ended.stdout.split())
    assert "console.config" in loaded
    assert loaded.isdisjoint(_LIBRARIES)
    assert ("ml.emergency.killformats" in loaded) is (form != "env")


def _path() -> str:
    return f"import sys; sys.path[:0] = {[entry for entry in sys.path if entry]!r}; "
