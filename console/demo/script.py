"""Scripted operator of a headless drill. It follows the runbook with the same verbs as a person, on the same clone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from console.demo.referee import ENGINE
from console.demo.stack import Stack
from ml.adapters.processes import run
from ml.errors import TimedOut, Unavailable
from ml.text import visible
from ml.verdict import Verdict

_VERB_S = 60.0
_REASON = "EMERGENCY: drill"

Say = Callable[[str], None]


class Operator:
    """Watches the board until something fails, then follows the runbook to its end."""

    def __init__(self, stack: Stack, say: Say, deadline_s: float) -> None:
        self._stack = stack
        self._say = say
        self._ends = time.monotonic() + deadline_s

    def work(self) -> None:
        """Notice, kill, roll back, land, release.

        Raises:
            TimedOut: the deadline has passed. Unavailable: a verb failed, in its own words.
        """
        self._say(f"noticed: {self._breach()}")
        self._verb("kill", "on", f"--reason={_REASON}")
        self._say("killed, and confirmed by every engine")
        branch = json.loads(self._verb("rollback", ENGINE.model, "--json"))["branch"]
        self._say(f"rollback pushed: {branch}")
        self._verb("land", branch)
        self._say("landed")
        self._verb("kill", "off", "--confirm=RELEASE", "--reason=The drill's artifact is rolled back")
        self._say("released, and confirmed by every engine")

    def _breach(self) -> str:
        """Poll until a reading of the active artifact fails. Returns the reason."""
        while True:
            model = json.loads(self._verb("status", "--json", answers=(0, 1, 3)))["models"][ENGINE.model]
            why = next((_why(each) for each in model["readings"] if each["verdict"] == Verdict.FAIL), None)
            if why:
                return why

    def _verb(self, *words: str, answers: tuple[int, ...] = (0,)) -> str:
        """Run a verb to its end and return its output. ``answers`` are exit codes that are not errors."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimedOut(f"The drill's time was over before `mlconsole {words[0]}`.", "Look at what is missing.")
        argv = [sys.executable, "-m", "console", *words]
        ended = run(argv, deadline_s=min(left, _VERB_S), cwd=self._stack.layout.clone, env=self._stack.env)
        if ended.code not in answers:
            said = visible(ended.err.decode("utf-8", "replace").strip(), limit=600)
            raise Unavailable(f"`mlconsole {' '.join(words[:2])}` ended with {ended.code}: {said}", "Try it by hand.")
        return ended.out.decode("utf-8")


def _why(reading: dict[str, Any]) -> str:
    return f"{reading['name']}: {reading['why']}"
