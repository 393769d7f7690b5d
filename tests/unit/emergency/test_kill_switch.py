from __future__ import annotations

import errno
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from support.broken_disk import broken
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
    assert bench.file.parent.stat().st_mode & 0o777 == 0o755


def test_every_missing_folder_is_made_passable_and_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    file = tmp_path / "private" / "a" / "b" / "kill.env"
    before = os.umask(0o077)
    try:
        KillFile(file).engage(PRESSED, "ann@example.com", "p99 spike")
    finally:
        os.umask(before)
    modes = [folder.stat().st_mode & 0o777 for folder in (file.parent, file.parent.parent, tmp_path / "private")]
    assert modes == [0o755, 0o755, 0o700]


def test_the_state_is_read_back_by_any_later_session(bench: Bench, tmp_path: Path) -> None:
    bench.switch.engage("ann@example.com", "p99 spike")
    state = Bench(tmp_path).switch.state()
    assert state.engaged is True
    assert state.request
    assert (state.request.at, state.request.by, state.request.reason) == (PRESSED, "ann@example.com", "p99 spike")


def test_never_engaged_is_not_engaged(bench: Bench) -> None:
    assert bench.switch.state() == (False, None, "", False)


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
        (b'# by hand\nOTHER="a b"\nML_KILL_SWITCH=1\n', True),
        (b"ML_KILL_SWITCH=0\n", False),
        (b"NOT_ML_KILL_SWITCH=1\nML_KILL_SWITCH=0\n", False),
        (b"# ML_KILL_SWITCH=1\n", False),
        (b"ML_KILL_SWITCH_NOTE=1\n", False),
        (b"", False),
    ],
)
def test_exactly_one_or_zero_counts_also_when_written_by_hand(bench: Bench, content: bytes, engaged: bool) -> None:
    bench.file.parent.mkdir()
    bench.file.write_bytes(content)
    state = bench.switch.state()
    assert (state.engaged, state.unclear) == (engaged, False)
    assert state.request
    assert state.request.by == ""


UNCLEAR = {
    "quoted": (b'ML_KILL_SWITCH="1"\n', 'it says ML_KILL_SWITCH="1"'),
    "single quotes": (b"ML_KILL_SWITCH='1'\n", "it says ML_KILL_SWITCH='1'"),
    "a blank before": (b"ML_KILL_SWITCH= 1\n", "it says"),
    "a blank behind": (b"ML_KILL_SWITCH=1 \n", "it says"),
    "a blank around the sign": (b"ML_KILL_SWITCH =1\n", "it says"),
    "indented": (b"  ML_KILL_SWITCH=1\n", "it says"),
    "exported": (b"export ML_KILL_SWITCH=1\n", "it says export ML_KILL_SWITCH=1"),
    "true": (b"ML_KILL_SWITCH=true\n", "it says ML_KILL_SWITCH=true"),
    "nothing": (b"ML_KILL_SWITCH=\n", "it says ML_KILL_SWITCH="),
    "no sign": (b"ML_KILL_SWITCH\n", "it says ML_KILL_SWITCH"),
    "01": (b"ML_KILL_SWITCH=01\n", "it says ML_KILL_SWITCH=01"),
    "a comment behind": (b"ML_KILL_SWITCH=1 # on\n", "it says"),
    "small letters": (b"ml_kill_switch=1\n", "it says ml_kill_switch=1"),
    "YAML": (b"ML_KILL_SWITCH: 1\n", "it says"),
    "on, then off": (b"ML_KILL_SWITCH=1\nML_KILL_SWITCH=0\n", "it names ML_KILL_SWITCH 2 times"),
    "twice the same": (b"ML_KILL_SWITCH=1\nML_KILL_SWITCH=1\n", "it names ML_KILL_SWITCH 2 times"),
    "CRLF": (b"ML_KILL_SWITCH=1\r\n", "it has Windows line ends"),
    "a hidden line": (b"# fixed\rML_KILL_SWITCH=1\n", "it has Windows line ends"),
    "BOM": (b"\xef\xbb\xbfML_KILL_SWITCH=1\n", "it holds a byte order mark"),
    "NUL": (b"ML_KILL_SWITCH=1\0\n", "it holds a NUL byte"),
    "UTF-16": ("ML_KILL_SWITCH=1\n".encode("utf-16"), "it holds a NUL byte"),
    "Latin-1": (b"# caf\xe9\nML_KILL_SWITCH=1\n", "it is not UTF-8 text"),
    "joined by a backslash": (b"# old \\\nML_KILL_SWITCH=1\n", "line 1 ends in a backslash"),
    "inside a quotation": (b'NOTE="\nML_KILL_SWITCH=1\n"\n', "line 1 opens a quotation"),
    "too large": (b"#" * (1 << 16), "it is larger than 64 KiB"),
    "an escape sequence": (b"ML_KILL_SWITCH=1\x1b[2J\n", "it says ML_KILL_SWITCH=1\u241b[2J"),
}


