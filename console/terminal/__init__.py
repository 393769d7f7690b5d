"""Connection to the terminal: driver, output, and filters."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.driver import Driver


def driver_class() -> type[Driver] | None:
    """Return our driver on a terminal; ``None``, which is Textual's own choice, in a browser."""
    if "TEXTUAL_DRIVER" in os.environ or sys.__stdin__ is None or not sys.__stdin__.isatty():
        return None
    from console.terminal.driver import ConsoleDriver  # noqa: PLC0415 it needs a terminal to be of use

    return ConsoleDriver
