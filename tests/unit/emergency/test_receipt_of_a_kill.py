"""The receipt ladder, judged from scrapes: what proves a kill or a release, and what does not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.switches import PRESSED

from ml.board import InstanceReceipt, Rung
from ml.emergency.ladder import climb
from ml.emergency.receipt import judge
from ml.emergency.scrapes import Engine, Scrape, Sighting
from ml.emergency.switch import KillRequest, Step

ASKED = PRESSED.timestamp()
KILL = KillRequest(True, PRESSED, "ann@example.com", "p99 spike", by_hand=("echo ML_KILL_SWITCH=1 > kill.env",))
RELEASE = KILL._replace(engage=False)

Row = tuple[float, float | None, float | None, float | None]
"""Seconds after the request, active_on, blocked, inferred; an active_on of None is a scrape that failed."""

SERVING: list[Row] = [(-15, 1, 0, 1000), (-10, 1, 0, 1050), (-5, 1, 0, 1100)]
SHADOW: list[Row] = [(-15, 0, 0, 1000), (-10, 0, 0, 1050), (-5, 0, 0, 1100)]
IDLE: list[Row] = [(-15, 0, 0, 1000), (-10, 0, 0, 1000), (-5, 0, 0, 1000)]
KILLED: list[Row] = [(-15, 0, 600, 1000), (-10, 0, 650, 1000), (-5, 0, 700, 1000)]


def engine(rows: Iterable[Row], name: str = "engine-1:9101") -> Engine:
    return Engine(
        name,
        tuple(
            Scrape(ASKED + after, up=active is not None, active_on=active, blocked=blocked, inferred=inferred)
            for after, active, blocked, inferred in rows
        ),
    )


def killed(rows: list[Row]) -> InstanceReceipt:
    return climb(engine(rows), ASKED, engage=True)


def released(rows: list[Row]) -> InstanceReceipt:
    return climb(engine(rows), ASKED, engage=False)


@pytest.mark.parametrize(
    ("rows", "rung", "why"),
    [
        pytest.param(SERVING, Rung.WRITTEN, "no sample is newer", id="nothing newer than the request"),
        pytest.param([*SERVING, (0.5, 1, 0, 1150)], Rung.WRITTEN, "active_on is still 1", id="still active"),
        pytest.param([*SERVING, (2, 0, 20, 1130)], Rung.CONFIRMED, "blocked by the kill switch", id="blocked at once"),
        pytest.param([*SHADOW, (2, 0, 20, 1130)], Rung.CONFIRMED, "blocked by the kill switch", id="shadow blocked"),
        pytest.param([*SHADOW, (2, 0, 0, 1130)], Rung.WRITTEN, "a second must follow", id="shadow, one look"),
        pytest.param([*IDLE, (2, 0, 0, 1000), (7, 0, 0, 1000)], Rung.APPLIED, "idle", id="idle is never confirmed"),
        pytest.param(
            [*IDLE, (2, 0, 0, 1000), (7, 0, 30, 1000)], Rung.CONFIRMED, "blocked", id="idle, then blocked snapshots"
        ),
        pytest.param(
            [*SERVING, (2, 0, None, 1130), (7, 0, None, 1130)],
            Rung.CONFIRMED,
            "no inference for 5s while it is up",
            id="stopped, engine without block reasons",
        ),
        pytest.param(
            [*SERVING, (2, 0, None, 1130), (2.3, 0, None, 1130)], Rung.APPLIED, "idle", id="silent for too short"
        ),
        pytest.param(
            [*SERVING[1:], (2, 0, None, 1130), (2.5, 0, None, 1130)],
            Rung.CONFIRMED,
            "no inference",
            id="silent for exactly five inferences",
        ),
        pytest.param(
            [*SERVING, (2, 0, None, 1130), (9, 0, None, None)], Rung.APPLIED, "idle", id="nobody counts any more"
        ),
        pytest.param(
            [*SERVING, (0, 0, 20, 1130)], Rung.WRITTEN, "no sample is newer", id="scraped as the key was pressed"
        ),
        pytest.param(
            [*SERVING, (0, 0, 20, 1130), (5, 0, 70, 1130)],
            Rung.WRITTEN,
            "a second must follow",
            id="blocked as the key was pressed, so perhaps before",
        ),
        pytest.param(
            [*SERVING, (2, 1, None, 1130), (9, 1, None, 1130)], Rung.WRITTEN, "still 1", id="silent but active_on"
        ),
        pytest.param([*SERVING, (2, 1, 0, 1170), (7, 1, 0, 1220)], Rung.WRITTEN, "it still infers", id="does not obey"),
        pytest.param(
            [*SERVING, (2, 0, 20, 1130), (7, 0, 70, 1130), (12, 1, 70, 1180)],
            Rung.WRITTEN,
            "it came back alive at 14:02:23Z",
            id="comes back alive",
        ),
        pytest.param(
            [*SERVING, (2, 1, 0, 1170), (7, 1, 0, 1220), (7.3, 0, 0, 1220)],
            Rung.APPLIED,
            "idle",
            id="inferred on for a while, silent since",
        ),
        pytest.param(
            [*SERVING, (2, 0, 20, 1130), (7, 1, 20, 1180), (7.2, 0, 20, 1180)],
            Rung.WRITTEN,
            "it came back alive at 14:02:18Z",
            id="came back, and is not forgiven for a moment of silence",
        ),
        pytest.param(
            [*SERVING, (2, 0, 20, 1130), (7, 1, 20, 1180), (12, 0, 70, 1180)],
            Rung.CONFIRMED,
            "blocked",
            id="comes back and is blocked again",
        ),
        pytest.param([*KILLED, (2, 0, 750, 1000)], Rung.WRITTEN, "second", id="was blocked before: a count may be old"),
        pytest.param(
            [*KILLED, (2, 0, 750, 1000), (7, 0, 800, 1000)], Rung.CONFIRMED, "blocked", id="was blocked before, still"
        ),
        pytest.param([*SERVING, (2, None, None, None)], Rung.WRITTEN, "it is down", id="down proves nothing by itself"),
        pytest.param(
            [*SERVING, (2, 1, 0, 1170), (7, 1, 0, 1220), (12, None, None, None)],
            Rung.WRITTEN,
            "it is down",
            id="inferred on, and is down now",
        ),
        pytest.param(
            [*SERVING, (2, None, None, None), (7, 0, 10, 0), (12, 0, 60, 0)],
            Rung.CONFIRMED,
            "blocked",
            id="restarted with the switch in its environment",
        ),
        pytest.param(
            [*SERVING, (2, None, None, None), (7, 1, 0, 20), (12, 1, 0, 70)],
            Rung.WRITTEN,
            "it still infers",
            id="restarted without it",
        ),
        pytest.param(
            [*SERVING, (2, 1, 0, 20)], Rung.WRITTEN, "active_on is still 1", id="restarted between two scrapes"
        ),
        pytest.param(
            [*SHADOW, (2, 0, 5, 1150), (7, 0, 30, 1155), (12, 0, 80, 1155)],
            Rung.CONFIRMED,
            "blocked",
            id="a last inference in the window of the kill",
        ),
    ],
)
def test_what_proves_a_kill(rows: list[Row], rung: Rung, why: str) -> None:
    found = killed(rows)
    assert found.rung is rung, found.why
    assert why in found.why


@pytest.mark.parametrize(
    ("rows", "rung", "why"),
    [
        pytest.param(KILLED, Rung.WRITTEN, "no sample is newer", id="nothing newer"),
        pytest.param([*KILLED, (2, 0, 720, 1030)], Rung.WRITTEN, "a second must follow", id="one look"),
        pytest.param([*KILLED, (2, 1, 720, 1030), (7, 1, 720, 1080)], Rung.CONFIRMED, "infers again", id="infers"),
        pytest.param([*KILLED, (2, 0, 720, 1000), (7, 0, 770, 1000)], Rung.WRITTEN, "still blocked", id="blocked"),
        pytest.param([*KILLED, (2, 0, 720, 1000), (7, 0, 720, 1000)], Rung.APPLIED, "not inferred", id="not loaded"),
        pytest.param(
            [*KILLED, (2, 1, 720, 1030), (7, 1, 720, 1080), (12, 0, 770, 1080)],
            Rung.WRITTEN,
            "blocked again",
            id="blocked again",
        ),
        pytest.param(
            [*KILLED, (2, 0, 720, 1000), (7, 0, 750, 1000), (12, 0, 750, 1000)],
            Rung.APPLIED,
            "not inferred",
            id="blocked for a while, free since",
        ),
    ],
)
def test_what_proves_a_release(rows: list[Row], rung: Rung, why: str) -> None:
    found = released(rows)
    assert found.rung is rung, found.why
    assert why in found.why


def without_a_model(*looks: tuple[float, float, float]) -> InstanceReceipt:
    """The release as an engine with nothing loaded shows it: seconds after the request, blocked, empty."""
    scrapes = (
        Scrape(ASKED + after, up=True, active_on=0, blocked=blocked, inferred=0, empty=empty)
        for after, blocked, empty in looks
    )
    return climb(Engine("engine-1:9101", tuple(scrapes)), ASKED, engage=False)


def test_an_engine_without_a_model_is_released_when_that_is_its_only_reason() -> None:
    found = without_a_model((-5, 700, 90), (2, 720, 120), (7, 720, 170))
    assert (found.rung, found.why) == (Rung.CONFIRMED, "no longer blocked; it has no model to infer with")


def test_an_engine_without_a_model_that_is_still_blocked_is_not_released() -> None:
    found = without_a_model((-5, 700, 90), (2, 750, 90), (7, 800, 90))
    assert (found.rung, found.why) == (Rung.WRITTEN, "it is still blocked by the kill switch")
    again = without_a_model((-5, 700, 90), (2, 720, 120), (7, 720, 170), (12, 770, 170))
    assert (again.rung, again.why) == (Rung.WRITTEN, "it is blocked again")


def test_an_engine_that_lost_its_model_after_the_kill_is_not_released_by_an_old_count() -> None:
    """What it counted before the request or across it proves nothing."""
    found = without_a_model((-5, 700, 90), (2, 720, 120), (7, 720, 120))
    assert (found.rung, found.why) == (Rung.APPLIED, "no longer blocked, but it has not inferred yet")


@given(
    st.lists(
        st.tuples(st.floats(0.1, 60), st.sampled_from([0.0, 1.0, None]), st.integers(0, 50)), min_size=1, max_size=12
    )
)
def test_active_on_alone_never_confirms(looks: list[tuple[float, float | None, int]]) -> None:
    """However an engine without block reasons moves active_on, it is confirmed only if its inferences stopped."""
    rows, at, inferred = list(SERVING), 0.0, 1100.0
    for after, active, made in looks:
        at, inferred = at + after, inferred + made
        rows.append((at, active, None, None if active is None else inferred))
    if killed(rows).rung is Rung.CONFIRMED:
        answered = [row for row in rows[len(SERVING) :] if row[1] is not None]
        silent = [row for row in answered if row[3] == answered[-1][3]]
        assert len(silent) >= 2
        assert any(row[1] == 0 for row in silent[1:])


def test_an_engine_without_active_on_is_never_proven() -> None:
    scrapes = [Scrape(ASKED + after, up=True, inferred=1000.0) for after in (-10, -5, 2, 9)]
    found = climb(Engine("engine-1:9101", tuple(scrapes)), ASKED, engage=True)
    assert (found.rung, found.why) == (Rung.WRITTEN, "it does not export grinder_ml_active_on")


def see(*engines: Engine, ahead_s: float = 0.0) -> Sighting:
    return Sighting(engines, ahead_s)


def after(seconds: float) -> datetime:
    return PRESSED + timedelta(seconds=seconds)


OBEYS = [*SERVING, (2.0, 0.0, 20.0, 1130.0), (7.0, 0.0, 70.0, 1130.0)]
DISOBEYS: list[Row] = [*SERVING, (2, 1, 0, 1170), (7, 1, 0, 1220)]


def test_all_engines_confirmed_is_confirmed() -> None:
    view = judge(KILL, see(engine(OBEYS, "a"), engine(OBEYS, "b")), after(8), 30)
    assert view.rung is Rung.CONFIRMED
    assert view.engaged is True
    assert view.manual == ()
    assert {each.at for each in view.instances} == {datetime(2026, 2, 17, 14, 2, 13, 250_000, tzinfo=UTC)}


def test_three_of_four_is_written_until_the_deadline_and_unconfirmed_after_it() -> None:
    sighting = see(*(engine(OBEYS, name) for name in "abc"), engine(DISOBEYS, "d"))
    early, late = judge(KILL, sighting, after(8), 30), judge(KILL, sighting, after(30), 30)
    assert (early.rung, early.instances[3].rung) == (Rung.WRITTEN, Rung.WRITTEN)
    assert (late.rung, late.instances[3].rung) == (Rung.UNCONFIRMED, Rung.UNCONFIRMED)
    assert [each.rung for each in late.instances[:3]] == [Rung.CONFIRMED] * 3
    assert early.manual == ()
    assert late.manual == (
        "echo ML_KILL_SWITCH=1 > kill.env",
        "then look twice at the /metrics of d: grinder_ml_block_total must rise",
    )


def test_a_late_proof_still_confirms() -> None:
    assert judge(KILL, see(engine(OBEYS)), after(300), 30).rung is Rung.CONFIRMED


def test_no_engine_in_sight_is_unconfirmed_after_the_deadline() -> None:
    assert judge(KILL, see(), after(29), 30).rung is Rung.WRITTEN
    late = judge(KILL, see(), after(30), 30, "Prometheus gave no answer.")
    assert late.rung is Rung.UNCONFIRMED
    assert late.problem == "Prometheus gave no answer."
    assert late.manual[-1] == "then look twice at the /metrics of every engine: grinder_ml_block_total must rise"


def test_a_file_that_was_not_written_stays_requested_and_says_what_to_do() -> None:
    failed = KILL._replace(steps=(Step("file kill.env", False, "No space left on device.", 0.0),), problem="No audit.")
    view = judge(failed, see(engine(SERVING)), after(1), 30)
    assert view.rung is Rung.REQUESTED
    assert view.problem == "file kill.env: No space left on device. No audit."
    assert view.manual[0] == "echo ML_KILL_SWITCH=1 > kill.env"


def test_a_clock_that_runs_behind_prometheus_does_not_make_old_samples_new() -> None:
    """Prometheus is 10 s ahead: what looks 2 s and 7 s newer here was scraped before the key was pressed."""
    assert judge(KILL, see(engine(OBEYS), ahead_s=10), after(1), 30).rung is Rung.WRITTEN
    assert judge(KILL, see(engine(OBEYS), ahead_s=0), after(8), 30).rung is Rung.CONFIRMED


def test_instance_names_are_data() -> None:
    view = judge(KILL, see(engine(OBEYS, "evil\x1b[2J")), after(8), 30)
    assert view.instances[0].instance == "evil␛[2J"


def test_a_release_is_told_as_one() -> None:
    view = judge(RELEASE, see(engine([*KILLED, (2, 1, 720, 1030), (7, 1, 720, 1080)])), after(8), 30)
    assert (view.engaged, view.rung) == (False, Rung.CONFIRMED)
