"""Flows: our code against real repositories, cut off from the machine's git settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clones import Clones, make_clones


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which no git settings are found."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


@pytest.fixture
def clones(tmp_path: Path) -> Clones:
    """A remote with one commit and an operator's clone of it."""
    return make_clones(tmp_path)
