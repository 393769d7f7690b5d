"""The terminal hangs up, stalls, stops, sends odd bytes and has any size; the console survives or ends in order."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest
from support.terminal import KEYS, Terminal

CONSOLE = Path(__file__).parents[1] / "support" / "fake_console.py"
DEADLINE_S = 30.0
KILL_S = 1.0
MOST_CPU_S = 20.0
KEYBOARD_PROTOCOL = re.compile(rb"\x1b\[[<>][0-9]*u")

fault = pytest.mark.fault("terminal")


class Log:
    """What the console under test asked of its session."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def wait_for(self, holds: Callable[[list[str]], bool], deadline_s: float = DEADLINE_S) -> float:
        begun = time.monotonic()
        while not holds(self.lines()):
            assert time.monotonic() - begun < deadline_s, self.lines()
            time.sleep(0.005)
        return time.monotonic() - begun


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "calls")


@pytest.fixture
def terminal(log: Log) -> Iterator[Terminal]:
    with Terminal([sys.executable, CONSOLE, log.path]) as running:
        running.wait_for("GATE", DEADLINE_S)
        yield running


def kill_answers(log: Log, press: Callable[[], object]) -> None:
    before = log.lines().count("kill")
    press()
    took = log.wait_for(lambda lines: lines.count("kill") > before)
    assert took < KILL_S, f"the kill key took {took:.2f} s"


def end_of(running: Terminal) -> bytes:
    """The last bytes, after the program has left the alternate screen."""
    return bytes(running.output).rpartition(b"\x1b[?1049l")[2]


# --- the eight -------------------------------------------------------------------------------------------------------
@fault
@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order_after_the_write_under_way(
    terminal: Terminal, log: Log, number: signal.Signals, code: int
) -> None:
    terminal.process.send_signal(signal.SIGUSR1)
    log.wait_for(lambda lines: "write begun" in lines)
    terminal.process.send_signal(number)
    assert terminal.wait_exit(DEADLINE_S) == code
    assert "write done" in log.lines()
    assert b"\x1b[?1049l" in terminal.output
    assert b"\x1b[?25h" in end_of(terminal)
    assert b"\x1b[?2004l" in terminal.output


@fault
def test_a_closed_terminal_with_sighup_ignored_ends_it_without_spinning(log: Log) -> None:
    with unread(log, "env", "--ignore-signal=HUP") as (master, process):
        read_until(master, b"GATE")
        hang_up(master)
        assert process.wait(DEADLINE_S) == 129
    (ended,) = [line for line in log.lines() if line.startswith("ended")]
    assert float(ended.split()[-1]) < MOST_CPU_S


@fault
def test_a_stalled_reader_delays_no_key_and_no_end(log: Log) -> None:
    with unread(log) as (master, process):
        log.wait_for(lambda lines: "board" in lines)
        for _ in range(40):  # nobody reads, and a pseudo-terminal holds but a few kilobytes
            for key in "1234":
                os.write(master, key.encode())
        kill_answers(log, lambda: os.write(master, KEYS["f9"].encode()))
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 143, "\n".join(log.lines())


@fault
def test_a_line_of_9600_baud_delays_no_key_and_shows_the_last_view_whole(log: Log) -> None:
    with unread(log) as (master, process), slowly_read(master) as screen:
        log.wait_for(lambda lines: "board" in lines)
        for key in "231" * 10 + "4":
            os.write(master, key.encode())
        log.wait_for(lambda lines: "log" in lines)
        kill_answers(log, lambda: os.write(master, KEYS["f9"].encode()))
        wait_until(lambda: "KILL ON" in screen(), screen)
        os.write(master, KEYS["escape"].encode())
        wait_until(lambda: "AUDIT LOG" in screen() and "4 Log" in screen(), screen)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 143


