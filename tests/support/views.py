"""Runs the console's views on a fake session until everything that they show has arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from fakes import FakeSession, FrozenClock
from support.walk import until
from textual.pilot import Pilot

from console.app import ConsoleApp
from widgets.banners import KillBanner, ProblemLine

_NEEDED = {"soak": "soak", "history": "history", "log": "log_lines", "changes": "changes"}
VIEW_KEYS = {"stages": "1", "soak": "2", "history": "3", "log": "4", "changes": "5"}


def console_of(pilot: Pilot[object]) -> ConsoleApp:
    return cast("ConsoleApp", pilot.app)


def told(pilot: Pilot[object]) -> str:
    """What the console says in passing, as one text."""
    return " ".join(notification.message for notification in pilot.app._notifications)


async def settled(pilot: Pilot[object]) -> None:
    """Wait until the board, the remote, and what the open view needs have arrived and are drawn."""
    app = console_of(pilot)
    session = cast("FakeSession", app.session)
    await until(pilot, lambda: app.board is not None and session.called("fetch"))
    needed = _NEEDED.get(app.current_mode)
    if needed and app.models:
        await until(pilot, lambda: getattr(app, needed) is not None)
    await until(pilot, lambda: app.screen.is_mounted and app.screen_stack[0].query(ProblemLine))
    # The last parts of a view are filled after they are mounted: a picture without the kill banner would be a lie.
    await until(pilot, lambda: app.screen_stack[0].query_one(KillBanner).view is app.kill)
    await pilot.wait_for_scheduled_animations()


def in_view(view: str, *keys: str) -> Callable[[Pilot[object]], Awaitable[None]]:
    """For pictures: open a view, wait until it is complete, press keys."""

    async def run(pilot: Pilot[object]) -> None:
        await settled(pilot)
        await pilot.press(VIEW_KEYS[view])
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)

    return run


@asynccontextmanager
async def console(
    session: FakeSession | None = None, size: tuple[int, int] = (80, 24), **settings: object
) -> AsyncIterator[Pilot[int]]:
    """A running console with its first board shown."""
    app = ConsoleApp(session or FakeSession(), FrozenClock(), **settings)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        yield pilot
