"""File faults at a kill file of the engines' own format: the switch is set or left, and no other byte is lost."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from support.broken_disk import broken
from support.switches import PRESSED, Bench, release_keeps_it_engaged

from ml.emergency.killfile import KillFile
from ml.emergency.killformats import KillFormat
from ml.emergency.switch import KillRequest
from ml.errors import Unavailable
from ml.session.watches import explain

FORM = KillFormat("json", ("ml", "disabled"))
OFF = b'{"size": 3, "ml": {"disabled": false, "note": "keep"}}\n'
ON = OFF.replace(b"false", b"true")
IN_PLACE = OFF.replace(b"false", b"true ")
BY, WHY = "ann@example.com", "p99 spike"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, form=FORM)
    made.file.parent.mkdir()
    made.file.write_bytes(OFF)
    return made


def press(bench: Bench) -> KillRequest:
    request = bench.switch.engage(BY, WHY)
    assert bench.leftovers() == []
    assert bench.audit.read()[-1].kind == "kill"
    return request


def refused(bench: Bench, request: KillRequest, cause: str, old: bytes = OFF) -> None:
    """Nothing was written: a cause, the way by hand, and the old bytes."""
    assert not request.written
    assert cause in request.steps[0].why
    assert str(bench.file) in request.by_hand[0]
    assert not any(line.startswith("echo") for line in request.by_hand)
    assert bench.file.read_bytes() == old


@pytest.mark.fault("files")
@pytest.mark.parametrize("call", ["write", "create", "rename"])
def test_a_disk_that_takes_no_new_file_lets_the_value_be_changed_in_place(bench: Bench, call: str) -> None:
    with broken(bench.file.parent, call, errno.ENOSPC):
        request = press(bench)
        assert bench.file.read_bytes() == IN_PLACE
        assert "only the value in the old file was changed" in request.steps[0].why
        assert request.steps[0].done
        assert bench.switch.state().engaged is True
        release_keeps_it_engaged(bench)


@pytest.mark.fault("files")
def test_a_value_without_room_is_refused_on_a_full_disk(tmp_path: Path) -> None:
    bench = Bench(tmp_path, form=FORM._replace(on="stopped by an operator"))
    bench.file.parent.mkdir()
    bench.file.write_bytes(OFF)
    with broken(bench.file.parent, "write", errno.ENOSPC):
        refused(bench, press(bench), "No space left on device")


@pytest.mark.fault("files")
def test_a_read_only_disk_is_named_and_keeps_the_old_bytes(bench: Bench) -> None:
    with broken(bench.file.parent, "change", errno.EROFS):
        refused(bench, press(bench), "Read-only file system")


@pytest.mark.fault("files")
def test_an_input_output_error_on_fsync_still_kills_and_says_what_it_is_worth(bench: Bench) -> None:
    with broken(bench.file.parent, "fsync", errno.EIO):
        request = press(bench)
        assert bench.file.read_bytes() == ON
        assert request.steps[0].why == "the switch is in force, but a power cut may undo it (Input/output error)"
        release_keeps_it_engaged(bench)


@pytest.mark.fault("files")
def test_a_symbolic_link_is_refused_and_what_it_leads_to_is_left(bench: Bench, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    shutil.move(bench.file, elsewhere)
    bench.file.symlink_to(elsewhere)
    refused(bench, press(bench), "it is a symbolic link")
    assert bench.file.is_symlink()
    assert bench.switch.state().unclear


@pytest.mark.fault("files")
def test_a_directory_or_a_fifo_is_refused_without_hanging(bench: Bench) -> None:
    bench.file.unlink()
    for place, named in ((bench.file.mkdir, "a directory"), (lambda: os.mkfifo(bench.file), "a FIFO")):
        place()
        request = press(bench)
        assert not request.written
        assert f"it is {named}" in request.steps[0].why
        assert bench.switch.state().engaged is None
        bench.file.rmdir() if bench.file.is_dir() else bench.file.unlink()


@pytest.mark.fault("files")
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"ML_KILL_SWITCH=0\n", "it is not JSON, see line 1"),
        (b'{"ml": {"disabled": false', "it is not JSON, see line 1"),
        (b'{"ml": "caf\xe9"}', "it is not UTF-8 text"),
        (b'{"ml": 3}', "ml is no object"),
        (b'{"ml": {"disabled": {"since": 4}}}', "holds further values"),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', "it is larger than 1024 KiB"),
    ],
)
def test_a_file_that_is_not_as_configured_is_left_byte_for_byte(bench: Bench, content: bytes, why: str) -> None:
    bench.file.write_bytes(content)
    assert bench.switch.state().unclear
    refused(bench, press(bench), "was left as it is, and nothing was written", content)
    assert why in bench.audit.read()[-1].fields["note"]
    with pytest.raises(Unavailable, match="was left as it is"):
        bench.switch.release(BY, "fixed")
    assert bench.file.read_bytes() == content
    refusal = KillFile(bench.file, FORM).refusal()
    assert refusal
    assert why in refusal.cause


def test_an_unclear_value_is_made_plain_by_one_press(bench: Bench) -> None:
    bench.file.write_bytes(OFF.replace(b"false", b'"1"'))
    state = bench.switch.state()
    assert (state.engaged, state.unclear) == (None, True)
    assert 'ml.disabled is "1" in it, neither true nor false' in state.problem
    assert press(bench).written
    assert bench.file.read_bytes() == ON


def test_a_missing_file_is_made_with_the_key_alone_and_a_missing_key_is_added_with_a_caveat(tmp_path: Path) -> None:
    bench = Bench(tmp_path, form=FORM)
    assert bench.switch.state().engaged is False
    assert press(bench).written
    assert bench.file.read_bytes() == b'{"ml": {"disabled": true}}\n'
    assert bench.file.stat().st_mode & 0o777 == 0o644
    bench.file.write_bytes(b'{"size": 3}')
    assert bench.switch.state().engaged is None
    request = press(bench)
    assert "ml.disabled was not in the file and was added" in request.steps[0].why
    assert json.loads(bench.file.read_bytes()) == {"size": 3, "ml": {"disabled": True}}


# --- who and when ----------------------------------------------------------------------------------------------------
def test_a_later_session_knows_when_who_and_why(bench: Bench, tmp_path: Path) -> None:
    press(bench)
    later = Bench(tmp_path, form=FORM)
    later.clock.moment += timedelta(minutes=5)
    request = later.switch.state().request
    assert request
    assert (request.at, request.by, request.reason) == (PRESSED, BY, WHY)
    again = later.switch.engage("bob@example.com", "me too")
    assert (again.at, again.by, again.reason) == (PRESSED, BY, WHY)
    assert again.steps[0].again
    later.switch.release("bob@example.com", "fixed")
    released = Bench(tmp_path, form=FORM).switch.state().request
    assert released
    assert (released.engage, released.at) == (False, later.clock.moment)
    assert (released.by, released.reason) == ("bob@example.com", "fixed")
    assert explain(later.file, later.audit, FORM) == ()


def test_a_value_set_by_hand_has_the_files_time_and_nobodys_name(bench: Bench) -> None:
    press(bench)
    bench.file.write_bytes(ON)
    request = bench.switch.state().request
    assert request
    assert request.at > PRESSED
    assert (request.by, request.reason) == ("", "")


def test_a_file_that_was_never_a_kill_is_no_release(bench: Bench, tmp_path: Path) -> None:
    """The engines' own file is edited for other reasons too; that must not show a release that nobody asked for."""
    state = bench.switch.state()
    assert (state.engaged, state.request) == (False, None)
    press(bench)
    bench.file.write_bytes(OFF)
    by_hand = bench.switch.state().request
    assert by_hand
    assert (by_hand.engage, by_hand.by) == (False, "")
    assert explain(bench.file, bench.audit, FORM) == (
        "The kill of 2026-02-17T14:02:11Z was released by hand, outside of any console.",
    )
    assert Bench(tmp_path, form=FORM).switch.state().request is None


