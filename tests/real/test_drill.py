"""One headless drill as CI runs it: the newest artifact goes bad, and the verbs of the runbook make it good again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.demo import environment

pytestmark = pytest.mark.xdist_group("stack")


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
