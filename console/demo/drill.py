"""``mlconsole drill``: make the newest artifact fail at a random moment, and time the operator's response."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click

from console.demo import prometheus
from console.demo.referee import ENGINE, Fault, Observed, Referee, Step, choose
from console.demo.run import lived_in, run_console
from console.demo.scene import DRILL_MOVES, THIRD
from console.demo.stack import Stack
from console.paths import state_directory
from ml.adapters.processes import run
from ml.errors import ConsoleError, TimedOut, Unavailable
from ml.text import visible
from ml.verdict import Verdict

# Local best scores of drills: the shortest time from the fault until the previous artifact serves again.

_NAME = "drill.json"


def best(player: str) -> float | None:
    """Return a player's best time in seconds; ``None`` before the first complete drill."""
    score = _read().get(player)
    return score if isinstance(score, float) else None


def keep(player: str, seconds: float) -> bool:
    """Record a complete drill. Returns True when it is the best so far."""
    before = best(player)
    if before is not None and before <= seconds:
        return False
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_read() | {player: float(seconds)}, indent=1), "utf-8")
    os.replace(part, path)
    return True


def _read() -> dict[str, object]:
    """Read all scores. A missing or broken file counts as no scores."""
    try:
        scores = json.loads(_path().read_bytes())
    except (OSError, ValueError):
        return {}
    return scores if isinstance(scores, dict) else {}


def _path() -> Path:
    return state_directory() / _NAME


_DEADLINE_S = 180.0
_PAST_HOURS = 1
"""Hours of history in a drill. A drill only looks at the last minutes, so a whole day is not needed."""
_QUIET_S = (10.0, 40.0)
_QUIET_HEADLESS_S = (1.0, 4.0)
_BRIEFING = """
  {artifact} of {model} has been active for six minutes. Soon it goes bad.
  Notice it, F9 (kill), wait for CONFIRMED, r (roll back), then in a second shell
    cd {clone} && mlconsole land BRANCH
  and, when the previous artifact serves, u (release). Leave with q; the clock stops when it serves again.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Result of one drill: the fault, seconds from the fault to each step, and the comparison with the best time.

    ``total_s`` is the time until the previous artifact serves again; ``None`` when a step is missing. ``best_s`` is the
    best time so far, including this one. ``trouble`` is the error that stopped a scripted operator.
    """

    seed: int
    fault: Fault
    seconds: dict[Step, float]
    missing: tuple[Step, ...]
    total_s: float | None
    best_s: float | None
    new_best: bool
    trouble: str = ""


def drill(*, seed: int | None, headless: bool, directory: Path | None) -> Score:
    """Run one drill on a stack of its own; nothing stays behind but the high score.

    Args:
        seed: chooses fault and moment; a new one without it.
        headless: let the scripted operator work, for CI, instead of opening the interface.

    Raises:
        Unavailable: there is no Prometheus, without which nobody can notice. As `console.demo.run.lived_in` else.
    """
    if not prometheus.installed():
        raise Unavailable("A drill needs Prometheus, which is not installed.", "Install it; see `mlconsole demo`.")
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    random = Random(seed)  # noqa: S311 it has to be repeatable, not secret
    fault, delay = choose(random), random.uniform(*(_QUIET_HEADLESS_S if headless else _QUIET_S))
    with lived_in(directory, moves=DRILL_MOVES, hours=_PAST_HOURS) as stack:
        referee = Referee(stack, fault, delay, THIRD)
        referee.start()
        try:
            trouble = _script(stack, referee) if headless else _person(stack)
        finally:
            observed = referee.stop()
    return _score(seed, fault, observed, "script" if headless else "person", trouble)


def _person(stack: Stack) -> str:
    click.echo(_BRIEFING.format(artifact=THIRD, model=ENGINE.model, clone=stack.layout.clone), err=True)
    run_console(stack)
    return ""


def _script(stack: Stack, referee: Referee) -> str:
    """Run the scripted operator, then wait for the referee. Returns the error that stopped the operator, if any."""
    started = time.monotonic()
    try:
        Operator(stack, _say_when(referee), _DEADLINE_S).work()
    except ConsoleError as error:
        return str(error)
    referee.join(max(0.0, _DEADLINE_S - (time.monotonic() - started)))
    return ""


def _say_when(referee: Referee) -> Callable[[str], None]:
    def say(words: str) -> None:
        begun = referee.observed.injected_at
        click.echo(f"  {time.monotonic() - begun:5.1f} s  {words}" if begun else f"  {words}", err=True)

    return say


def _score(seed: int, fault: Fault, observed: Observed, player: str, trouble: str) -> Score:
    total = None if observed.missing else max(observed.seconds.values())
    new_best = total is not None and keep(player, total)
    return Score(
        seed=seed,
        fault=fault,
        seconds=observed.seconds,
        missing=observed.missing,
        total_s=total,
        best_s=best(player),
        new_best=new_best,
        trouble=trouble,
    )


# Scripted operator of a headless drill. It follows the runbook with the same verbs as a person, on the same clone.

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
