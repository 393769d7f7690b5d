"""``python -m scripts.make_demo_picture``: drive the demo by keys, and record it as one animated SVG.

Every screen is captured from the real console on the real demo stack, on a pseudo-terminal of 80 × 24. The animation is
CSS alone; readers who prefer no motion, and viewers that cannot animate, see the first screen.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from pyte.screens import Char, Screen

from benchmarks.interface import Session
from console.demo.stack import running_stack

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "demo.svg"

_COLUMNS, _ROWS, _WIDE, _HIGH, _MARGIN = 80, 24, 8.4, 18, 12
_INK, _PAPER = "#d7dde4", "#0f1419"
_SHOWN_S = 5.0
_PATIENCE_S = 90.0


class Scene(NamedTuple):
    """Keys to press, what the terminal shows when they have worked, and what a reader should know."""

    keys: str
    wanted: str
    caption: str


SCENES = (
    Scene("", "error_rate", "Where every model stands, and what blocks the next promotion"),
    Scene("2", "coverage", "2  The soak of 24 h, in cells of five minutes"),
    Scene("1|p", "[Checklist]", "p  Promote: every gate is judged now, none is taken from before"),
    Scene("\x1b|\x1b[20~", "CONFIRMED 5 of 5", "F9  Kill: proven by the metrics of every engine"),
    Scene("\x1b|r", "Where to", "r  Roll back: prepared already, one key, no ACK"),
    Scene("\x1b|?", "Everywhere", "?  Every key, in the words of the runbook"),
)
"""``|`` waits until what the key before did is drawn."""


def main() -> None:
    """Make the picture."""
    PICTURE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder), lambda what, took: None) as stack:
        session = Session("console", cwd=stack.layout.clone, env=stack.env)
        try:
            frames = [_play(session, scene) for scene in SCENES]
        finally:
            session.close()
    PICTURE.write_text(animated(frames, [scene.caption for scene in SCENES]), encoding="utf-8")


def _play(session: Session, scene: Scene) -> tuple[tuple[Char, ...], ...]:
    """Press, wait, and take the screen once two equal copies show that it is completely drawn."""
    for part in scene.keys.split("|"):
        session.type(part)
        session.rest_and_draw(0.5)
    ends = time.monotonic() + _PATIENCE_S
    while scene.wanted not in "\n".join(session.screen.display):
        assert time.monotonic() < ends, (scene, *session.screen.display)
        session.rest_and_draw(0.2)
    session.rest_and_draw(1.0)
    return captured(session.screen)


def captured(screen: Screen) -> tuple[tuple[Char, ...], ...]:
    """The cells of a screen, row by row."""
    return tuple(tuple(screen.buffer[y][x] for x in range(screen.columns)) for y in range(screen.lines))


def animated(frames: Sequence[Sequence[Sequence[Char]]], captions: Sequence[str]) -> str:
    """One SVG that shows the frames one after the other, for ever, each with its caption."""
    width, height = _COLUMNS * _WIDE + 2 * _MARGIN, (_ROWS + 2) * _HIGH + 2 * _MARGIN
    whole = _SHOWN_S * len(frames)
    share = 100 / len(frames)
    style = (
        "text{font:14px 'Fira Code','DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre;fill:" + _INK + "}"
        f".f{{visibility:hidden;animation:turn {whole:g}s step-end infinite}}.f.first{{visibility:visible}}"
        f"@keyframes turn{{0%{{visibility:visible}}{share:.3f}%,100%{{visibility:hidden}}}}"
        "@media (prefers-reduced-motion:reduce){.f{animation:none}}.b{font-weight:bold}.c{fill:#8b949e}"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
        "<title>mlconsole on its demo</title>",
        f'<style>{style}</style><rect width="100%" height="100%" rx="8" fill="{_PAPER}"/>',
    ]
    for number, (frame, caption) in enumerate(zip(frames, captions, strict=True)):
        first = " first" if number == 0 else ""
        parts.append(f'<g class="f{first}" style="animation-delay:{number * _SHOWN_S:g}s">')
        for y, row in enumerate(frame):
            parts.extend(_row(row, _MARGIN + y * _HIGH))
        parts.append(f'<text class="c" x="{_MARGIN}" y="{height - _MARGIN:g}">{escape(caption)}</text></g>')
    return "".join([*parts, "</svg>\n"])


def _row(row: Sequence[Char], top: float) -> Iterator[str]:
    """One row: a rectangle where there is a background, a text where there are letters."""
    x = 0
    for (ink, paper, bold), run in groupby(row, _look):
        text = "".join(char.data for char in run)
        left, width = _MARGIN + x * _WIDE, len(text) * _WIDE
        x += len(text)
        if paper != _PAPER:
            yield f'<rect x="{left:.1f}" y="{top:g}" width="{width:.1f}" height="{_HIGH}" fill="{paper}"/>'
        # Not every viewer keeps blanks in a row, so each piece between them has a place of its own.
        for piece in re.finditer(r"\S+(?: \S+)*", text):
            at, long = left + piece.start() * _WIDE, len(piece[0]) * _WIDE
            weight = ' class="b"' if bold else ""
            fill = "" if ink == _INK else f' style="fill:{ink}"'
            yield f'<text{weight} x="{at:.1f}" y="{top + 14:g}" textLength="{long:.1f}"{fill}>{escape(piece[0])}</text>'


def _look(char: Char) -> tuple[str, str, bool]:
    ink, paper = _color(char.fg, _INK), _color(char.bg, _PAPER)
    return (paper, ink, char.bold) if char.reverse else (ink, paper, char.bold)


def _color(name: str, default: str) -> str:
    return default if name == "default" else f"#{name}"


if __name__ == "__main__":
    main()
