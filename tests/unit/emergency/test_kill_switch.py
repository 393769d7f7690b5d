from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from support.switches import PRESSED, Bench, RememberingActuator, unwritable

from ml.emergency.killfile import KillFile, KillState
from ml.errors import Unavailable

ENGAGED = b"""\
# engaged 2026-02-17T14:02:11.250000Z
# by ann@example.com
# reason p99 spike
ML_KILL_SWITCH=1
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_engaging_writes_an_env_file_that_says_who_when_and_why(bench: Bench) -> None:
    request = bench.switch.engage("ann@example.com", "p99 spike")
    assert bench.file.read_bytes() == ENGAGED
    assert request.written
    assert not request.problem
    assert (request.at, request.by, request.reason) == (PRESSED, "ann@example.com", "p99 spike")
    assert bench.leftovers() == []
    assert [line.fields["by"] for line in bench.audit.read()] == ["ann@example.com"]


def test_engines_of_other_users_can_read_the_file_whatever_the_umask(bench: Bench) -> None:
    before = os.umask(0o077)
    try:
        bench.switch.engage("ann@example.com", "p99 spike")
    finally:
        os.umask(before)
    assert bench.file.stat().st_mode & 0o777 == 0o644


def test_the_state_is_read_back_by_any_later_session(bench: Bench, tmp_path: Path) -> None:
    bench.switch.engage("ann@example.com", "p99 spike")
    state = Bench(tmp_path).switch.state()
    assert state.engaged is True
    assert state.request
    assert (state.request.at, state.request.by, state.request.reason) == (PRESSED, "ann@example.com", "p99 spike")


def test_never_engaged_is_not_engaged(bench: Bench) -> None:
    assert bench.switch.state() == (False, None, "")


def test_two_operators_at_once_are_one_kill_with_two_audit_lines(bench: Bench) -> None:
    bench.switch.engage("ann@example.com", "p99 spike")
    bench.clock.moment += timedelta(seconds=3)
    second = bench.switch.engage("bob@example.com", "me too")
    assert (second.engage, second.at, second.by) == (True, PRESSED, "ann@example.com")
    assert [(step.done, step.why) for step in second.steps] == [(True, "was engaged already")]
    assert bench.file.read_bytes() == ENGAGED
    assert [line.fields["by"] for line in bench.audit.read()] == ["ann@example.com", "bob@example.com"]


def test_releasing_is_recorded_and_written(bench: Bench) -> None:
    bench.switch.engage("ann@example.com", "p99 spike")
    request = bench.switch.release("bob@example.com", "rolled back")
    assert bench.file.read_bytes().endswith(b"\nML_KILL_SWITCH=0\n")
    assert bench.switch.state().engaged is False
    assert not request.engage
    assert request.steps[0].done
    assert 0 <= request.steps[0].seconds < 5
    assert request.by_hand[0] == f"echo ML_KILL_SWITCH=0 > {bench.file}"
    assert bench.kinds() == ["kill", "release"]


def test_after_a_release_a_kill_is_a_new_one(bench: Bench) -> None:
    bench.switch.engage("ann@example.com", "p99 spike")
    bench.switch.release("ann@example.com", "fixed")
    bench.clock.moment += timedelta(minutes=5)
    again = bench.switch.engage("bob@example.com", "not fixed")
    assert (again.at, again.by) == (PRESSED + timedelta(minutes=5), "bob@example.com")
    assert all(0 <= step.seconds < 5 for step in again.steps)
    assert bench.switch.state().engaged is True


def test_actuators_follow_in_order_and_one_that_fails_stops_nobody(tmp_path: Path) -> None:
    broken = RememberingActuator("http broken", ValueError("no\nidea"))
    last = RememberingActuator("command last")
    bench = Bench(tmp_path, [broken, last])
    request = bench.switch.engage("ann@example.com", "p99 spike")
    assert [(step.name.split()[0], step.done, step.why) for step in request.steps] == [
        ("file", True, ""),
        ("http", False, "ValueError: no␊idea"),
        ("command", True, ""),
    ]
    assert last.told == [True]
    assert bench.kinds() == ["kill", "delivery"]
    bench.switch.release("ann@example.com", "fixed")
    assert last.told == [True, False]


def test_pressing_again_delivers_again(tmp_path: Path) -> None:
    restart = RememberingActuator()
    bench = Bench(tmp_path, [restart])
    bench.switch.engage("ann@example.com", "")
    bench.switch.engage("ann@example.com", "")
    assert restart.told == [True, True]


def test_a_kill_that_cannot_be_recorded_still_happens_and_says_so(tmp_path: Path) -> None:
    restart = RememberingActuator()
    bench = Bench(tmp_path, [restart], audit=unwritable(tmp_path))
    request = bench.switch.engage("ann@example.com", "p99 spike")
    assert bench.switch.state().engaged is True
    assert restart.told == [True]
    assert request.problem.startswith("The audit line could not be written: File exists. Move away")


def test_a_release_that_cannot_be_recorded_does_not_happen(tmp_path: Path) -> None:
    Bench(tmp_path).switch.engage("ann@example.com", "p99 spike")
    bench = Bench(tmp_path, audit=unwritable(tmp_path))
    with pytest.raises(Unavailable, match="could not be written"):
        bench.switch.release("ann@example.com", "fixed")
    assert bench.file.read_bytes() == ENGAGED


def test_text_from_people_cannot_add_a_line_to_the_file(bench: Bench) -> None:
    bench.switch.engage("ann\n@example.com", "spike\nML_KILL_SWITCH=0\r\x1b[2J")
    assert bench.file.read_bytes().count(b"\n") == 4
    state = bench.switch.state()
    assert state.engaged is True
    assert state.request
    assert state.request.reason == "spike␊ML_KILL_SWITCH=0␍␛[2J"


@pytest.mark.parametrize(
    ("content", "engaged"),
    [
        (b"ML_KILL_SWITCH=1\n", True),
        (b"ML_KILL_SWITCH=1", True),
        (b"ML_KILL_SWITCH=1\r\n", True),
        (b"ML_KILL_SWITCH=0\nML_KILL_SWITCH=1\n", True),
        (b"ML_KILL_SWITCH=1\nML_KILL_SWITCH=0\n", False),
        (b"ML_KILL_SWITCH=true\n", False),
        (b"ML_KILL_SWITCH= 1\n", False),
        (b"# ML_KILL_SWITCH=1\n", False),
        (b"", False),
        (b"\xff\xfe\x00", False),
    ],
)
def test_only_the_exact_value_counts_also_when_written_by_hand(bench: Bench, content: bytes, engaged: bool) -> None:
    bench.file.parent.mkdir()
    bench.file.write_bytes(content)
    state = bench.switch.state()
    assert state.engaged is engaged
    assert state.request
    assert state.request.by == ""


def test_a_file_that_cannot_be_read_is_neither_on_nor_off(bench: Bench) -> None:
    bench.file.mkdir(parents=True)
    state = bench.switch.state()
    assert state.engaged is None
    assert "it is a directory" in state.problem


def test_what_to_do_by_hand_names_the_file_and_every_actuator(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [RememberingActuator("systemctl restart")])
    assert bench.switch.by_hand(engage=True) == (
        f"echo ML_KILL_SWITCH=1 > {bench.file}",
        "systemctl restart 1",
        "restart each engine with ML_KILL_SWITCH=1 in its environment, or stop it",
    )


def test_a_kill_overwritten_at_the_same_moment_is_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KillFile, "read", lambda _self: KillState(engaged=False))
    request = bench.switch.engage("ann@example.com", "")
    assert not request.written
    assert "overwritten by somebody else" in request.steps[0].why


def test_presses_from_many_threads_leave_one_whole_file(bench: Bench) -> None:
    threads = [threading.Thread(target=bench.switch.engage, args=(f"operator{n}", "spike")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert bench.file.read_bytes().endswith(b"ML_KILL_SWITCH=1\n")
    assert bench.leftovers() == []
    assert bench.kinds() == ["kill"] * 8
    assert bench.audit.verify().sound


def test_releasing_on_a_sick_disk_leaves_the_switch_engaged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.switch.engage("ann@example.com", "p99 spike")
    monkeypatch.setattr(os, "rename", _refuse)
    with pytest.raises(Unavailable, match="could not be written"):
        bench.switch.release("ann@example.com", "fixed")
    monkeypatch.undo()
    assert bench.file.read_bytes() == ENGAGED
    assert bench.leftovers() == []


def _refuse(*_args: object) -> None:
    raise OSError(5, "Input/output error")
