"""Flows: our code against real repositories, cut off from the machine's git settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.artifacts import ROOT
from support.clones import Clones, Folder, make_clones
from support.gatehouse import Gatehouse, gatehouse
from support.shared_remote import SharedRemote
from support.warm_python import WarmPython

from ml.adapters.git_hooks import install_gate
from ml.adapters.processes import run


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


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A program for ``mlconsole.python``: the hook's own command, without the second that Python needs to start.

    `test_hook` and `test_gate_remeasures` start the hook cold, and the attacks compare both.
    """
    with WarmPython(tmp_path_factory.mktemp("warm")) as python:
        yield python.program


@pytest.fixture
def server(house: Gatehouse, tmp_path: Path, warm: Path) -> Folder:
    """A bare repository of this test's own, guarded by the hook as the demo installs it, on the house's ``main``."""
    remote = Folder(tmp_path / "server.git", house.clones.operator.home)
    Folder(tmp_path, house.clones.operator.home).git("init", "-q", "--bare", "-b", "main", remote.path)
    house.clones.operator.git("push", "-q", remote.path, f"{house.main}:refs/heads/main")
    install_gate(remote.path, run=run, python=warm, base="main", path=ROOT)
    return remote


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> SharedRemote:
    """A clone whose configuration nobody trusts yet, and a state folder of this test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return SharedRemote(make_clones(tmp_path), tmp_path, capfd)