@pytest.mark.parametrize(("content", "why"), UNCLEAR.values(), ids=UNCLEAR.keys())
def test_what_engines_read_differently_is_unclear_and_one_press_makes_it_plain(
    bench: Bench, content: bytes, why: str
) -> None:
    bench.file.parent.mkdir()
    bench.file.write_bytes(content)
    state = bench.switch.state()
    assert (state.engaged, state.unclear) == (None, True)
    assert why in state.problem
    assert "engines read this differently" in state.problem
    assert "\x1b" not in state.problem
    bench.switch.engage("ann@example.com", "p99 spike")
    assert bench.file.read_bytes() == ENGAGED


FOREIGN = {
    "JSON": (b'{"trading": {"disabled": false}}\n', "looks like JSON"),
    "JSON that names the variable": (b'\n {"ML_KILL_SWITCH": "0"}\n', "looks like JSON"),
    "JSON with a BOM": (b"\xef\xbb\xbf{}", "looks like JSON"),
    "TOML": (b"[trading]\ndisabled = false\n", "looks like JSON or TOML"),
    "TOML without a table": (b"# live\ndisabled = false\n", "see line 2"),
    "INI further down": (b"ML_KILL_SWITCH=0\n[trading]\nsize=3\n", "see line 2"),
    "YAML": (b"ML_KILL_SWITCH: 0\nsize: 3\n", "see line 2"),
    "XML": (b"<trading disabled='0'/>", "looks like XML"),
    "a word": (b"go now\n", "see line 1"),
    "YAML that names the variable": (b"env:\n  - name: ML_KILL_SWITCH\n    value: '0'\n", "see line 1"),
    "a binary file": (b"\x7fELF\0\1\2" + bytes(100), "see line 1"),
}


@pytest.mark.parametrize(("content", "why"), FOREIGN.values(), ids=FOREIGN.keys())
def test_a_file_of_another_format_is_never_overwritten(bench: Bench, content: bytes, why: str) -> None:
    """This was seen: the kill overwrote a JSON file with env text, and the service went on."""
    bench.file.parent.mkdir()
    bench.file.write_bytes(content)
    state = bench.switch.state()
    assert (state.engaged, state.unclear) == (None, True)
    assert why in state.problem
    request = bench.switch.engage("ann@example.com", "p99 spike")
    assert not request.written
    assert "was left as it is, and nothing was written: it is no env file" in request.steps[0].why
    assert "kill_switch.format" in request.steps[0].why
    assert request.by_hand[0].startswith(f"do not write over {bench.file}")
    with pytest.raises(Unavailable, match="was left as it is"):
        bench.switch.release("ann@example.com", "fixed")
    assert bench.file.read_bytes() == content
    assert bench.leftovers() == []
    assert bench.kinds() == ["kill", "release"]


