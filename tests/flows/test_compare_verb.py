"""``compare A B`` needs two directories and nothing else: no registry, no remote, no policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.artifacts import GOOD, OTHER
from support.clones import Folder

from console.verbs import run


def test_two_directories_are_compared_where_no_registry_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Folder(tmp_path, tmp_path).git("init", "-q", "-b", "main", "empty")
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert run(["compare", str(GOOD), str(OTHER), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    counts = found["decisions"]["confusion"]
    assert [len(row) for row in counts] == [3, 3, 3]
    assert sum(map(sum, counts)) == found["decisions"]["rows"]
    assert 0 <= found["decisions"]["disagreement"] <= 1
    assert "limit 1.5×" in found["latency"]["check"]["why"]
