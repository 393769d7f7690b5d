"""The local high score of drills: the shortest time from the injection until everything was right again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from console.paths import state_directory

_NAME = "drill.json"


def best(player: str) -> float | None:
    """The best time of a player in seconds; ``None`` before the first complete drill."""
    found = _read().get(player)
    return found if isinstance(found, float) else None


def keep(player: str, seconds: float) -> bool:
    """Note a complete drill; whether it is the best one so far."""
    before = best(player)
    if before is not None and before <= seconds:
        return False
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_read() | {player: float(seconds)}, indent=1), "utf-8")
    os.replace(part, path)
    return True


def _read() -> dict[str, object]:
    """All scores; a file that is missing or broken holds none."""
    try:
        told = json.loads(_path().read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _path() -> Path:
    return state_directory() / _NAME
