"""Fifty soaks are judged in the background in a fraction of the time that they take one after the other.

The Prometheus is real, and far away: each question travels for a tenth of a second.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.clones import clean_environment, make_clones
from support.engine_past import HOUR, MINUTE, EnginePast
from support.prometheus import running

from console.config import load
from console.wiring import context
from ml.adapters.prometheus import Prometheus
from ml.registry.schema import POLICY_PATH, REGISTRY_PATH
from ml.session.registries import Registries
from ml.session.soaks import Soaks
from ml.verdict import SOAK_GATE, Verdict

NAMES = [f"m{number:02}" for number in range(50)]
TRAVEL_S = 0.1


class FarAway:
    """A real source behind a long way."""

    at_once = Prometheus.at_once

    def __init__(self, source: Prometheus) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._source, name)

        def travelled(*asked: Any) -> Any:
            time.sleep(TRAVEL_S)
            return ask(*asked)

        return travelled


def files() -> dict[str, str | bytes]:
    """A registry in which every model has something in shadow, and a policy with soaks of an hour."""
    models = {
        name: {
            "staging": None,
            "shadow": {"artifact_id": f"{name}_v1", "artifact_dir": f"a/{name}", "model_sha256": "5" * 64},
            "active": None,
            "history": [],
        }
        for name in NAMES
    }
    selectors = "".join(f"[model.{name}]\nselector = 'model=\"{name}\"'\n" for name in NAMES)
    return {
        REGISTRY_PATH: json.dumps({"schema_version": "v1", "models": models}),
        POLICY_PATH: f"[soak]\nhours = 1\n{selectors}",
    }


def judged_in(soaks: Soaks, names: list[str]) -> float:
    """The seconds until the background has judged these."""
    begun = time.monotonic()
    soaks.keep_fresh(names, datetime.now(UTC))
    assert soaks._judging is not None
    soaks._judging.join(300)
    assert not soaks._judging.is_alive()
    return time.monotonic() - begun


def test_fifty_soaks_take_less_than_half_of_fifty_times_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    now = time.time()
    with monkeypatch.context() as patch:
        dated = {f"GIT_{who}_DATE": f"{int(now - 2 * HOUR)} +0000" for who in ("AUTHOR", "COMMITTER")}
        patch.setattr("support.clones.clean_environment", lambda home: clean_environment(home) | dated)
        here = make_clones(tmp_path, files()).operator
    pasts = [
        EnginePast(
            model=name,
            begin=now - 2.5 * HOUR,
            end=now + 20 * MINUTE,
            step_s=30.0,
            instance=f"{name}:8000",
            artifact=f"{name}_v1",
        )
        for name in NAMES
    ]
    with running(tmp_path / "prometheus", history=[line for past in pasts for line in past.lines()]) as server:
        made = context(load(repo=str(here.path)))
        made = replace(made, metrics=FarAway(Prometheus(server.url, timeout_s=60)))
        registries = Registries(made)
        judged_in(Soaks(made, registries), NAMES[:1])  # the first one imports and connects
        one = judged_in(Soaks(made, registries), NAMES[:1])
        soaks = Soaks(made, registries)
        fifty = judged_in(soaks, NAMES)
    models = registries.now().document.registry.models
    reports = [soaks.last(name, models[name]) for name in NAMES]
    for report in reports:
        assert report is not None
        verdicts = {gate.name: gate.verdict for gate in report.gates}
        assert verdicts[SOAK_GATE] is Verdict.PASS
        assert verdicts["p99"] is Verdict.PASS
    assert fifty < 50 * one / 2, f"one {one:.2f} s, fifty {fifty:.2f} s"
