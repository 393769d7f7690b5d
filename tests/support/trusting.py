"""Trust in a test repository's console.toml, given as a person gives it: by the function behind `mlconsole trust`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from console.config import load, not_counting
from console.trust import Record, write_record


def trust(repo: Path, environ: Mapping[str, str] = os.environ, config: Path | None = None) -> None:
    """Trust the configuration of a repository as it stands. Raises Usage where it is not valid, as the verb does."""
    here = load(repo=str(repo), config=str(config) if config else None, environ=environ).standing
    assert here is not None
    not_counting(here)
    write_record(here, Record(here.content, "2026-02-16T10:00:00Z", "tester"))


def configure(repo: Path, text: str, environ: Mapping[str, str] = os.environ) -> None:
    """Write a repository's console.toml and trust it."""
    (repo / "console.toml").write_text(text)
    trust(repo, environ)
