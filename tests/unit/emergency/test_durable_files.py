from __future__ import annotations

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.broken_disk import broken

from ml.emergency.killfile import KillFile
from ml.records import durable
from ml.records.durable import NotAFile, NotLasting, replace_file, sweep


def test_a_file_is_created_with_its_folder_and_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "var" / "deep" / "file"
    replace_file(target, b"old", mode=0o640)
    replace_file(target, b"new")
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert os.listdir(target.parent) == ["file"]


def test_a_name_without_a_folder_is_of_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    replace_file("file", b"here")
    assert (tmp_path / "file").read_bytes() == b"here"


@pytest.mark.parametrize(("call", "code"), [("write", errno.ENOSPC), ("fsync", errno.EIO), ("rename", errno.EXDEV)])
def test_a_failure_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path, call: str, code: int) -> None:
    target = tmp_path / "file"
    replace_file(target, b"old")
    with broken(tmp_path, call, code), pytest.raises(OSError) as caught:  # noqa: PT011 - the errno is what counts
        replace_file(target, b"new")
    assert caught.value.errno == code
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_only_the_directory_not_synced_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sick(_directory: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable, "sync_directory", sick)
    with pytest.raises(NotLasting):
        replace_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    caveat = KillFile(tmp_path / "kill.env").engage(datetime(2026, 2, 17, tzinfo=UTC), "ann", "spike")
    assert caveat == "the switch is in force, but a power cut may undo it (Input/output error)"


def test_nothing_but_a_regular_file_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotAFile, match="symbolic link"):
        replace_file(link, b"new")
    assert link.is_symlink()


def test_what_dead_writers_left_is_swept_and_what_living_ones_write_is_not(tmp_path: Path) -> None:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = tmp_path / f".kill.env.{int(child.stdout)}.0badcafe.part"
    alive = tmp_path / f".kill.env.{os.getpid()}.0badcafe.part"
    other = tmp_path / f".other.{int(child.stdout)}.0badcafe.part"
    for path in (dead, alive, other):
        path.write_text("")
    assert sweep(tmp_path / "kill.env") == 1
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()
    assert sweep(tmp_path / "none" / "kill.env") == 0
