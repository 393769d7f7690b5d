"""The picture of the demo: what is committed is whole, and how a screen becomes one."""

from __future__ import annotations

from xml.etree import ElementTree

import pyte

from scripts.make_demo_picture import PICTURE, SCENES, animated, captured

SVG = "{http://www.w3.org/2000/svg}"
MOST_BYTES = 512 * 1024


def frames(picture: str) -> list[list[str]]:
    """The texts of each frame."""
    root = ElementTree.fromstring(picture)
    return [["".join(text.itertext()) for text in frame.iter(f"{SVG}text")] for frame in root.iter(f"{SVG}g")]


def test_the_committed_picture_shows_every_scene_and_its_caption() -> None:
    picture = PICTURE.read_text(encoding="utf-8")
    assert len(picture.encode()) < MOST_BYTES
    shown = frames(picture)
    assert [frame[-1] for frame in shown] == [scene.caption for scene in SCENES]
    for frame, scene in zip(shown, SCENES, strict=True):
        assert scene.wanted in " ".join(frame)


def test_each_piece_of_a_row_stands_at_its_column() -> None:
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed("a<b  \x1b[1;7mloud\x1b[0m")
    (frame,) = frames(picture := animated([captured(screen)], ["caption"]))
    assert frame == ["a<b", "loud", "caption"]
    first, second, _ = ElementTree.fromstring(picture).iter(f"{SVG}text")
    assert float(second.attrib["x"]) - float(first.attrib["x"]) == 5 * 8.4
    assert second.attrib["class"] == "b"
