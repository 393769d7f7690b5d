"""The parts of a drill that need no stack: faults by seed, the high score, and what a missing step means."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from console.demo import drill as drill_module
from console.demo import drill as scores
from console.demo.drill import Score, drill
from console.demo.referee import Fault, Step, choose, inject
from console.verbs import run
from ml.errors import Unavailable
from ml.serving.engine import FaultInput


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_seed_chooses_the_same_fault_again_and_seeds_choose_both_kinds() -> None:
    faults = [choose(Random(seed)) for seed in range(20)]
    assert faults == [choose(Random(seed)) for seed in range(20)]
    assert {bool(fault.latency_ms) for fault in faults} == {True, False}
    # Strong enough: beyond the limits of 250 ms and 5 % by far, and below the engine's top bucket of 500 ms.
    assert all(300 <= fault.latency_ms <= 450 or fault.error_rate >= 0.6 for fault in faults)


def test_the_engine_reads_the_fault_that_is_injected(tmp_path: Path) -> None:
    file = tmp_path / "engine.fault.json"
    engine = FaultInput(file)
    inject(file, Fault(latency_ms=400.0, error_rate=0.25))
    assert (engine.now().latency_ms, engine.now().error_rate) == (400.0, 0.25)
    inject(file, Fault())
    assert (engine.now().latency_ms, engine.now().error_rate) == (0.0, 0.0)


def test_the_best_time_of_each_player_is_kept() -> None:
    assert scores.best("person") is None
    assert scores.keep("person", 52.0)
    assert not scores.keep("person", 60.0)
    assert scores.keep("script", 70.0)
    assert scores.keep("person", 44.5)
    assert (scores.best("person"), scores.best("script")) == (44.5, 70.0)


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"person": "fast"}', "{"])
def test_a_broken_score_file_holds_no_score(own_state: Path, content: str) -> None:
    (own_state / "mlconsole").mkdir(parents=True)
    (own_state / "mlconsole" / "drill.json").write_text(content)
    assert scores.best("person") is None
    assert scores.keep("person", 50.0)
    assert scores.best("person") == 50.0


def test_a_missing_step_is_named_and_the_answer_is_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half = Score(
        seed=7,
        fault=Fault(latency_ms=400.0),
        seconds={Step.NOTICED: 12.0, Step.KILLED: 12.0},
        missing=(Step.CONFIRMED, Step.ROLLED_BACK, Step.SERVING),
        total_s=None,
        best_s=44.5,
        new_best=False,
    )
    monkeypatch.setattr(drill_module, "drill", lambda **_: half)
    assert run(["drill"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "seed 7: 400 ms more latency, seconds from its injection"
    assert [line.split()[0] for line in told if line.endswith("missing")] == ["confirmed", "rollback", "serving"]
    assert told[-1] == "not scored: every step has to be reached"
    assert run(["drill", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["missing"] == ["confirmed", "rollback pushed", "serving again"]


def test_without_prometheus_there_is_no_drill(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="needs Prometheus"):
        drill(seed=1, headless=True, directory=None)
