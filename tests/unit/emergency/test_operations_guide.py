"""The examples of docs/operations.md are configuration that the console takes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.config import load
from console.switch import kill_switch
from ml.emergency.killfile import KillFile

GUIDE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guide_covers_systemd_compose_kubernetes_and_http() -> None:
    found = re.findall(
        r'argv = \["(?:sudo", "-n", "|sh", "-c", ")?(\w+)|^type = "(http)"', "\n".join(BLOCKS), re.MULTILINE
    )
    assert [command or kind for command, kind in found] == ["systemctl", "docker", "kubectl", "http"]


@pytest.mark.parametrize("block", BLOCKS, ids=["systemd", "compose", "kubernetes", "http"])
def test_an_example_is_accepted_and_makes_an_actuator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "console.toml").write_text(block)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    settings = load(repo=str(tmp_path), environ={"HOME": str(tmp_path)})
    # The file, the configured actuator, and the engines themselves.
    assert len(kill_switch(settings).by_hand(engage=True)) == 3


def test_the_file_shown_is_the_file_written(tmp_path: Path) -> None:
    shown = re.search(r"```\n(# engaged.*?)```", GUIDE, re.DOTALL)
    assert shown
    moment = datetime(2026, 2, 17, 14, 2, 11, 250_000, tzinfo=UTC)
    KillFile(tmp_path / "kill.env").engage(moment, "operator@example.com", "EMERGENCY: p99 latency spike")
    assert (tmp_path / "kill.env").read_text() == shown[1]
