"""What the kill key may import: a tired operator's key does not wait for a library."""

from __future__ import annotations

import subprocess
import sys

import pytest

# dataclasses pulls in inspect and ast; the others are whole subsystems.
_HEAVY = ("dataclasses", "inspect", "asyncio", "http", "ssl", "socket", "subprocess", "logging", "pathlib", "ml.board")
_LIBRARIES = ("pydantic", "requests", "git", "textual", "click", "numpy", "urllib3")


@pytest.mark.parametrize(
    "module", ["ml.emergency.switch", "ml.emergency.actuators", "ml.records.audit", "ml.records.durable"]
)
def test_the_kill_path_stays_light(module: str) -> None:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _path() + code], capture_output=True, check=True, text=True
    )
    loaded = set(ended.stdout.split())
    assert module in loaded
    assert loaded.isdisjoint((*_HEAVY, *_LIBRARIES))


def _path() -> str:
    return f"import sys; sys.path[:0] = {[entry for entry in sys.path if entry]!r}; "
