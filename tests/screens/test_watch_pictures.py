"""Pictures of the watch after a promotion: the quiet hour, and the breach in colours and without any."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import FakeSession, FrozenClock, board, healthy_model, p99, watch_view
from support.pictures import Compare
from support.views import settled

from console.app import ConsoleApp
from ml.board import Board

BREACH = "p99: 640 ms over 5m is not below 100 ms."


def watched(*breaching: str) -> Board:
    models = (replace(healthy_model(name), active_readings=(p99(),)) for name in ("regime_classifier", "regime_night"))
    return board(*models, watches=(watch_view(*breaching),))


SHOWN = {"watch_calm": watched(), "watch_breach": watched(BREACH)}


@pytest.mark.parametrize("name", SHOWN)
def test_watch(compare: Compare, name: str) -> None:
    assert compare(ConsoleApp(FakeSession(SHOWN[name]), FrozenClock()), run_before=settled)


@pytest.mark.parametrize("name", ["watch_breach_monochrome"])
def test_monochrome(compare: Compare, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert compare(ConsoleApp(FakeSession(watched(BREACH)), FrozenClock()), run_before=settled)
