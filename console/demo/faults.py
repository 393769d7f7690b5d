"""What a drill breaks: a fault is chosen by a seed and written where the engine looks for it at every snapshot."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random


@dataclass(frozen=True, slots=True)
class Fault:
    """What an engine suffers from: so many milliseconds more per inference, and the share of them that fails."""

    latency_ms: float = 0.0
    error_rate: float = 0.0

    @property
    def words(self) -> str:
        """Such as ``380 ms more latency``."""
        return f"{self.latency_ms:.0f} ms more latency" if self.latency_ms else f"{self.error_rate:.0%} errors"


def choose(random: Random) -> Fault:
    """Latency or errors, strong enough to breach a 5-minute window within half a minute."""
    if random.random() < 0.5:
        return Fault(latency_ms=random.uniform(300, 450))
    return Fault(error_rate=random.uniform(0.6, 0.95))


def inject(file: Path, fault: Fault) -> None:
    """Break the engine that reads this file; a `Fault` of nothing heals it."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(fault)), "utf-8")
    os.replace(part, file)