@fault
def test_bytes_that_are_no_utf8_are_ignored(terminal: Terminal, log: Log) -> None:
    for odd in (b"\xe9", b"\xff\xfe", b"\xc3", b"\x1b[99999999999u", b"\x1b[<0;0;0M", b"\x00", b"\x1b[48;0;0;0;0t"):
        os.write(terminal._master, odd)
    terminal.press("2")
    terminal.wait_for("coverage", DEADLINE_S)
    kill_answers(log, lambda: terminal.press("f9"))


@fault
def test_stop_and_continue_with_a_screen_open_draws_it_again(terminal: Terminal, log: Log) -> None:
    terminal.press("r")
    terminal.wait_for("Rollback", DEADLINE_S)
    before = len(terminal.output)
    terminal.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED)
    terminal.process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + DEADLINE_S
    while b"Rollback" not in terminal.output[before:]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert b"\x1b[?1049h" in terminal.output[before:]
    kill_answers(log, lambda: terminal.press("f9"))
    terminal.wait_for("KILL ON", DEADLINE_S)


@fault
def test_any_size_is_survived(terminal: Terminal, log: Log) -> None:
    sizes = [(0, 0), (1, 1), (3000, 3000), (80, 1), (1, 50), (500, 10), (59, 15), (3000, 1), (0, 40), (200, 60)]
    for columns, rows in sizes * 3:
        fcntl.ioctl(terminal._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    terminal.resize(100, 30)
    log.wait_for(lambda lines: "laid out 100x30" in lines)
    terminal.press("3")
    terminal.wait_for("newest first", DEADLINE_S)
    terminal.press("1")
    terminal.wait_for("GATE", DEADLINE_S)
    kill_answers(log, lambda: terminal.press("f9"))


@fault
def test_a_size_that_is_back_before_it_was_noticed_is_drawn_again(terminal: Terminal) -> None:
    for size in ((30, 5), (80, 24), (80, 5), (80, 24), (500, 200), (80, 24)):
        terminal.resize(*size)  # a terminal that shrinks forgets what it no longer shows
    terminal.wait_until(
        lambda screen: "!PROD!" in screen and "GATE" in screen and "1 Stages" in screen, "a whole screen"
    )


@fault
@pytest.mark.parametrize("paste", ["\x1b[200~qpru1\x1b[20~\r\x1b[201~", "\x1b[200~qpru1\x1b[20~\r"])
def test_a_paste_presses_no_key_and_an_unterminated_one_ends(terminal: Terminal, log: Log, paste: str) -> None:
    os.write(terminal._master, paste.encode())
    log.wait_for(lambda lines: "pasted" in lines)  # the guard ends an unterminated paste by itself
    assert {"kill", "target", "rollback_plan"} & set(log.lines()) == set()
    terminal.press("2")
    terminal.wait_for("coverage", DEADLINE_S)
    kill_answers(log, lambda: terminal.press("f9"))


def test_the_mouse_is_the_terminals_until_it_is_asked_for(terminal: Terminal) -> None:
    assert b"\x1b[?1000h" not in terminal.output
    terminal.press("m")
    terminal.wait_for("The console uses the mouse now", DEADLINE_S)
    assert b"\x1b[?1000h" in terminal.output
    terminal.press("m")
    terminal.wait_for("The terminal has the mouse again", DEADLINE_S)
    assert terminal.output.rindex(b"\x1b[?1000l") > terminal.output.rindex(b"\x1b[?1000h")


# --- and what may never happen ---------------------------------------------------------------------------------------
KNOWN = re.compile(
    rb"\x1b\[\d+;\d+H|\x1b\[[\d;]*m"  # where to draw, and how
    rb"|\x1b\[\?(?:1049|25|1004|2004|2048|2026|7|1000|1003|1015|1006|1016)[hl]|\x1b\[\?(?:2026|2048)\$p"  # modes
    rb"|\x1b\[[<>]\d*u|\x1b\]22;[a-z]*\x07"  # keyboard protocol, pointer
    rb"|\x1b\[2[23];2t|\x1b\]2;(?=(?:[A-Z_]+|checking) )|(?<= mlconsole)\x07"  # the window's title, but for its text
)


def acting(output: bytes) -> list[str]:
    """Every character that a terminal acts on, or that deceives a reader, beyond what we draw with."""
    text = KNOWN.sub(b"", output).decode("utf-8")
    return [hex(ord(char)) for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")]


@fault
def test_no_text_from_outside_reaches_the_terminal_raw(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal([sys.executable, CONSOLE, log.path, "hostile"], columns=120, rows=40) as running:
        running.wait_for("GATE", DEADLINE_S)
        for key, words in (("2", "coverage"), ("3", "newest"), ("4", "AUDIT"), ("5", "1 open"), ("1", "GATE")):
            running.press(key)
            running.wait_for(words, DEADLINE_S)
        running.press("5")
        running.press("enter")
        tabs = ("proof:", "+ ␛]52", "VERDICT", "judged", "does not count")
        for words in ("PLANNED", *tabs):
            running.wait_for(words, DEADLINE_S)
            running.press("right")
        running.press("x")
        running.wait_for("The branch goes from the remote", DEADLINE_S)
        running.go("escape", "escape", "1")
        running.wait_for("GATE", DEADLINE_S)
        for key, words in (("p", "Cancel"), ("r", "Cancel"), ("f1", "Everywhere"), ("f9", "KILL ON")):
            running.press(key)
            running.wait_for(words, DEADLINE_S)
            running.press("escape")
            running.wait_for("4 Log", DEADLINE_S)
        running.press("ctrl+p")
        running.type("model")
        running.wait_for("Look at this model", DEADLINE_S)
        running.press("escape")
        running.wait_gone("Look at this model", DEADLINE_S)
        running.press("q")
        assert running.wait_exit(DEADLINE_S) == 0
        raw = acting(bytes(running.output))
    with capsys.disabled():
        print(f"raw control bytes {len(raw)}")  # noqa: T201 the count is what the run is asked for
    assert raw == []


def test_quitting_gives_the_terminal_back_as_it_was(log: Log) -> None:
    with unread(log) as (master, process):
        slave = os.open(process.terminal, os.O_RDWR | os.O_NOCTTY)  # type: ignore[attr-defined]
        read_until(master, b"GATE")
        assert not termios.tcgetattr(slave)[3] & termios.ECHO
        os.write(master, b"q")
        read_until(master, b"\x1b[?1049l")
        assert process.wait(DEADLINE_S) == 0
        assert termios.tcgetattr(slave)[3] & termios.ECHO
        assert termios.tcgetattr(slave)[3] & termios.ICANON
        os.close(slave)


@contextlib.contextmanager
def unread(log: Log, *wrapper: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The console on a pseudo-terminal of its own that nobody reads from."""
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    argv = ["setsid", "--ctty", *wrapper, sys.executable, CONSOLE, log.path]
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment)
    process.terminal = os.ttyname(slave)  # type: ignore[attr-defined]
    os.close(slave)
    try:
        yield master, process
    finally:
        process.kill()
        process.wait()
        os.close(master)


@contextlib.contextmanager
def slowly_read(master: int) -> Iterator[Callable[[], str]]:
    """Read as a line of 9,600 baud carries it, 960 bytes a second; gives what its terminal shows."""
    screen = pyte.Screen(80, 24)
    stream, over = pyte.ByteStream(screen), threading.Event()

    def read() -> None:
        while not over.wait(0.05):
            if select.select([master], [], [], 0)[0]:
                stream.feed(KEYBOARD_PROTOCOL.sub(b"", os.read(master, 48)))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lambda: "\n".join(screen.display)
    finally:
        over.set()
        reader.join()


def wait_until(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until something holds; the message tells ``what`` there is instead."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)


def hang_up(master: int) -> None:
    """Close our end as a lost connection does; the descriptor stays ours, on nothing."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, master)
    os.close(nothing)


def read_until(master: int, wanted: bytes) -> None:
    """Read until some bytes have come."""
    seen, deadline = b"", time.monotonic() + DEADLINE_S
    while wanted not in seen:
        assert time.monotonic() < deadline, seen[-500:]
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 65_536)
