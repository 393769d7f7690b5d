"""Measure ``mlconsole kill on``, the whole process, against an empty Python."""

from __future__ import annotations

import os
import sys
import tempfile
from math import inf
from pathlib import Path

from benchmarks.measure import Result, in_turns
from ml.adapters.processes import run as start
from ml.ports import Finished

_ROUNDS = 25
_MAIN = "from console.__main__ import main; main()"
_WITH_PYDANTIC = f"from pydantic import BaseModel, create_model; create_model('Section', url=(str, '')); {_MAIN}"
"""What `kill on` would begin with if pydantic read the settings (docs/decisions/configuration.md)."""


def run() -> tuple[Result, ...]:
    """Measure until the switch is durable and the process has ended; the receipt comes after and takes its time."""
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder) / "repo"
        (repo / ".git").mkdir(parents=True)
        (repo / "console.toml").write_text('[environment]\nname = "bench"\n[kill_switch]\nfile = "var/own.env"\n')
        environ = os.environ | {"XDG_STATE_HOME": str(Path(folder) / "state")}
        program = str(Path(sys.executable).with_name("mlconsole"))

        def process(*argv: str) -> Finished:
            ended = start(argv, deadline_s=30, cwd=repo, env=environ)
            assert ended.code == 0, ended.err
            return ended

        process(program, "trust", "--yes")
        ours, floor = in_turns(
            lambda: process(program, "kill", "on", "--no-wait"), lambda: process(sys.executable, "-c", "pass"), _ROUNDS
        )
        words = ("kill", "on", "--no-wait")
        slow, now = in_turns(
            lambda: process(sys.executable, "-c", _WITH_PYDANTIC, *words),
            lambda: process(sys.executable, "-c", _MAIN, *words),
            _ROUNDS,
        )
    return (
        Result("mlconsole kill on --no-wait, whole process", "python -c pass", ours, floor, 6.0),
        Result("the same with pydantic for its settings", "without", slow, now, inf),
    )
