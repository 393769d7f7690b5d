from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.errors import Unavailable
from ml.records.audit import AuditLog

MOMENT = 1_771_336_931.5  # 2026-02-17T14:02:11.5Z


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit.jsonl"


@pytest.fixture
def log(path: Path) -> AuditLog:
    return AuditLog(path, now=lambda: MOMENT)


def fill(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append("kill", by=f"operator{number}@example.com", reason="p99 spike")


def edit(path: Path, change: dict[int, bytes | None]) -> None:
    """Replace (or drop) lines by their number from 1."""
    rows = path.read_bytes().splitlines(keepends=True)
    kept = [change.get(number, row) for number, row in enumerate(rows, start=1)]
    path.write_bytes(b"".join(row for row in kept if row is not None))


def test_a_line_carries_what_was_told_and_links_to_the_line_before(log: AuditLog) -> None:
    first = log.append("kill", by="ann@example.com", reason="p99 spike", written=True)
    second = log.append("release", by="bob@example.com", reason="fixed")
    assert log.read() == (first, second)
    assert (first.seq, first.at, first.kind) == (1, "2026-02-17T14:02:11Z", "kill")
    assert second.prev == first.hash
    assert log.verify().sound


def test_a_sentence_is_readable_and_hides_no_control_character(log: AuditLog) -> None:
    line = log.append("kill", by="ann@example.com", reason="p99 \x1b[31m spike", note="", steps=["file: done"])
    assert line.sentence == "2026-02-17T14:02:11Z kill by ann@example.com: reason p99 ␛[31m spike, steps file: done"


def test_no_log_yet_is_empty_and_sound(log: AuditLog) -> None:
    assert log.read() == ()
    assert log.verify().sound


def test_the_log_is_for_its_owner_only(log: AuditLog, path: Path) -> None:
    log.append("kill")
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_edited_line_is_named(log: AuditLog, path: Path) -> None:
    fill(log, 4)
    raw = path.read_bytes().splitlines(keepends=True)[1].replace(b"operator1", b"operator9")
    edit(path, {2: raw})
    (found,) = log.verify().findings
    assert (found.line, found.what) == (2, "Line 2 was edited: it does not match its own hash.")


def test_cut_lines_are_named_in_the_middle_at_the_beginning_and_at_the_end(log: AuditLog, path: Path) -> None:
    fill(log, 6)
    whole = path.read_bytes()
    for dropped, expected in (
        ({3: None, 4: None}, "2 lines were cut before line 3."),
        ({1: None}, "One line was cut before line 1."),
        ({5: None, 6: None}, "2 lines were cut after line 4, at the end."),
    ):
        path.write_bytes(whole)
        edit(path, dropped)
        (found,) = log.verify().findings
        assert found.what == expected


def test_a_removed_log_is_a_cut_log(log: AuditLog, path: Path) -> None:
    fill(log, 2)
    path.unlink()
    (found,) = log.verify().findings
    assert found.what == "2 lines were cut after line 0, at the end."


def test_swapped_and_replaced_lines_are_named(log: AuditLog, path: Path, tmp_path: Path) -> None:
    fill(log, 3)
    other = AuditLog(tmp_path / "other.jsonl", now=lambda: MOMENT + 60)
    fill(other, 3)
    foreign = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)
    edit(path, {2: foreign[1]})
    assert any("does not follow the line before it" in each.what for each in log.verify().findings)
    edit(path, {2: path.read_bytes().splitlines(keepends=True)[1], 3: foreign[2]})
    assert not log.verify().sound


def test_a_rewritten_last_line_is_named_although_its_own_hash_is_right(log: AuditLog, path: Path) -> None:
    log.append("kill", by="ann@example.com")
    forged = AuditLog(path.with_name("forged.jsonl"), now=lambda: MOMENT)
    forged.append("kill", by="bob@example.com")
    path.write_bytes(path.with_name("forged.jsonl").read_bytes())
    (found,) = log.verify().findings
    assert found.what == "Line 1 is not the one that was written last: it was replaced."


