"""Walks through the console's screens with keys: waits for conditions with a deadline, never for time to pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from fakes import FakeSession, FrozenClock
from support.widget_host import screen, type_by_hand
from textual.pilot import Pilot
from textual.screen import Screen

from console.app import ConsoleApp
from ml.records.drafts import Drafts

DEADLINE_S = 10.0


async def until(pilot: Pilot[object], holds: Callable[[], object]) -> None:
    """Wait until something holds; fails with what is on the screen when it does not come true in time."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "this never came true, on:\n" + "\n".join(shown_on(pilot))
        await pilot.pause()
        await asyncio.sleep(0.002)
    await pilot.pause()


def shown_on(pilot: Pilot[object]) -> list[str]:
    """What the terminal shows, as plain lines."""
    return screen(pilot.app.screen)


def reads(pilot: Pilot[object], text: str) -> bool:
    """Whether a text stands somewhere on the terminal; line breaks count as blanks."""
    return text in " ".join(" ".join(shown_on(pilot)).split())


async def reads_soon(pilot: Pilot[object], text: str) -> None:
    """Wait until a text stands on the terminal."""
    await until(pilot, lambda: reads(pilot, text))


async def opened(pilot: Pilot[object], pushed: Screen[None]) -> None:
    """Push a screen once the board is there, and wait until it is on top."""
    app = cast("ConsoleApp", pilot.app)
    await until(pilot, lambda: app.board is not None)
    app.push_screen(pushed)
    await until(pilot, lambda: app.screen is pushed and pushed.is_mounted)


@asynccontextmanager
async def walking(
    session: FakeSession,
    pushed: Screen[None],
    size: tuple[int, int] = (80, 24),
    *,
    ascii_only: bool = False,
    drafts: Drafts | None = None,
) -> AsyncIterator[Pilot[int]]:
    """Run the console on a fake session with one screen pushed."""
    app = ConsoleApp(session, FrozenClock(), ascii_only=ascii_only, drafts=lambda: drafts)
    async with app.run_test(size=size) as pilot:
        await opened(pilot, pushed)
        yield pilot


__all__ = ["opened", "reads", "reads_soon", "shown_on", "type_by_hand", "until", "walking"]
