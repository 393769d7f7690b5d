"""The diffing canvas against a terminal emulator: after any frames, the screen shows what was drawn."""

from __future__ import annotations

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st

from console.terminal.output import Canvas

WIDTH, HEIGHT = 12, 4
STYLES = ("0", "1;31", "38;2;1;2;3;48;2;4;5;6", "7")
pieces = st.tuples(
    st.integers(1, HEIGHT), st.integers(1, WIDTH), st.sampled_from(STYLES), st.text("ab é─█x", min_size=1, max_size=14)
)
frames = st.lists(st.lists(pieces, min_size=1, max_size=5), min_size=1, max_size=6)


def drawn(pieces_of_frame: list[tuple[int, int, str, str]]) -> str:
    return "".join(
        f"\x1b[{row};{column}H\x1b[{style}m{text[: WIDTH + 1 - column]}\x1b[0m"
        for row, column, style, text in pieces_of_frame
    )


def cells(screen: pyte.Screen) -> list[tuple[str, str, str, bool, bool]]:
    return [
        (cell.data, cell.fg, cell.bg, cell.bold, cell.reverse)
        for y in range(HEIGHT)
        for cell in (screen.buffer[y][x] for x in range(WIDTH))
    ]


class Emulator:
    def __init__(self) -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self.screen.reset_mode(pyte.modes.DECAWM)
        self._stream = pyte.Stream(self.screen)

    def feed(self, data: str) -> None:
        self._stream.feed(data)


@given(frames, st.data())
@settings(max_examples=150, deadline=None)
def test_skipped_and_sent_frames_end_in_the_same_screen(frames: list[list[tuple[int, int, str, str]]], data) -> None:
    plain, diffed, canvas = Emulator(), Emulator(), Canvas(WIDTH, HEIGHT)
    for frame in frames:
        plain.feed(drawn(frame))
        canvas.feed(drawn(frame))
        if data.draw(st.booleans()):
            diffed.feed(canvas.render())
    diffed.feed(canvas.render())
    assert cells(diffed.screen) == cells(plain.screen)


def test_an_equal_frame_costs_nothing() -> None:
    canvas = Canvas(80, 24)
    frame = "\x1b[1;1H\x1b[1mp99\x1b[0m 42.1 ms"
    canvas.feed(frame)
    assert "42.1" in canvas.render()
    canvas.feed(frame)
    assert canvas.render() == ""


def test_only_the_changed_cells_are_sent() -> None:
    canvas = Canvas(80, 24)
    canvas.feed("\x1b[1;1H14:02:11Z")
    canvas.render()
    canvas.feed("\x1b[1;1H14:02:12Z")
    assert canvas.render() == "\x1b[1;8H2\x1b[1;10H"


def test_a_resized_or_reentered_screen_is_drawn_again() -> None:
    canvas = Canvas(80, 24)
    canvas.feed("\x1b[1;1Hregime")
    canvas.render()
    canvas.feed("\x1b[?1049l")
    assert canvas.render() == "\x1b[?1049l"
    canvas.feed("\x1b[?1049h")
    assert "regime" in canvas.render()
    canvas.resize(40, 10)
    canvas.feed("\x1b[1;1Hregime")
    assert "regime" in canvas.render()


def test_wide_and_combined_characters_keep_their_columns() -> None:
    canvas = Canvas(10, 1)
    canvas.feed("\x1b[1;1H模e\u0301x")
    assert canvas.render().startswith("\x1b[1;1H\x1b[0m模\x1b[1;3He\u0301\x1b[1;4Hx")
    canvas.feed("\x1b[1;2Ha")
    assert canvas.render() == "\x1b[1;1H a"


def test_modes_pass_and_unknown_controls_do_not() -> None:
    canvas = Canvas(10, 1)
    canvas.feed("\x1b[?25l\x1b]52;c;YQ==\x07\x1b[1;1Ha\x1bPq\x9b")
    sent = canvas.render()
    assert sent.startswith("\x1b[?25l\x1b]52;c;YQ==\x07")
    assert "\x1bP" not in sent
    assert "\x9b" not in sent
