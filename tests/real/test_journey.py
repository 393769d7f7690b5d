"""The main job, end to end: every key on a real terminal, every answer from the living system.

Promote a candidate to shadow and the soaked model to active, kill, release, roll back; after each landing the engine
that should serve the artifact does. Only the landing is typed into a shell beside the console, as by a reviewer.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest
from support.demo import Demo
from support.releasing import release
from support.terminal import Terminal

pytestmark = pytest.mark.xdist_group("stack")

PHRASE = "I_UNDERSTAND_THIS_AFFECTS_TRADING"
CANDIDATE, BEFORE, SOAKED = "regime_v2026_02_14_001", "regime_v2026_02_15_001", "regime_v2026_02_15_002"


class Operator:
    """An on-call operator: one terminal with the console, one shell beside it, one living system."""

    def __init__(self, demo: Demo, terminal: Terminal) -> None:
        self.demo = demo
        self.terminal = terminal

    def look_at(self, model: str) -> None:
        """Choose a model on the board."""
        while (shown := shown_model(self.terminal.text())) != model:
            self.terminal.press("]")
            self.terminal.wait_until(lambda screen: shown_model(screen) != shown, "the next model")

    def submit(self) -> str:
        """From the plan to the receipt; the branch that the remote holds now."""
        self.terminal.wait_for("+++ b/ml/registry/models.json", 60)
        self.terminal.go("tab", "enter")
        return self.pushed()

    def pushed(self) -> str:
        """Wait for the receipt; the branch that the remote has and main has not."""
        self.terminal.wait_for("PUSHED, and read back from the remote", 30)
        self.terminal.go("escape")
        remote = self.demo.document["remote"]
        listed = self.demo.shell(f"git -C {remote} for-each-ref --no-merged main --format='%(refname:short)'")
        (branch,) = listed.stdout.split()
        return branch

    def land(self, branch: str) -> None:
        """What a reviewer does where there is no forge."""
        ended = self.demo.console("land", branch)
        assert ended.returncode == 0, ended.stderr

    def sees(self, engine: str, artifact_id: str) -> None:
        """The engine itself tells that it serves the artifact, and that it infers."""
        name = f'instance="{engine}"'
        info = f'grinder_ml_model_info{{{name},artifact_id="{artifact_id}"}} and on (instance) up == 1'
        moved = f"increase(grinder_ml_inference_total{{{name}}}[20s]) > 0"
        self.demo.wait_for(f"{engine} serves {artifact_id}", lambda: bool(self.demo.query(info)))
        self.demo.wait_for(f"{engine} infers", lambda: bool(self.demo.query(moved)))


@pytest.fixture
def operator(demo: Demo) -> Iterator[Operator]:
    argv = [sys.executable, "-m", "console"]
    with Terminal(argv, cwd=demo.clone, env=demo.env) as terminal:
        yield Operator(demo, terminal)


def test_journey(operator: Operator) -> None:
    terminal = operator.terminal
    terminal.wait_for("prom OK", 30)

    operator.look_at("regime_lowvol")
    terminal.press("p")
    terminal.wait_for("staging → shadow")
    terminal.wait_until(gates_open, "open gates", 60)
    terminal.press("ctrl+n")
    terminal.wait_for("[Reason]")
    terminal.type("Proven by day and by night")
    terminal.press("ctrl+n")
    operator.land(operator.submit())
    operator.sees("regime_lowvol-shadow", CANDIDATE)

    operator.look_at("regime_classifier")
    terminal.press("p")
    terminal.wait_for("shadow → active")
    terminal.wait_until(gates_open, "open gates", 60)
    terminal.press("ctrl+n")
    terminal.wait_for("[Reason]")
    terminal.type("Soak of 24 h within its objectives")
    terminal.go("tab")
    terminal.type("Both halves alike, no blocks")
    terminal.press("ctrl+n")
    terminal.wait_for("[ACK]", 60)
    terminal.go("shift+tab")
    terminal.wait_for(f"0 of {len(PHRASE)}")
    terminal.type(PHRASE)
    terminal.press("enter")
    operator.land(operator.submit())
    operator.sees("regime_classifier-active", SOAKED)

    terminal.press("f9")
    terminal.wait_for("CONFIRMED 5 of 5", 30)
    release(terminal, "Drill is over", 5)
    terminal.go("escape")

    terminal.press("r")
    terminal.wait_for(re.compile(rf"from +{SOAKED}\s+to +{BEFORE} "))
    terminal.press("ctrl+r")
    operator.land(operator.pushed())
    operator.sees("regime_classifier-active", BEFORE)

    terminal.press("q")
    assert terminal.wait_exit() == 0


def shown_model(screen: str) -> str:
    """The model that the header names."""
    found = re.search(r"│ (regime_\w+) │", screen)
    return found[1] if found else ""


def gates_open(screen: str) -> bool:
    """Every gate of the checklist is judged and none blocks."""
    return "[Checklist]" in screen and "PASS" in screen and "Judging" not in screen and "BLOCKED" not in screen