def test_a_torn_tail_is_named_and_the_next_writer_goes_on(log: AuditLog, path: Path) -> None:
    fill(log, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    found = log.verify().findings
    assert found[0].what == "Line 3, the last, is torn: its writer died while writing it."
    after = log.append("release", by="ann@example.com")
    report = log.verify()
    # Two whole lines, the torn one, the new one: the tail that was cut off is explained, and the chain holds.
    assert (report.lines, after.seq) == (4, 3)
    assert [note.what for note in report.notes] == ["Line 3 is torn: its writer died while writing it."]
    assert report.sound


def test_a_line_that_only_lacks_its_newline_was_not_finished(log: AuditLog, path: Path) -> None:
    fill(log, 2)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert len(log.read()) == 1
    log.append("release")
    report = log.verify()
    assert report.sound
    assert [line.seq for line in log.read()] == [1, 2]


def test_rubbish_between_lines_is_named(log: AuditLog, path: Path) -> None:
    fill(log, 2)
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(rows[0] + b"rubbish\n" + rows[1])
    (found,) = log.verify().findings
    assert found.what == "Line 2 is no audit line (8 bytes)."


def test_a_full_disk_leaves_the_log_as_it_was(log: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(log, 2)
    whole = path.read_bytes()
    write = os.write

    def half_then_full(handle: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, bytes(data[:-99]))

    monkeypatch.setattr(os, "write", half_then_full)
    with pytest.raises(Unavailable, match="No space left on device"):
        log.append("kill", by="ann@example.com", reason="spike" * 20)
    monkeypatch.undo()
    assert path.read_bytes() == whole
    assert log.verify().sound


def test_a_stopped_neighbour_that_holds_the_log_costs_a_second_and_no_more(log: AuditLog, path: Path) -> None:
    log.append("kill")
    with path.open("rb") as neighbour:
        fcntl.flock(neighbour, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="could not be written"):
            log.append("release")
    assert len(log.read()) == 1


def test_a_link_in_place_of_the_log_is_not_followed(log: AuditLog, path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (tmp_path / "elsewhere").write_text("precious")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        log.append("kill")
    assert (tmp_path / "elsewhere").read_text() == "precious"


def _writer(path: Path, name: str) -> None:
    log = AuditLog(path)
    for number in range(50):
        log.append("kill", by=name, number=number)


def test_writers_of_several_processes_make_one_chain(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_writer, args=(path, f"operator{index}")) for index in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    log = AuditLog(path)
    assert log.verify().sound
    lines = log.read()
    assert [line.seq for line in lines] == list(range(1, 201))
    for index in range(4):
        assert [line.fields["number"] for line in lines if line.fields["by"] == f"operator{index}"] == list(range(50))


def test_a_line_of_any_length_is_kept_short_enough_to_find_again(log: AuditLog) -> None:
    log.append("kill", reason="x" * 1_000_000, steps=["y" * 5_000] * 50)
    log.append("release")
    assert log.verify().sound
    assert log.read()[0].fields["reason"].endswith("…")


def test_lines_are_plain_json_for_other_tools(log: AuditLog, path: Path) -> None:
    log.append("kill", by="åsa@example.com")
    assert json.loads(path.read_bytes())["by"] == "åsa@example.com"


@pytest.mark.parametrize("row", [b'{"seq":"1","at":"x","kind":"kill","prev":"","hash":""}', b'{"seq":1,"at":2}', b"[]"])
def test_json_of_another_shape_is_no_line(log: AuditLog, path: Path, row: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(row + b"\n")
    assert log.read() == ()
    assert not log.verify().sound


def test_only_the_fragment_that_was_really_torn_is_explained(log: AuditLog, path: Path) -> None:
    fill(log, 2)
    path.write_bytes(path.read_bytes()[:-30])
    log.append("release")
    (note,) = log.verify().notes
    assert note.line == 2
    rows = path.read_bytes().splitlines(keepends=True)
    for forged in (b"x" + rows[1], rows[1].replace(b" (torn)", b"")):
        path.write_bytes(rows[0] + forged + rows[2])
        assert not log.verify().sound


def make_folder(path: Path) -> None:
    path.mkdir(parents=True)


def make_fifo(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(path)


def make_link(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/zero")


def make_parent_a_file(path: Path) -> None:
    path.parent.write_text("")


@pytest.mark.parametrize("obstacle", [make_folder, make_fifo, make_loop, make_link, make_parent_a_file])
def test_something_else_in_its_place_is_to_be_moved_away(
    log: AuditLog, path: Path, obstacle: Callable[[Path], None]
) -> None:
    obstacle(path)
    for look in (log.read, log.verify, lambda: log.append("kill")):
        with pytest.raises(Unavailable) as caught:
            look()
        assert "Move away what stands in the place of" in caught.value.remedy
        assert "permissions" not in caught.value.remedy


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "Correct the permissions of"),
        (errno.EPERM, "Correct the permissions of"),
        (errno.ENOSPC, "Make room on the disk of"),
        (errno.EDQUOT, "Make room on the disk of"),
        (errno.EROFS, "writable, or set XDG_STATE_HOME"),
        (errno.EIO, "copy the file away before you repair it"),
    ],
)
def test_each_failure_has_its_own_remedy(
    log: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    log.append("kill")

    def failing(*_args: object, **_options: object) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "open", failing)
    for look in (log.read, lambda: log.append("kill")):
        with pytest.raises(Unavailable) as caught:
            look()
        assert remedy in caught.value.remedy
        assert str(path) in caught.value.remedy
