"""Flows: our code against real repositories, cut off from the machine's git settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clones import Clones, make_clones
from support.gatehouse import Gatehouse, gatehouse


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


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    """A world for the gate; its commits have no refs, so that tests do not see each other's."""
    home = tmp_path_factory.mktemp("gatehouse")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        with gatehouse(home) as opened:
            yield opened
