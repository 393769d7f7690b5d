"""Where the accepted pictures of screens live and how they are named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol

from textual.app import App
from textual.pilot import Pilot

SNAPSHOTS = Path(__file__).parents[2] / "snapshots"
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60)}


class Compare(Protocol):
    """Compares a picture of the application with the accepted one, named after the test."""

    def __call__(
        self,
        app: App[object],
        press: Iterable[str] = (),
        terminal_size: tuple[int, int] = (80, 24),
        run_before: Callable[[Pilot[object]], Awaitable[None] | None] | None = None,
    ) -> bool: ...


def folder_of(test_file: str) -> str:
    """The folder of a file's pictures: ``test_view_pictures`` keeps them in ``snapshots/view``."""
    return Path(test_file).stem.removeprefix("test_").removesuffix("_pictures")


def picture_of(test_name: str) -> str:
    """The name of a test's picture: its parameters, as in ``stages-80x24``, else its own name."""
    name, _, parameters = test_name.rstrip("]").partition("[")
    return parameters or name.removeprefix("test_")
