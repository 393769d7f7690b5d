"""Drills on the real stack: the newest artifact goes bad, and it is made good again: by a script, and by real keys."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.demo import environment
from support.releasing import release
from support.terminal import Terminal

from console.demo.layout import Layout
from console.demo.scene import THIRD
from console.demo.stack import environment as stack_environment

pytestmark = pytest.mark.xdist_group("stack")

SEED = "106"
"""Nine of ten inferences fail, eleven seconds after the start: the shortest that a person gets."""
ENGINES = 5


def test_a_headless_drill_reaches_every_step_and_leaves_only_its_score(tmp_path: Path) -> None:
    """Releasing ends in CONFIRMED although two engines have no model: their shadow stage is empty."""
    argv = [sys.executable, "-m", "console", "drill", "--headless", "--seed", "2", "--json"]
    ended = subprocess.run(
        argv, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    score = json.loads(ended.stdout)
    assert score["fault"]["error_rate"] > 0.5
    times = score["seconds"]
    assert list(times) == ["noticed", "killed", "confirmed", "rollback pushed", "serving again"]
    assert 0 < times["killed"] < times["confirmed"] < times["rollback pushed"] < times["serving again"]
    assert (score["missing"], score["trouble"]) == ([], "")
    assert (score["total_s"], score["new_best"]) == (times["serving again"], True)
    assert "released, and confirmed by every engine" in ended.stderr
    left = [path for path in (tmp_path / ".local").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["drill.json"]
    assert json.loads(left[0].read_bytes()) == {"script": score["total_s"]}


def test_a_drill_by_keys_is_scored_and_the_score_is_kept(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "console", "drill", "--seed", SEED]
    with Terminal(argv, cwd=tmp_path, env=environment(tmp_path)) as terminal:
        terminal.wait_for("prom OK", 120)
        terminal.wait_for(re.compile(r"FAIL\]? +error"), 60)
        terminal.press("f9")
        terminal.wait_for(f"CONFIRMED {ENGINES} of {ENGINES}", 60)
        terminal.press("r")
        terminal.wait_for(re.compile(rf"from +{THIRD}\s+to +regime"), 30)
        terminal.press("ctrl+r")
        terminal.wait_for("PUSHED, and read back from the remote", 30)
        land(tmp_path)
        terminal.go("escape")
        release(terminal, "The bad one is gone", ENGINES)
        terminal.go("escape")
        terminal.press("q")
        assert terminal.wait_exit(60) == 0
        said = terminal.text()
    for step in ("noticed", "killed", "confirmed", "rollback pushed", "serving again"):
        assert re.search(rf"{step}\s+\d+\.\d", said), said
    (kept,) = [path for path in (tmp_path / ".local").rglob("*") if path.is_file()]
    assert kept.name == "drill.json"
    assert json.loads(kept.read_bytes())["person"] > 0


def land(home: Path) -> None:
    """What the briefing says to type into a second shell."""
    (folder,) = (home / ".local" / "state" / "mlconsole").glob("demo-*")
    layout = Layout(folder)
    branches = subprocess.run(
        ["git", "-C", layout.remote, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/rollback/"],
        capture_output=True,
        check=True,
        text=True,
    )
    argv = [sys.executable, "-m", "console", "land", branches.stdout.strip()]
    ended = subprocess.run(
        argv, cwd=layout.clone, env=stack_environment(layout), timeout=120, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
