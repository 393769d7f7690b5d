"""One running demo for all tests of this folder that need one; they share a worker (``xdist_group("stack")``)."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from support.demo import Demo, environment, start_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A living system. When it ends it must have left no process, and no file in its user's home directory."""
    home = tmp_path_factory.mktemp("demo") / "home"
    running = start_demo(home, environment(home))
    try:
        yield running
    finally:
        code = running.end(signal.SIGTERM)
    assert code == 143
    assert running.left() == []
