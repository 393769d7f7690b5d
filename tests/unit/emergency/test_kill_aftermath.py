"""SIGKILL at every system call of a kill and of a release: what the next session finds, and says."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.switches import Bench

from ml.session.watches import explain

_CALLS = ("makedirs", "open", "write", "pwrite", "fsync", "rename", "close")


def die_at(call: int, work: Callable[[], object]) -> bool:
    """Run ``work`` in a child that is killed just before its n-th system call; whether it died there."""

    def child() -> None:
        left = call

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def step(*args: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **options)

            return step

        for name in _CALLS:
            setattr(os, name, counted(getattr(os, name)))
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    return process.exitcode == -signal.SIGKILL


def explained(bench: Bench) -> tuple[str, ...]:
    """What the next session says; the one after it has nothing to add, and no temporary file is left."""
    said = explain(bench.file, bench.audit)
    assert explain(bench.file, bench.audit) == ()
    assert bench.leftovers() == []
    assert not [each.what for each in bench.audit.verify().findings if "torn" not in each.what]
    return said


def test_a_console_killed_anywhere_in_a_kill_leaves_a_switch_that_is_explained(tmp_path: Path) -> None:
    outcomes = set()
    for call in range(1, 100):
        bench = Bench(tmp_path / str(call))
        died = die_at(call, lambda bench=bench: bench.switch.engage("ann@example.com", "p99 spike"))
        said = " ".join(explained(bench))
        engaged = bench.switch.state().engaged
        recorded = bench.kinds()
        outcomes.add((engaged, tuple(recorded), said))
        if engaged:
            assert recorded[-1] in ("kill", "kill_found")
        if not died:
            break
    assert not died
    assert outcomes == {
        (False, (), ""),
        (False, (), "A console died while it wrote the kill file; the kill switch is not engaged."),
        (
            True,
            ("kill_found",),
            "The kill switch was engaged at 2026-02-17T14:02:11Z by ann@example.com, "
            "and no console lived to record it.",
        ),
        (True, ("kill",), ""),
    }


def test_a_console_killed_anywhere_in_a_release_leaves_a_switch_that_is_explained(tmp_path: Path) -> None:
    outcomes = set()
    for call in range(1, 100):
        bench = Bench(tmp_path / str(call))
        bench.switch.engage("ann@example.com", "p99 spike")
        died = die_at(call, lambda bench=bench: bench.switch.release("bob@example.com", "fixed"))
        said = " ".join(explained(bench))
        outcomes.add((bench.switch.state().engaged, tuple(bench.kinds()), said))
        if not died:
            break
    assert not died
    half = (
        "The release that bob@example.com asked for at 2026-02-17T14:02:11Z never took effect: "
        "the kill switch is still engaged, by ann@example.com."
    )
    died_writing = "A console died while it wrote the kill file; the kill switch is engaged."
    assert outcomes == {
        (True, ("kill",), ""),
        (True, ("kill", "release", "kill_found"), half),
        (True, ("kill", "release", "kill_found"), f"{died_writing} {half}"),
        (False, ("kill", "release"), ""),
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ML_KILL_SWITCH=0\n", "The kill of 2026-02-17T14:02:11Z was released by hand, outside of any console."),
        ("", "The kill of 2026-02-17T14:02:11Z was released by hand, outside of any console."),
    ],
)
def test_a_release_by_hand_is_told_and_recorded_once(tmp_path: Path, content: str, said: str) -> None:
    bench = Bench(tmp_path)
    bench.switch.engage("ann@example.com", "p99 spike")
    bench.file.write_text(content)
    assert explained(bench) == (said,)
    assert bench.kinds() == ["kill", "release_found"]


def test_a_kill_by_hand_is_told_and_recorded_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.file.parent.mkdir()
    bench.file.write_text("ML_KILL_SWITCH=1\n")
    os.utime(bench.file, (1_771_336_931, 1_771_336_931))
    assert explained(bench) == (
        "The kill switch was engaged at 2026-02-17T14:02:11Z by somebody by hand, and no console lived to record it.",
    )


def test_a_kill_that_never_reached_its_file_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.file.mkdir(parents=True)
    bench.switch.engage("ann@example.com", "p99 spike")
    bench.file.rmdir()
    (said,) = explained(bench)
    assert "could not be written to the kill file" in said


def test_an_unreadable_file_is_told_every_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.file.mkdir(parents=True)
    for _ in range(2):
        (said,) = explain(bench.file, bench.audit)
        assert "cannot be read" in said
