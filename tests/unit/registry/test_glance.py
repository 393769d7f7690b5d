"""The first frame's look: quick, light, and never in the way."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.registries import model, name, registry

from ml.registry.glance import glance_models


def test_it_shows_who_stands_where() -> None:
    raw = registry(regime=model(1, shadow=2), spacing={"staging": {"artifact_id": "golden_v1"}})
    models, problem = glance_models(raw)
    assert models == (("regime", (None, name(2), name(1))), ("spacing", ("golden_v1", None, None)))
    assert problem == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"models": 3}',
        b'{"models": {"m": 3}}',
        b'{"models": {"m": {"active": 3}}}',
        b"[" * 100_000,
    ],
)
def test_what_it_cannot_read_becomes_a_sentence(raw: bytes) -> None:
    models, problem = glance_models(raw)
    assert models == ()
    assert problem.endswith(".")


def test_it_needs_nothing_heavy() -> None:
    code = "import sys, ml.registry.glance; print([m for m in ('pydantic', 'tomllib', 'git') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert ended.stdout.strip() == "[]"
