"""What comes in never swallows the keyboard, what goes out never blocks its caller, and both only show."""

from __future__ import annotations

import os
import select
import threading

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from console.terminal.driver import LONGEST, PATIENCE_S, PasteGuard
from console.terminal.filters import VisibleFilter, harmless
from console.terminal.output import Line
from ml.text import visible

START, END = "\x1b[200~", "\x1b[201~"
DEADLINE_S = 10.0


class Ticking:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_whole_paste_passes_in_any_pieces() -> None:
    text = f"a{START}hello{END}b"
    for cut in range(len(text)):
        guard = PasteGuard()
        assert guard.feed(text[:cut]) + guard.feed(text[cut:]) == text


def test_a_paste_that_never_ends_is_ended() -> None:
    clock = Ticking()
    guard = PasteGuard(clock)
    assert guard.feed(START + "rm -rf") == START + "rm -rf"
    clock.now = PATIENCE_S / 2
    assert guard.tick() == ""
    clock.now = PATIENCE_S + 0.1
    assert guard.tick() == END
    assert guard.tick() == ""
    assert guard.feed("q") == "q"


def test_a_huge_paste_is_cut() -> None:
    guard = PasteGuard()
    passed = guard.feed(START + "x" * LONGEST) + guard.feed("y" * 1000) + guard.feed(END + "q")
    assert passed == START + "x" * LONGEST + END + "q"


def test_a_lone_escape_is_passed_on() -> None:
    guard = PasteGuard()
    assert guard.feed("\x1b") + guard.tick() == "\x1b"
    assert guard.feed("\x1b[") + guard.tick() == "\x1b["


@given(st.text())
def test_the_last_door_passes_only_what_a_terminal_shows(text: str) -> None:
    safe = harmless(text)
    assert visible(safe) == safe
    assert cell_len(safe) == cell_len(text)


def test_the_last_door_leaves_plain_lines_and_controls_of_textual_alone() -> None:
    plain = [Segment("p99 42.1 ms")]
    assert VisibleFilter().apply(plain, Color.parse("black")) is plain
    mixed = VisibleFilter().apply([Segment("a\x1b[31m\u202e\x9b"), Segment("é模")], Color.parse("black"))
    assert [segment.text for segment in mixed] == ["a[31m", "é模"]


@pytest.fixture
def pipe() -> object:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_a_stalled_terminal_blocks_nobody_and_gets_the_last_frame(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    line = Line(writing, 200, 60, lost=lambda: None)
    finished = threading.Event()

    def draw() -> None:
        for number in range(400):
            line.write("".join(f"\x1b[{row};1H\x1b[1m{number:>8}{'x' * 190}\x1b[0m" for row in range(1, 61)))
            line.flush()
        finished.set()

    threading.Thread(target=draw, daemon=True).start()
    assert finished.wait(DEADLINE_S * 6)
    screen = pyte.Screen(200, 60)
    shown, seen = pyte.ByteStream(screen), b""
    while not all(f"{399:>8}x" in row for row in screen.display):
        assert select.select([reading], [], [], DEADLINE_S)[0], "the last frame never came"
        chunk = os.read(reading, 65_536)
        shown.feed(chunk)
        seen += chunk
    assert len(seen) < 150_000, "frames in between were sent although nobody had room for them"


def test_a_lost_terminal_is_told_once() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    lost = threading.Semaphore(0)
    line = Line(writing, 10, 2, lost=lambda: lost.release() and None)
    line.write("\x1b[1;1Hx")
    line.flush()
    assert lost.acquire(timeout=DEADLINE_S)
    line.write("\x1b[1;1Hy")
    line.flush()
    line.drain()
    assert not lost.acquire(timeout=0.05)
    os.close(writing)
