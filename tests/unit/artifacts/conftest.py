"""One warm sandbox for the tests of a worker: what they ask is the model's business, not how a process starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.zygote import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Runs probes in forks of one sandboxed process (see `support.zygote`)."""
    with Zygote() as running:
        yield running
