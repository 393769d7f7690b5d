"""A console with one fault of its machine or its own: ``python -m benchmarks.sick_console full | freeze ARGS``."""

from __future__ import annotations

import resource
import sys

_LARGEST = 200
"""Bytes: a kill file is smaller, and nothing else that the console writes is."""


def _full() -> None:
    """Every write beyond a file's first bytes fails: the kernel itself enforces it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST, _LARGEST))


def _freeze() -> None:
    """The event loop never comes back from its first second, and keeps the interpreter to itself while it can."""
    from console.app import ConsoleApp  # noqa: PLC0415 the other fault pays nothing for it

    def stand_still(_: ConsoleApp) -> None:
        while True:
            pass

    ConsoleApp._tick = stand_still  # type: ignore[method-assign]


if __name__ == "__main__":
    {"full": _full, "freeze": _freeze}[sys.argv.pop(1)]()
    from console.__main__ import main

    main()
