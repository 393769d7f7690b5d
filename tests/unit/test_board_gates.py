"""The board's gates rest on the last judgement of the soak, and only as long as that is fresh."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from fakes import CANDIDATE, NOW, model_view, soak_report

from ml.errors import Unavailable
from ml.judgement import soak_at
from ml.registry.schema import Model, Pointer
from ml.session.context import Context
from ml.session.registries import Base, Registries
from ml.session.soaks import Soaks
from ml.session.standings import gates
from ml.verdict import Gate, Verdict
from widgets.checklist import gate_summary
from widgets.drawing import UNICODE

SOAKING = Model(shadow=Pointer(artifact_id=CANDIDATE, artifact_dir=f"artifacts/onnx/{CANDIDATE}"))
PASSED = Gate(name="p99", verdict=Verdict.PASS, why="42 ms, below 100 ms.")
FAILED = Gate(name="alerts", verdict=Verdict.FAIL, why="MlInferenceLatencyHigh fires.")


def seen(minutes: float, *judged: Gate) -> tuple[Gate, ...]:
    """The gates so long after they were judged."""
    report = replace(soak_report(), as_of=NOW, gates=judged)
    return gates(SOAKING, soak_at(report, NOW + timedelta(minutes=minutes)))


@pytest.mark.parametrize("minutes", [-0.1, 0, 4])
def test_a_fresh_judgement_is_shown_as_it_is(minutes: float) -> None:
    assert seen(minutes, PASSED, FAILED) == (PASSED, FAILED)


@pytest.mark.parametrize("minutes", [6, 60, -60])
def test_an_old_one_opens_nothing_and_one_of_a_clock_that_went_back_neither(minutes: float) -> None:
    stale, failed = seen(minutes, PASSED, FAILED)
    assert stale.verdict is Verdict.STALE
    assert stale.why == "last judged at 2026-02-17T14:02:11Z: 42 ms, below 100 ms."
    assert failed == FAILED
    view = replace(model_view(), step="shadow→active", gates=seen(minutes, PASSED))
    assert "OPEN" not in gate_summary(view, UNICODE).plain


def test_what_was_never_judged_waits() -> None:
    (gate,) = gates(SOAKING, None)
    assert gate.verdict is Verdict.WAIT


def test_where_the_source_is_silent_nothing_is_being_judged() -> None:
    (gate,) = gates(SOAKING, None, "It is down.")
    assert gate.verdict is Verdict.ERROR
    assert "It is down." in gate.why


def test_a_soak_is_judged_again_after_a_minute_and_when_the_clock_went_back() -> None:
    looked = threading.Semaphore(0)

    def now() -> Base:
        looked.release()
        raise Unavailable("This is all that the test wants to know.")

    soaks = Soaks(cast("Context", SimpleNamespace()), cast("Registries", SimpleNamespace(now=now)))
    for minutes, judged in ((0, True), (0.5, False), (1.5, True), (-60, True), (-59.5, False)):
        soaks.keep_fresh(["regime"], NOW + timedelta(minutes=minutes))
        assert soaks._judging is not None
        soaks._judging.join()
        assert looked.acquire(blocking=False) is judged, minutes
