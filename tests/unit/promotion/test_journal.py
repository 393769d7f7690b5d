"""The journal: durable before each step, locked while its process lives, honest about the dead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml.errors import Refused, Unavailable
from ml.records.journal import Journal


def dead(folder: Path, *steps: str) -> None:
    """Leave behind what a process that died after some steps leaves."""
    with Journal(folder).begin("submit", branch="b") as entry:
        for step in steps:
            entry.step(step, commit="c")


def test_a_settled_entry_leaves_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path).begin("submit", branch="b") as entry:
        entry.done()
    assert list(tmp_path.iterdir()) == []


def test_a_living_process_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    with Journal(tmp_path).begin("submit", branch="b"):
        assert list(Journal(tmp_path).left()) == []
    assert len(list(Journal(tmp_path).left())) == 1


def test_what_is_left_says_how_far_it_came(tmp_path: Path) -> None:
    dead(tmp_path, "branch", "push")
    (left,) = Journal(tmp_path).left()
    assert (left.kind, left.step, dict(left.facts)) == ("submit", "push", {"branch": "b", "commit": "c"})
    Journal(tmp_path).settle(left)
    assert list(Journal(tmp_path).left()) == []


def test_a_step_that_was_being_noted_had_not_begun(tmp_path: Path) -> None:
    dead(tmp_path, "branch", "push")
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-4])
    (left,) = Journal(tmp_path).left()
    assert left.step == "branch"


def test_a_typed_error_settles_because_somebody_is_told_and_a_crash_does_not(tmp_path: Path) -> None:
    for error, left in ((Refused("No."), 0), (KeyboardInterrupt(), 1)):
        with pytest.raises(type(error)), Journal(tmp_path).begin("submit"):
            raise error
        assert len(list(Journal(tmp_path).left())) == left


def test_entries_come_oldest_first(tmp_path: Path) -> None:
    for _ in range(5):
        dead(tmp_path)
    paths = [left.path for left in Journal(tmp_path).left()]
    assert paths == sorted(paths, key=lambda path: path.stat().st_mtime_ns)


def test_an_unborn_entry_is_swept_when_it_is_old(tmp_path: Path) -> None:
    young, old = tmp_path / "a.new", tmp_path / "b.new"
    for path in (young, old):
        path.touch()
    os.utime(old, (0, 0))
    assert list(Journal(tmp_path).left()) == []
    assert (young.exists(), old.exists()) == (True, False)


def test_what_cannot_be_noted_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="nothing was done"):
        Journal(tmp_path / "file" / "journal").begin("submit")
    assert list(Journal(tmp_path / "nowhere").left()) == []