DAMAGED = {
    "zeros of a power cut": bytes(4096),
    "zeros behind the switch": b"ML_KILL_SWITCH=0\n" + bytes(4096),
    "a torn line of ours": b"n 2026-02-17T14:02:11Z\nML_KILL_SWITCH=0\n",
    "a line that is no text": b"\x80\x81 \xff\xfe\xfa\nML_KILL_SWITCH=0\n",
    "a merge that was not finished": b"<<<<<<< HEAD\nML_KILL_SWITCH=0\n=======\nML_KILL_SWITCH=1\n>>>>>>> theirs\n",
    "a half of it": b"# released 2026-02-17T14:02:11Z\n# by ann\n# reason fix",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_env_file_holds_up_no_kill(bench: Bench, content: bytes) -> None:
    bench.file.parent.mkdir()
    bench.file.write_bytes(content)
    request = bench.switch.engage("ann@example.com", "p99 spike")
    assert request.written
    assert bench.switch.state().engaged is True
    assert bench.file.read_bytes().endswith(ENGAGED)


@pytest.mark.parametrize(
    "rest",
    [
        b"MODE=live\n",
        b"# ours\nexport MODE='a b'\n\n; x\nA.B-C=1\n",
        b"# by the way\nMODE=live\n",
        b"MODE = live\n",
    ],
)
def test_other_lines_of_an_env_file_are_kept_byte_for_byte(bench: Bench, rest: bytes) -> None:
    bench.file.parent.mkdir()
    bench.file.write_bytes(rest + b"ML_KILL_SWITCH=0\n")
    bench.file.chmod(0o600)
    bench.switch.engage("ann@example.com", "p99 spike")
    assert bench.file.read_bytes() == rest + ENGAGED
    bench.switch.release("ann@example.com", "fixed")
    bench.switch.engage("ann@example.com", "p99 spike")
    assert bench.file.read_bytes() == rest + ENGAGED
    assert bench.file.stat().st_mode & 0o777 == 0o600
    hand = bench.switch.by_hand(engage=False)[0]
    assert hand == f"in {bench.file}, write ML_KILL_SWITCH=0 with an editor, and keep the other lines"


@pytest.mark.parametrize("content", [b"\n" * (1 << 20), b"A=1\n" * (1 << 18), b"ML_KILL_SWITCH=0\n" * 60_000])
def test_a_huge_file_holds_up_no_kill(bench: Bench, content: bytes) -> None:
    bench.file.parent.mkdir()
    bench.file.write_bytes(content)
    begun = time.monotonic()
    bench.switch.engage("ann@example.com", "p99 spike")
    assert time.monotonic() - begun < 2
    assert bench.switch.state().engaged is True


def test_a_link_in_the_place_of_the_file_is_unclear_too(bench: Bench, tmp_path: Path) -> None:
    bench.file.parent.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"ML_KILL_SWITCH=0\n")
    bench.file.symlink_to(tmp_path / "elsewhere")
    state = bench.switch.state()
    assert (state.engaged, state.unclear) == (None, True)
    assert "it is a symbolic link" in state.problem


def test_a_reason_that_ends_in_a_backslash_does_not_swallow_the_switch(bench: Bench) -> None:
    bench.switch.engage("ann\\", "C:\\models\\")
    assert bench.file.read_bytes().splitlines()[1:] == [b"# by ann\\.", b"# reason C:\\models\\.", b"ML_KILL_SWITCH=1"]
    assert bench.switch.state().engaged is True


def test_the_file_is_written_anew_at_every_press(bench: Bench) -> None:
    bench.switch.engage("ann@example.com", "p99 spike")
    before = bench.file.stat().st_ino
    bench.file.chmod(0o600)
    bench.clock.moment += timedelta(seconds=3)
    again = bench.switch.engage("bob@example.com", "me too")
    assert bench.file.stat().st_ino != before
    assert bench.file.stat().st_mode & 0o777 == 0o644
    assert bench.file.read_bytes() == ENGAGED
    assert (again.at, again.by) == (PRESSED, "ann@example.com")


def test_a_press_that_cannot_write_again_stays_the_kill_that_it_was(bench: Bench) -> None:
    bench.switch.engage("ann@example.com", "p99 spike")
    with broken(bench.file.parent, "change", errno.EROFS):
        again = bench.switch.engage("bob@example.com", "me too")
    assert again.written
    assert again.steps[0].done
    assert again.steps[0].why.startswith("was engaged already, but it could not be written again")
    assert bench.file.read_bytes() == ENGAGED


def test_the_full_identity_follows_once_the_file_is_on_disk(bench: Bench) -> None:
    seen: list[bytes] = []

    def who() -> str:
        seen.append(bench.file.read_bytes())
        return "ann@example.com (root@night)"

    request = bench.switch.engage("root@night", "p99 spike", who)
    assert seen == [ENGAGED.replace(b"ann@example.com", b"root@night")]
    assert bench.file.read_bytes() == ENGAGED.replace(b"ann@example.com", b"ann@example.com (root@night)")
    assert request.by == "ann@example.com (root@night)"
    assert [line.fields["by"] for line in bench.audit.read()] == ["ann@example.com (root@night)"]


def test_an_identity_that_cannot_be_found_holds_up_nothing(bench: Bench) -> None:
    def who() -> str:
        raise RuntimeError("no git")

    request = bench.switch.engage("root@night", "p99 spike", who)
    assert (request.by, request.written) == ("root@night", True)
    assert bench.kinds() == ["kill"]


def test_actuators_run_side_by_side_and_keep_their_order(tmp_path: Path) -> None:
    slow = [SlowActuator(f"command {n}") for n in range(20)]
    begun = time.monotonic()
    request = Bench(tmp_path, slow).switch.engage("ann@example.com", "p99 spike")
    assert time.monotonic() - begun < 2.5
    assert [step.name for step in request.steps[1:]] == [each.name for each in slow]
    assert all(step.done and step.seconds >= 0.5 for step in request.steps[1:])


class SlowActuator(RememberingActuator):
    def deliver(self, *, engage: bool) -> None:
        time.sleep(0.5)
        super().deliver(engage=engage)


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