# --- other writers and other owners ----------------------------------------------------------------------------------
@pytest.mark.fault("files")
def test_a_writer_of_another_key_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody replaces the file between our reading and our rename."""
    real, presses = os.utime, []

    def interfere(*args: object, **options: object) -> None:
        if len(presses) < 3:
            presses.append(1)
            other = bench.file.with_name("other")
            other.write_bytes(bench.file.read_bytes().replace(b'"size": 3', b'"size": 3' + b"0" * len(presses), 1))
            other.rename(bench.file)
        real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "utime", interfere)
    assert press(bench).written
    monkeypatch.undo()
    held = json.loads(bench.file.read_bytes())
    assert held["ml"] == {"disabled": True, "note": "keep"}
    assert held["size"] == 3_000_000


@pytest.mark.fault("files")
def test_concurrent_operators_leave_whole_files_only(bench: Bench, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=press_often, args=(tmp_path,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(bench.file.read_bytes())
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen <= {ON, OFF, IN_PLACE, IN_PLACE.replace(b"true ", b"false ")}
    assert press(bench).written
    assert bench.switch.state().engaged is True


def press_often(folder: Path) -> None:
    bench = Bench(folder, form=FORM)
    for _ in range(30):
        bench.switch.engage(BY, WHY)


def test_presses_from_many_threads_are_one_kill(bench: Bench) -> None:
    threads = [threading.Thread(target=bench.switch.engage, args=(f"operator{n}", WHY)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert bench.file.read_bytes() in (ON, IN_PLACE)
    assert bench.leftovers() == []
    assert bench.kinds() == ["kill"] * 8


@pytest.fixture
def commons() -> Iterator[Path]:
    """A folder that every user may write."""
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    for each in (folder, folder / "var", folder / "state"):
        each.mkdir(exist_ok=True)
        each.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
def test_an_owner_that_cannot_be_kept_is_not_locked_out_of_the_own_file(commons: Path, mode: int) -> None:
    file = commons / "var" / "kill_switch.json"
    file.write_bytes(OFF)
    file.chmod(mode)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=press_as_nobody, args=(commons,))
    child.start()
    child.join(20)
    assert child.exitcode == 0
    about = file.stat()
    assert (about.st_uid, about.st_gid, about.st_mode & 0o777) == (os.getuid(), os.getgid(), mode)
    # Who owns the file replaces it; who may write it changes the value in it; who may not is refused.
    others = IN_PLACE if mode == 0o666 else OFF
    assert file.read_bytes() == (others if os.getuid() == 0 else ON)


def press_as_nobody(folder: Path) -> None:
    """Press without root's powers; where the test itself has none, the file is the presser's own."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    bench = Bench(folder, form=FORM)
    about = os.stat(bench.file)
    may_write = about.st_uid == os.getuid() or about.st_mode & 0o002 != 0
    request = bench.switch.engage(BY, WHY)
    assert request.steps[0].done is may_write
    assert may_write or "could not be written" in request.steps[0].why


def test_the_owner_the_mode_and_the_attributes_of_the_file_are_kept(bench: Bench) -> None:
    if os.getuid() == 0:
        os.chown(bench.file, 65534, 65534)
    bench.file.chmod(0o640)
    with suppress(OSError):  # not every file system takes one
        os.setxattr(bench.file, "user.note", b"of the engine")
    attributes = {name: os.getxattr(bench.file, name) for name in os.listxattr(bench.file)}
    old = bench.file.stat()
    bench.switch.engage(BY, WHY)
    new = bench.file.stat()
    assert (new.st_uid, new.st_gid, new.st_mode) == (old.st_uid, old.st_gid, old.st_mode)
    assert new.st_ino != old.st_ino
    assert {name: os.getxattr(bench.file, name) for name in os.listxattr(bench.file)} == attributes
    assert bench.file.read_bytes() == ON
