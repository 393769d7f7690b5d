"""The archive of a model's older events: JSON Lines, oldest first, only ever appended to."""

from __future__ import annotations

from collections.abc import Sequence

from ml.registry.layout import compact


def extended(archive: bytes, events: Sequence[str]) -> bytes:
    """The archive with some more events' texts, oldest first; each keeps its spelling and becomes one line."""
    gap = b"" if not archive or archive.endswith(b"\n") else b"\n"
    return archive + gap + b"".join(compact(event).encode() + b"\n" for event in events)
