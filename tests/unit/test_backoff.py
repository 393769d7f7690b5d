"""A Prometheus that does not answer is asked less and less often, and again as soon as a person asks."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

from support.fixed_metrics import NOW, POLICY, FixedMetrics

from ml.board import SourceState
from ml.registry.schema import Model, Pointer
from ml.session.metrics import MetricsWatch, Silence
from ml.session.registries import Base
from ml.slo.source import SourceTimedOut
from ml.verdict import Verdict

POLL_S = 5
MODEL = Model(active=Pointer(artifact_id="a", artifact_dir="artifacts/a"))
BASE = cast(
    "Base",
    SimpleNamespace(document=SimpleNamespace(registry=SimpleNamespace(models={"regime": MODEL})), policy=POLICY),
)


def polls_asked(jitter: float, polls: int = 40) -> list[int]:
    """At which of the polls of a sick source it was really asked."""
    metrics, asked = FixedMetrics(), []
    watch = MetricsWatch(metrics, Silence(lambda: jitter))
    metrics.failures = {number: SourceTimedOut("It hangs.", "Wait.") for number in range(9999)}
    for poll in range(polls):
        before = len(metrics.asked)
        watch.ask(BASE, NOW + timedelta(seconds=POLL_S * poll), {}, 60)
        if len(metrics.asked) > before:
            asked.append(poll)
    return asked


def test_rests_double_up_to_eight_polls() -> None:
    assert polls_asked(0.0) == [0, 1, 3, 7, 15, 23, 31, 39]


def test_two_consoles_do_not_ask_at_the_same_times() -> None:
    assert polls_asked(0.9)[4:] != polls_asked(0.0)[4:]
    assert all(later - earlier <= 8 for earlier, later in zip(polls_asked(0.9), polls_asked(0.9)[1:], strict=False))


def test_while_it_rests_every_poll_still_counts_and_the_third_is_stale() -> None:
    metrics = FixedMetrics()
    watch = MetricsWatch(metrics, Silence(lambda: 0.0))
    assert watch.ask(BASE, NOW, {}, 60).source.state is SourceState.OK
    metrics.failures = {number: SourceTimedOut("It hangs.", "Wait.") for number in range(9999)}
    states = [watch.ask(BASE, NOW + timedelta(seconds=POLL_S * poll), {}, 60).source.state for poll in (1, 2, 3)]
    assert states == [SourceState.ERROR, SourceState.ERROR, SourceState.STALE]


def test_a_person_need_not_wait_and_an_answer_ends_it() -> None:
    metrics = FixedMetrics()
    watch = MetricsWatch(metrics, Silence(lambda: 0.0))
    metrics.failures = {number: SourceTimedOut("It hangs.", "Wait.") for number in range(9999)}
    for _ in range(3):
        watch.ask(BASE, NOW, {}, 60, at_once=True)
    metrics.failures = {}
    resting = watch.ask(BASE, NOW + timedelta(seconds=1), {}, 60)
    assert {reading.verdict for reading in resting.readings["regime"]} == {Verdict.ERROR}
    asked = watch.ask(BASE, NOW + timedelta(seconds=2), {}, 60, at_once=True)
    assert asked.source.state is SourceState.OK
    assert watch.ask(BASE, NOW + timedelta(seconds=3), {}, 60).source.as_of == NOW + timedelta(seconds=3)


def test_a_clock_that_went_back_does_not_put_it_to_sleep() -> None:
    silence = Silence(lambda: 0.0)
    silence.failed(NOW, "It hangs.")
    assert silence.rests(NOW + timedelta(seconds=4))
    assert not silence.rests(NOW - timedelta(hours=1))


def test_every_face_reads_the_same_sentence() -> None:
    silence = Silence(lambda: 0.0)
    silence.failed(NOW, "It hangs.")
    assert (silence.source(NOW).state, silence.source(NOW).why) == (SourceState.ERROR, "It hangs.")
    silence.answered(NOW)
    assert silence.source(NOW).state is SourceState.OK
    for polls, state in ((1, SourceState.ERROR), (2, SourceState.ERROR), (3, SourceState.STALE)):
        silence.passed_over() if polls == 2 else silence.failed(NOW, "It hangs.")
        source = silence.source(NOW + timedelta(seconds=POLL_S * polls))
        assert (source.state, source.as_of) == (state, NOW)
        assert source.why == f"No good answer for {POLL_S * polls}s ({polls} polls). It hangs."


def test_before_the_first_answer_a_source_is_never_merely_stale() -> None:
    metrics = FixedMetrics()
    watch = MetricsWatch(metrics, Silence(lambda: 0.0))
    metrics.failures = {number: SourceTimedOut("It hangs.", "Wait.") for number in range(9999)}
    for poll in range(8):
        seen = watch.ask(BASE, NOW + timedelta(seconds=POLL_S * poll), {}, 60)
        assert (seen.source.state, seen.source.as_of) == (SourceState.ERROR, None)
        assert {reading.verdict for reading in seen.readings["regime"]} == {Verdict.ERROR}
