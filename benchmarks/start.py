"""Measure the time from the process start to the first frame with the registry, against an empty Textual app."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from math import inf
from pathlib import Path

from benchmarks.measure import Result, in_turns
from console.demo.layout import Layout
from console.demo.repository import make_repositories

_ROUNDS = 15
_START_S = 30.0
_EMPTY = "from textual.app import App; App().run()"
_MAIN = "from console.__main__ import main; main()"
_WITH_PYDANTIC = f"from pydantic import BaseModel, create_model; create_model('Section', url=(str, '')); {_MAIN}"
"""The start if pydantic read the settings (docs/decisions/configuration.md)."""
_IMPORTS = """
import gc, time
import console.app, console.interface, console.terminal.driver, console.wiring, ml.policy
import console.screens.history, console.screens.promote.screen, console.screens.soak, console.screens.stages
"""
_UNCOLLECTED = f"import gc; gc.disable(); {_IMPORTS.strip()}"
_PAUSES = f"""{_IMPORTS}
def pause():
    started = time.perf_counter()
    gc.collect()
    return (time.perf_counter() - started) * 1000
pause()
before = pause()
gc.freeze()
print(before, pause())
"""
"""The pause of one full garbage collection, with and without the imported modules (`console.interface`)."""
_LAST_ROW = b"\x1b[24;1H"
_ARTIFACT = b"regime_v"
_ESCAPES = re.compile(rb"\x1b\[[0-9;]*[a-zA-Z]")


def run() -> tuple[Result, ...]:
    """Measure on the demo's registry, at 80×24; `make bench` has compiled our modules, as pip did those of Textual."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        layout.make()
        make_repositories(layout, datetime.now(UTC), "")
        environ = os.environ | {"HOME": folder, "XDG_STATE_HOME": str(layout.state)}
        program = str(Path(sys.executable).with_name("mlconsole"))
        ours, floor = in_turns(
            lambda: _until(_ARTIFACT, [program], layout.clone, environ),
            lambda: _until(_LAST_ROW, [sys.executable, "-c", _EMPTY], layout.clone, environ),
            _ROUNDS,
        )
        slow, now = in_turns(
            lambda: _until(_ARTIFACT, [sys.executable, "-c", _WITH_PYDANTIC], layout.clone, environ),
            lambda: _until(_ARTIFACT, [sys.executable, "-c", _MAIN], layout.clone, environ),
            _ROUNDS,
        )
    collected, uncollected = in_turns(partial(_run, _IMPORTS), partial(_run, _UNCOLLECTED), _ROUNDS)
    pauses = subprocess.run([sys.executable, "-c", _PAUSES], check=True, capture_output=True, text=True).stdout.split()
    return (
        Result("start → first frame with the registry, 80×24", "an empty Textual app", ours, floor, 1.5),
        Result("the same with pydantic for its settings", "without", slow, now, inf),
        Result("imports with garbage collection", "without", collected, uncollected, inf),
        Result("one full garbage collection", "one after gc.freeze()", *map(float, pauses), inf),
    )


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def _until(wanted: bytes, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    """Start a program on a pseudo-terminal and end it as soon as it has drawn the expected text."""
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environ = {**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(
        ["setsid", "--ctty", *argv], stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environ
    )
    os.close(slave)
    drawn = b""
    try:
        while wanted not in drawn and wanted not in _ESCAPES.sub(b"", drawn):
            assert select.select([master], [], [], _START_S)[0], drawn
            try:
                drawn += os.read(master, 65_536)
            except OSError as error:  # EIO: it has ended
                raise AssertionError(f"{argv[0]} ended before its first frame: {drawn!r}") from error
    finally:
        process.kill()
        process.wait()
        os.close(master)
