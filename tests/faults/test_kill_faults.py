"""The eight file faults of §14 at the kill file: old bytes or new bytes, a cause, a next step, nothing left."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.broken_disk import broken
from support.switches import Bench, release_keeps_it_engaged

from ml.emergency.switch import KillRequest
from ml.errors import Unavailable

BY, WHY = "ann@example.com", "p99 spike"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A switch that was engaged and released before, as after any drill."""
    made = Bench(tmp_path)
    made.switch.engage(BY, "drill")
    made.switch.release(BY, "drill over")
    return made


def press(bench: Bench) -> KillRequest:
    """Press the key: it answers within a second, leaves no temporary file, and is recorded or says why not."""
    begun = time.monotonic()
    request = bench.switch.engage(BY, WHY)
    assert time.monotonic() - begun < 1.0
    assert bench.leftovers() == []
    assert bench.audit.read()[-1].kind == "kill"
    return request


def said(request: KillRequest) -> str:
    return request.steps[0].why


def refused(bench: Bench, old: bytes | None, request: KillRequest, cause: str) -> None:
    """Nothing was written: a cause, the way by hand, and the old bytes."""
    assert not request.steps[0].done
    assert cause in said(request)
    assert "Put the line ML_KILL_SWITCH=1" in said(request)
    assert request.by_hand[0] == f"echo ML_KILL_SWITCH=1 > {bench.file}"
    assert (bench.file.read_bytes() if bench.file.is_file() else None) == old


@pytest.mark.fault("files")
def test_no_space_left_changes_one_digit_in_place_or_says_that_nothing_helped(bench: Bench, tmp_path: Path) -> None:
    old = bench.file.read_bytes()
    with broken(bench.file.parent, "write", errno.ENOSPC):
        request = press(bench)
        assert bench.file.read_bytes() == old.replace(b"SWITCH=0", b"SWITCH=1")
        assert bench.switch.state().engaged is True
        assert "only the digit in the old file was changed" in said(request)
        assert "No space left on device" in said(request)
        release_keeps_it_engaged(bench)
    fresh = Bench(tmp_path / "fresh")
    with broken(fresh.file.parent, "write", errno.ENOSPC):
        refused(fresh, None, press(fresh), "No space left on device")


@pytest.mark.fault("files")
def test_a_read_only_disk_is_named_and_keeps_the_old_bytes(bench: Bench) -> None:
    old = bench.file.read_bytes()
    with broken(bench.file.parent, "change", errno.EROFS):
        refused(bench, old, press(bench), "Read-only file system")


@pytest.mark.fault("files")
def test_a_folder_of_another_user_is_named_and_keeps_the_old_bytes(commons: Path) -> None:
    outcome = as_nobody(commons, engage_below)
    assert "Permission denied" in outcome
    assert "Put the line ML_KILL_SWITCH=1" in outcome
    assert (commons / "var" / "kill_switch.env").read_bytes() == b"ML_KILL_SWITCH=0\n"
    assert os.listdir(commons / "var") == ["kill_switch.env"]


@pytest.mark.fault("files")
def test_an_input_output_error_on_fsync_still_kills_and_says_what_it_is_worth(bench: Bench) -> None:
    with broken(bench.file.parent, "fsync", errno.EIO):
        request = press(bench)
        assert bench.switch.state().engaged is True
        assert request.steps[0].done
        assert said(request) == "the switch is in force, but a power cut may undo it (Input/output error)"
        release_keeps_it_engaged(bench)


@pytest.mark.fault("files")
def test_a_rename_that_fails_changes_one_digit_in_place(bench: Bench) -> None:
    with broken(bench.file.parent, "rename", errno.EIO):
        request = press(bench)
        assert bench.switch.state().engaged is True
        assert "only the digit in the old file was changed" in said(request)
        release_keeps_it_engaged(bench)


@pytest.mark.fault("files")
def test_a_symbolic_link_at_the_target_is_refused_and_left_alone(bench: Bench, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.env"
    shutil.move(bench.file, elsewhere)
    bench.file.symlink_to(elsewhere)
    old = elsewhere.read_bytes()
    refused(bench, old, press(bench), "it is a symbolic link")
    assert bench.file.is_symlink()
    assert elsewhere.read_bytes() == old
    with pytest.raises(Unavailable, match="symbolic link"):
        bench.switch.release(BY, "fixed")


@pytest.mark.fault("files")
def test_a_directory_or_a_fifo_at_the_target_is_refused_without_hanging(bench: Bench) -> None:
    bench.file.unlink()
    for place, named in ((bench.file.mkdir, "a directory"), (lambda: os.mkfifo(bench.file), "a FIFO")):
        place()
        refused(bench, None, press(bench), f"it is {named}")
        assert bench.switch.state().engaged is None
        bench.file.rmdir() if bench.file.is_dir() else bench.file.unlink()


@pytest.mark.fault("files")
def test_concurrent_writers_never_mix_and_leave_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(tmp_path, f"operator{n}@example.com")) for n in range(3)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(bench.file.read_bytes())
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert all(content.count(b"\n") == 4 and content[-2:] in (b"0\n", b"1\n") for content in seen)
    assert press(bench).written
    assert bench.switch.state().engaged is True
    assert bench.audit.verify().sound


def test_a_disk_quota_that_the_kernel_enforces_is_met_in_the_same_way(tmp_path: Path) -> None:
    """The kernel itself refuses every byte beyond the limit; the old file's digit lies below it."""
    bench = Bench(tmp_path)
    bench.switch.engage(BY, "drill")
    bench.switch.release(BY, "drill")
    outcome = in_child(lambda: engage_with_quota(bench))
    assert "only the digit in the old file was changed" in outcome
    assert "File too large" in outcome
    assert bench.switch.state().engaged is True
    assert bench.leftovers() == []


def engage_with_quota(bench: Bench) -> str:
    size = bench.file.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return said(bench.switch.engage(BY, "a reason so long that the new file is larger than the old one"))


@pytest.fixture
def commons() -> Iterator[Path]:
    """A folder that every user may enter, with a kill file that only its owner may change."""
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    folder.chmod(0o755)
    (folder / "var").mkdir(mode=0o755)
    (folder / "var" / "kill_switch.env").write_bytes(b"ML_KILL_SWITCH=0\n")
    (folder / "state").mkdir()
    (folder / "state").chmod(0o777)
    yield folder
    (folder / "var").chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(folder: Path, work: Callable[[Path], str]) -> str:
    """What ``work`` returns in a child without root's powers."""

    def without_powers() -> str:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        else:
            (folder / "var" / "kill_switch.env").chmod(0o444)
            (folder / "var").chmod(0o555)
        return work(folder)

    return in_child(without_powers)


def engage_below(folder: Path) -> str:
    return said(Bench(folder).switch.engage(BY, WHY))


def in_child(work: Callable[[], str]) -> str:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=lambda: theirs.send(work()))
    child.start()
    theirs.close()
    try:
        assert ours.poll(20), "the child gave no answer"
        return str(ours.recv())
    finally:
        child.join(5)


def write_often(folder: Path, by: str) -> None:
    switch = Bench(folder).switch
    for number in range(40):
        switch.engage(by, f"spike {number}")
        switch.release(by, f"fixed {number}")
