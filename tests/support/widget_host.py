"""A bare application around one widget: our theme, a list of what the widget said, keys as hands press them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

from console.themes import DARK, THEMES, VARIABLES

M = TypeVar("M", bound=Message)


class Host(App[None]):
    """Shows one widget under the console's theme, with bindings behind it that only note their key."""

    BINDINGS: ClassVar[list[BindingType]] = [(key, f"note('{key}')", key) for key in ("f9", "escape", "a")]

    def __init__(self, widget: Widget, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._widget = widget
        self.pressed: list[str] = []
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK
        self.set_class(ascii_only, "-ascii")

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(VARIABLES)

    def compose(self) -> ComposeResult:
        yield self._widget

    def action_note(self, key: str) -> None:
        self.pressed.append(key)


@dataclass
class Stage:
    """A running host: its pilot, and every message that was handled, once each."""

    pilot: Pilot[None]
    pressed: list[str]
    said: list[Message]

    def heard(self, kind: type[M]) -> list[M]:
        """The messages of one type, oldest first."""
        return [message for message in self.said if isinstance(message, kind)]


@asynccontextmanager
async def staged(widget: Widget, size: tuple[int, int] = (78, 20), *, ascii_only: bool = False) -> AsyncIterator[Stage]:
    """Run one widget at a size."""
    said: list[Message] = []

    def note(message: Message) -> None:
        if not any(message is other for other in said):
            said.append(message)

    app = Host(widget, ascii_only=ascii_only)
    async with app.run_test(size=size, message_hook=note) as pilot:
        yield Stage(pilot, app.pressed, said)


async def type_by_hand(pilot: Pilot[object], text: str, *, gap_s: float = 0.1) -> None:
    """Press the keys of a text, each ``gap_s`` after the other by the events' own clock, without waiting for it."""
    at = events.Key("a", "a").time
    for character in text:
        key = events.Key(character, character)
        at += gap_s
        key.time = at
        pilot.app.post_message(key)
    await pilot.pause()


def shown(widget: Widget) -> list[str]:
    """What a widget draws, as plain lines."""
    strips = widget.render_lines(widget.region.reset_offset)
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def screen(widget: Widget) -> list[str]:
    """What the whole terminal shows, as plain lines."""
    strips = widget.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]
