"""The façade of a session; light, because it is there before the first frame and its parts are not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from console.snapshot import keep
from ml.adapters import processes
from ml.operations import Operations
from ml.operations.glance import glance

if TYPE_CHECKING:
    from console.config import Settings
    from ml.operations.context import Context


def operations(settings: Settings) -> Operations:
    """The façade on the configured repository."""
    registry = settings.registry
    return Operations(
        partial(_context, settings),
        partial(glance, processes.run, settings.root, registry.ref, registry.path),
        partial(keep, settings),
    )


def _context(settings: Settings) -> Context:
    # Imported with the first question: it brings git, Prometheus, records and the kill desk.
    from console.wiring import context  # noqa: PLC0415

    return context(settings)
